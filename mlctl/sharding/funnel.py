"""The reports of sharding: how many pairs each rule drops, and what of each evaluation set was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mlctl.sharding import excluded_text as rules
from mlctl.sharding.decontamination import EvaluationText
from mlctl.sharding.excluded_text import OWN_SETS, counter_key
from mlctl.sharding.external_sort import SortedRun
from mlctl.sharding.heldout_plan import HeldoutPlan

#: Names of rules: pairs above the maximum length, and pairs without a word pair.
TOO_LONG, NO_WORD_PAIR = "too long", "no word pair"


def funnel(language: str, heldout: HeldoutPlan, runs: Sequence[SortedRun], drop_too_long: bool) -> list[dict[str, str | int]]:
    """Return the funnel's rows of one language: the number of pairs before and after each rule."""
    counts = _counts(language, runs)
    held, dev = (pairs.pairs[language].num_rows for pairs in (heldout.heldout, heldout.dev))
    dropped = {rules.HELD_OUT: held, rules.HELD_OUT_TEXT: counts[rules.HELD_OUT_TEXT] - held}
    dropped |= {rules.DEV: dev, rules.DEV_TEXT: counts[rules.DEV_TEXT] - dev}
    for indexed in heldout.excluded.index.sets:
        dropped[indexed.rule] = counts[counter_key(indexed.rule, "dropped")]
    if drop_too_long:
        dropped[TOO_LONG] = counts[TOO_LONG]
    dropped[NO_WORD_PAIR] = counts[NO_WORD_PAIR]
    for rule in dict.fromkeys(row_filter.rule for run in runs for row_filter in run.filters):
        dropped[rule] = sum(run.kept.dropped[rule] for run in runs if run.language == language)
    table: list[dict[str, str | int]] = []
    left = counts["pairs"]
    for rule, count in dropped.items():
        table.append({"stage": "shard", "language": language, "rule": rule, "rows_in": left, "rows_out": left - count})
        left -= count
    return table


def decontamination(sets: Sequence[EvaluationText], heldout: HeldoutPlan, runs: Sequence[SortedRun]) -> dict[str, Any]:
    """Return the content of `decontamination.json`.

    `checked` is false if there is no set. For each set and language: pairs with the `text` of a sentence, pairs with a `passage`
    only, and pairs `dropped` for this set, which no earlier rule or set had dropped.
    """
    counts = {language: _counts(language, runs) for language in heldout.heldout.pairs}
    entries = [
        {
            "name": evaluation_text.name,
            "files": list(evaluation_text.files),
            "sentences": indexed.sentences,
            "passages": len(indexed.passages),
            "pairs": {
                language: {kind: counts[language][counter_key(indexed.rule, kind)] for kind in ("text", "passage", "dropped")}
                for language in counts
            },
        }
        for evaluation_text, indexed in zip(sets, heldout.excluded.index.sets[OWN_SETS:], strict=True)
    ]
    return {"checked": bool(entries), "sets": entries}


def _counts(language: str, runs: Sequence[SortedRun]) -> Counter[str]:
    return sum((run.counts for run in runs if run.language == language), Counter[str]())
