"""Dropped pairs as Markdown, for a page that mlctl does not draw itself: text from corpora stands in code spans only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mlctl.reporting.formatting import number, shortened
from mlctl.reporting.tables import Row

_MOST_BYTES = 100_000
# Control characters and what turns the direction of writing, of the text itself and of all that follows it.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")


def rejected_text(rules: Iterable[Row], reasons: Mapping[str, str], examples: Sequence[Row], where: str) -> str:
    """Return Markdown that shows dropped pairs under each rule, with the number of all that it dropped.

    Args:
        rules: `tables.rule_rows` of one stage, in order.
        reasons: what rules drop, in words (`tables.rule_reasons`).
        examples: `samples.rejected_examples` of the same stage.
        where: the folder in which all dropped pairs lie.

    Returns:
        At most some 100 kB: where the pairs are too many or too strange for that, fewer of each rule are shown.
    """
    of_rules = [
        ({**rule, "reason": reasons.get(rule["rule"], "")}, [row for row in examples if row["rule"] == rule["rule"]])
        for rule in rules
    ]
    most = max((len(rows) for _, rows in of_rules), default=0)
    while len((text := _text(of_rules, most, where)).encode()) > _MOST_BYTES and most > 1:
        most //= 2
    return text


def literal(text: str) -> str:
    """Return one line of Markdown that shows text as it is: no character of it is markup, a link or HTML.

    Only a code span is safe everywhere: escaped addresses are still made links by some viewers. A backtick, which would end it,
    becomes a similar accent; control characters become U+FFFD.
    """
    shown = _UNSHOWN.sub("\ufffd", " ".join(text.split())).replace("`", "ˋ")
    return f"`{shown}`" if shown else "*empty*"


def _text(of_rules: Iterable[tuple[Row, Sequence[Row]]], most: int, where: str) -> str:
    intro = (
        "Some of the pairs that each rule dropped, drawn at random. Rules stand in the order in which they are asked. Good pairs here? "
        f"Loosen that rule in the recipe.\n\nAll dropped pairs lie in {literal(where)}"
    )
    return "\n\n".join([intro, *(_rule(rule, rows[:most]) for rule, rows in of_rules if rows)]) + "\n"


def _rule(rule: Row, rows: Sequence[Row]) -> str:
    reason = [f"Dropped because {rule['reason']}."] if rule["reason"] else []
    return "\n\n".join([f"## {rule['rule']} · {number(rule['dropped'])} dropped", *reason, *map(_pair, rows)])


def _pair(row: Row) -> str:
    """Return an item of a list, with hard breaks between its lines."""
    source, target = (_side(row[name]) for name in ("source", "target"))
    return f"- {row['source_language']} {source}  \n  {row['language']} {target}  \n  from {literal(shortened(row['corpus']))}"


def _side(text: str | None) -> str:
    return "*no translation*" if text is None else literal(shortened(text))
