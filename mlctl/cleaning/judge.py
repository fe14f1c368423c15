"""The rules in their order, over batches of one language pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlctl import config
from mlctl.cleaning import rules
from mlctl.cleaning.duplicates import Seen, digests_of
from mlctl.cleaning.rules import Candidate, Rule
from mlctl.cleaning.tidy import tidy

DUPLICATE = "duplicate"
TRANSLATED_ELSEWHERE = "translated elsewhere"
_REASONS = {
    DUPLICATE: "the same text came before",
    TRANSLATED_ELSEWHERE: "the text has no translation here, but another corpus has one",
}

# A text of so many times the allowed length is dropped before anything looks for markup in it.
_FAR_TOO_LONG = 20


@dataclass(frozen=True)
class Verdicts:
    """What became of a batch: for each row the rule that drops it ("": kept) and its clean text."""

    rules: list[str]
    sources: list[str]
    targets: list[str | None]

    def add(self, rule: str, source: str, target: str | None) -> None:
        """Add what became of the next row."""
        self.rules.append(rule)
        self.sources.append(source)
        self.targets.append(target)


class Judge:
    """All rules of one language pair, with the memory of what was kept. Pairs come first, text without translation after them."""

    def __init__(self, settings: config.Clean, source: str, target: str, usual_ratio: float, *, remember_sources: bool) -> None:
        self._rules = _in_order(settings, usual_ratio)
        self._hopeless = _FAR_TOO_LONG * settings.max_characters
        self._source_spaced = rules.is_spaced(source)
        self._target_spaced = rules.is_spaced(target)
        self._pairs = Seen()
        self._untranslated = Seen()
        self._translated = Seen() if remember_sources else None

    @property
    def reasons(self) -> dict[str, str]:
        """The rules' names in the order in which they are applied, each with what it drops."""
        return {rule.name: rule.reason for rule in self._rules} | _REASONS

    def pairs(self, sources: Sequence[str], targets: Sequence[str]) -> Verdicts:
        """Judge pairs."""
        verdicts, kept = self._one_by_one(sources, targets)
        digests = digests_of(f"{pair.source_key}\x00{pair.target_key}" for _, pair in kept)
        _drop(verdicts, kept, ~self._pairs.add(digests), DUPLICATE)
        if self._translated is not None:
            self._translated.add(digests_of(pair.source_key for _, pair in kept))
        return verdicts

    def untranslated(self, sources: Sequence[str]) -> Verdicts:
        """Judge text without translation, after all pairs."""
        verdicts, kept = self._one_by_one(sources, [None] * len(sources))
        digests = digests_of(pair.source_key for _, pair in kept)
        elsewhere = self._translated.has(digests) if self._translated is not None else np.zeros(len(kept), dtype=bool)
        _drop(verdicts, kept, elsewhere, TRANSLATED_ELSEWHERE)
        _drop(verdicts, kept, ~self._untranslated.add(digests), DUPLICATE)  # comes first in the order, so it has the last word
        return verdicts

    def _one_by_one(self, sources: Sequence[str], targets: Sequence[str | None]) -> tuple[Verdicts, list[tuple[int, Candidate]]]:
        verdicts, kept = Verdicts([], [], []), []
        for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
            if len(source) > self._hopeless or len(target or "") > self._hopeless:
                verdicts.add(rules.TooLong.name, source, target)
                continue
            pair = Candidate(tidy(source, target), self._source_spaced, self._target_spaced)
            rule = next((rule.name for rule in self._rules if rule.drops(pair)), "")
            if not rule:
                kept.append((row, pair))
            verdicts.add(rule, pair.tidied.source, pair.tidied.target)
        return verdicts, kept


def _in_order(settings: config.Clean, usual_ratio: float) -> tuple[Rule, ...]:
    return (
        rules.Empty(),
        rules.Placeholders(),
        rules.TooFewLetters(settings.min_letters),
        rules.TooLong(settings.max_characters, settings.max_words),
        rules.Identifier(),
        rules.Identical(),
        rules.Punctuation(settings.max_punctuation),
        rules.LengthRatio(settings.max_length_ratio, settings.ratio_slack, usual_ratio),
    )


def _drop(verdicts: Verdicts, kept: Sequence[tuple[int, Candidate]], mask: np.ndarray, rule: str) -> None:
    for place in np.flatnonzero(mask).tolist():
        verdicts.rules[kept[place][0]] = rule
