"""Tables and dropped pairs as Markdown, for pages that mlctl does not render itself: text from corpora is in code spans only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mlctl.reporting.formatting import format_number, shorten
from mlctl.reporting.tables import Row

_MAX_BYTES = 100_000
# Control characters, and characters that change the writing direction of the text itself and of what follows it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")


def rejected_text(rules: Iterable[Row], reasons: Mapping[str, str], examples: Sequence[Row], folder: str) -> str:
    """Return Markdown with dropped pairs of each rule and the number of all pairs that it dropped.

    Args:
        rules: `tables.rule_rows` of one stage, in order.
        reasons: why each rule drops a pair (`tables.rule_reasons`).
        examples: `samples.rejected_examples` of the same stage.
        folder: the folder with all dropped pairs.

    Returns:
        At most about 100 kB: if the examples need more, fewer of each rule are shown.
    """
    sections = [
        ({**rule, "reason": reasons.get(rule["rule"], "")}, [row for row in examples if row["rule"] == rule["rule"]])
        for rule in rules
    ]
    limit = max((len(rows) for _, rows in sections), default=0)
    while len((text := _text(sections, limit, folder)).encode()) > _MAX_BYTES and limit > 1:
        limit //= 2
    return text


def literal(text: str) -> str:
    """Return one line of Markdown that shows text literally: no character of it is markup, a link or HTML.

    Only a code span is safe everywhere: some viewers make links of escaped addresses. A backtick, which would end it,
    becomes a similar accent; control characters become U+FFFD.
    """
    shown = _CONTROL.sub("\ufffd", " ".join(text.split())).replace("`", "ˋ")
    return f"`{shown}`" if shown else "*empty*"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a table; a column that some rows lack is empty there."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


def _text(sections: Iterable[tuple[Row, Sequence[Row]]], limit: int, folder: str) -> str:
    intro = (
        "A random sample of the pairs that each rule dropped. Rules are listed in the order in which they are applied. If a rule drops "
        f"good pairs, relax it in the recipe.\n\nAll dropped pairs are stored in {literal(folder)}"
    )
    return "\n\n".join([intro, *(_section(rule, rows[:limit]) for rule, rows in sections if rows)]) + "\n"


def _section(rule: Row, rows: Sequence[Row]) -> str:
    reason = [f"Dropped because {rule['reason']}."] if rule["reason"] else []
    return "\n\n".join([f"## {rule['rule']} · {format_number(rule['dropped'])} dropped", *reason, *map(_pair, rows)])


def _pair(row: Row) -> str:
    """Return an item of a list, with hard breaks between its lines."""
    source, target = _side(row["source"]), _side(row["target"])
    return f"- {row['source_language']} {source}  \n  {row['language']} {target}  \n  from {literal(shorten(row['corpus']))}"


def _side(text: str | None) -> str:
    return "*no translation*" if text is None else literal(shorten(text))
