"""Warnings about languages whose script is unknown, and about those that lose much text because of its script or language."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from mlctl import config, languages
from mlctl.cleaning.filters.language_script import ChineseVariant, Script, WrongLanguage
from mlctl.cleaning.writer import Funnel
from mlctl.core import language_id
from mlctl.core.arrow import batches
from mlctl.core.unicode_scripts import count_han_variants, dominant_script
from mlctl.core.workspace import Workspace

_MAX_LOSS = 0.1  # share of a language's rows
_SAMPLE_ROWS = 500  # dropped rows that are looked at for a cure
_MIN_LETTERS = 30  # of a text whose language is identified

log = logging.getLogger(__name__)


class _Evidence(NamedTuple):
    """What most dropped rows have in common: a side's language, and the script (ISO 15924) or language of its text."""

    language: str
    text: str


def warn_of_unknown_scripts(settings: config.Clean, source: str, targets: tuple[str, ...]) -> None:
    """Log a warning for each language for which the rule `script` is off because its script is unknown."""
    if not settings.min_script_share:
        return
    for language in (source, *targets):
        if not languages.unicode_scripts(language):
            log.warning(
                "%s: its script is unknown, so the rule %r is off for this language; a code that names the script (%s-Latn) turns it on",
                language,
                Script.name,
                language.partition("-")[0],
            )


def warn_of_losses(funnel: Funnel, source: str, workspace: Workspace) -> None:
    """Log a warning, with the likely cure, for each rule about script or language that dropped more than a tenth of a language's rows.

    Args:
        funnel: the row counts of the language.
        source: the recipe's source language.
        workspace: the stage's result, with `rejected/<language>.parquet`.
    """
    cures = {Script.name: _script_cure, ChineseVariant.name: _variant_cure, WrongLanguage.name: _language_cure}
    for rule, cure in cures.items():
        dropped = funnel.dropped.get(rule, 0)
        if dropped > _MAX_LOSS * funnel.rows_in:
            rows = list(islice(_dropped_rows(workspace, funnel.language, rule), _SAMPLE_ROWS))
            log.warning(
                "%s: the rule %r dropped %.0f%% of the rows (%s of %s)%s",
                funnel.language,
                rule,
                100 * dropped / funnel.rows_in,
                f"{dropped:,}",
                f"{funnel.rows_in:,}",
                cure(
                    [
                        (language, text)
                        for row in rows
                        for language, text in zip((source, funnel.language), row, strict=True)
                        if text
                    ]
                ),
            )


def _dropped_rows(workspace: Workspace, language: str, rule: str) -> Iterator[tuple[str | None, str | None]]:
    """Yield source and target of the rows that a rule dropped."""
    for batch in batches(workspace.path(f"rejected/{language}.parquet"), ["source", "target", "rule"]):
        yield from ((row["source"], row["target"]) for row in batch.to_pylist() if row["rule"] == rule)


def _script_cure(texts: list[tuple[str, str]]) -> str:
    found = _most_common(
        _Evidence(language, script)
        for language, text in texts
        if (known := languages.unicode_scripts(language)) and (script := dominant_script(text)) and script not in known
    )
    if not found:
        return ""
    return (
        f": the text that should be {found.language} is mostly in the script {found.text}. If it is that language, name it "
        f"`{_with_script(found)}` in the recipe's languages; else check the files and columns of its sources"
    )


def _variant_cure(texts: list[tuple[str, str]]) -> str:
    found = _most_common(
        _Evidence(language, "Hans" if simplified > traditional else "Hant")
        for language, text in texts
        if languages.han_variant(language)
        for simplified, traditional in [count_han_variants(text)]
        if simplified != traditional
    )
    if not found:
        return ""
    variant = "Simplified" if found.text == "Hans" else "Traditional"
    return (
        f": the text that should be {found.language} is mostly in {variant} Chinese: name it `{_with_script(found)}` in the recipe's "
        "languages, convert it, or keep it with clean.min_script_share=0"
    )


def _language_cure(texts: list[tuple[str, str]]) -> str:
    long = [(language, text) for language, text in texts if sum(map(str.isalpha, text)) >= _MIN_LETTERS]
    labels = language_id.most_likely_languages([text for _, text in long])
    margins = [float(language_id.other_language_margin([text], language)[0]) for language, text in long]
    found = _most_common(
        _Evidence(language, label) for (language, _), label, margin in zip(long, labels, margins, strict=True) if margin > 0
    )
    if not found:
        return ""
    return (
        f": the text that should be {found.language} looks mostly like {found.text!r}. If it is {found.text!r}, name that language in the "
        f"recipe or check the files and columns of the sources; if it is {found.language}, increase clean.language_margin"
    )


def _with_script(found: _Evidence) -> str:
    """Return the tag of a language in a script."""
    return languages.canonical(f"{found.language.partition('-')[0]}-{found.text}")


def _most_common(evidence: Iterator[_Evidence]) -> _Evidence | None:
    """Return the most frequent evidence; of equally frequent, the first in alphabetical order."""
    counts = Counter(evidence)
    return min(counts, key=lambda item: (-counts[item], item)) if counts else None
