"""The rules in their order, over batches of one language pair."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlctl import config
from mlctl.cleaning import agreement, identity, rules
from mlctl.cleaning.duplicates import Mask, Seen, digests_of
from mlctl.cleaning.lengths import Lengths, usual_lengths
from mlctl.cleaning.likelihood import Likelihood
from mlctl.cleaning.near import NearDuplicates
from mlctl.cleaning.repeats import Repeats
from mlctl.cleaning.rules import Candidate, Rule
from mlctl.cleaning.tidy import tidy

DUPLICATE = "duplicate"
TRANSLATED_ELSEWHERE = "translated elsewhere"
NEAR_DUPLICATE = "near duplicate"
BOILERPLATE = "boilerplate"
UNLIKELY = "unlikely translation"

# A text of so many times the allowed length is dropped before anything looks for markup in it.
_FAR_TOO_LONG = 20
# Pairs with longer sides are no evidence for what is usual.
_LONGEST_SAMPLE = 5_000

_Numbered = tuple[int, Candidate]


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


@dataclass(frozen=True)
class Learned:
    """What the corpus of a language pair says about itself."""

    lengths: Lengths
    likelihood: Likelihood | None = None


class Judge:
    """All rules of one language pair, with the memory of what was kept. Pairs come first, text without translation after them."""

    def __init__(
        self, settings: config.Clean, source: str, target: str, learned: Learned, *, pairs: int, remember_sources: bool
    ) -> None:
        self._settings = settings
        self._rules = _in_order(settings, source, target, learned.lengths)
        self._spaced = rules.is_spaced(source), rules.is_spaced(target)
        self._likelihood = learned.likelihood
        self._pairs = Seen()
        self._untranslated = Seen()
        self._translated = Seen() if remember_sources else None
        self._near = NearDuplicates(settings.near_duplicate_similarity, pairs) if settings.near_duplicates != "off" else None
        self._repeats = (Repeats(settings.max_repeats), Repeats(settings.max_repeats)) if settings.max_repeats else None

    def pairs(self, sources: Sequence[str], targets: Sequence[str]) -> Verdicts:
        """Judge pairs."""
        verdicts, kept = self._one_by_one(sources, targets)
        for rule, judge in self._of_many():
            kept = _drop(verdicts, kept, judge(kept), rule)
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

    def _one_by_one(self, sources: Sequence[str], targets: Sequence[str | None]) -> tuple[Verdicts, list[_Numbered]]:
        hopeless = _FAR_TOO_LONG * self._settings.max_characters
        verdicts, kept = Verdicts([], [], []), []
        for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
            if len(source) > hopeless or len(target or "") > hopeless:
                verdicts.add(rules.TooLong.name, source, target)
                continue
            pair = Candidate(tidy(source, target), *self._spaced)
            rule = first_rule(self._rules, pair)
            if not rule:
                kept.append((row, pair))
            verdicts.add(rule, pair.tidied.source, pair.tidied.target)
        return verdicts, kept

    def _of_many(self) -> Iterator[tuple[str, Callable[[list[_Numbered]], Mask]]]:
        yield DUPLICATE, lambda kept: ~self._pairs.add(digests_of(_both(pair) for _, pair in kept))
        if self._near:
            yield NEAR_DUPLICATE, functools.partial(self._near_duplicates, self._near)
        if self._repeats:
            yield BOILERPLATE, functools.partial(_boilerplate, *self._repeats)
        if self._likelihood:
            yield UNLIKELY, functools.partial(self._unlikely, self._likelihood)

    def _near_duplicates(self, seen: NearDuplicates, kept: list[_Numbered]) -> Mask:
        side = _SIDES[self._settings.near_duplicates]
        texts = [side(pair) for _, pair in kept]
        long = np.array([len(text) >= self._settings.near_duplicate_characters for text in texts], dtype=bool)
        near = np.zeros(len(kept), dtype=bool)
        near[long] = seen.add([text for text, judged in zip(texts, long, strict=True) if judged])
        return near

    def _unlikely(self, model: Likelihood, kept: list[_Numbered]) -> Mask:
        scores = model.scores([pair.source.text for _, pair in kept], [pair.tidied.target or "" for _, pair in kept])
        return scores < self._settings.min_likelihood


def learn(settings: config.Clean, source: str, target: str, sample: Iterable[tuple[str, str]]) -> Learned:
    """Learn from a sample of pairs: the usual lengths from all, which words translate which from those that no rule drops."""
    tidied = [tidy(*pair) for pair in sample if len(pair[0]) + len(pair[1]) <= _LONGEST_SAMPLE]
    lengths = usual_lengths(tidied)
    if len(tidied) < settings.likelihood_pairs:
        return Learned(lengths)
    order, spaced = _in_order(settings, source, target, lengths)[:-1], (rules.is_spaced(source), rules.is_spaced(target))
    good = [pair for pair in tidied if not first_rule(order, Candidate(pair, *spaced))]
    if len(good) < settings.likelihood_pairs:
        return Learned(lengths)
    return Learned(lengths, Likelihood([pair.source for pair in good], [pair.target or "" for pair in good]))


def reasons(settings: config.Clean, source: str, target: str) -> dict[str, str]:
    """Return the rules' names in the order in which they are applied, each with what it drops."""
    alone = {rule.name: rule.reason for rule in _in_order(settings, source, target, Lengths())}
    return alone | {
        DUPLICATE: "the same text came before",
        NEAR_DUPLICATE: f"a text that is nearly the same came before ({settings.near_duplicates}: {settings.near_duplicate_similarity:.0%})",
        BOILERPLATE: f"a side came more than {settings.max_repeats} times, numbers aside, each time with something else",
        UNLIKELY: f"the words of one side are not what the other's are translated by (likelihood below {settings.min_likelihood:g})",
        TRANSLATED_ELSEWHERE: "the text has no translation here, but another corpus has one",
    }


def first_rule(order: Iterable[Rule], pair: Candidate) -> str:
    """Return the name of the first rule that drops the pair; "": none does."""
    return next((rule.name for rule in order if rule.drops(pair)), "")


def _in_order(settings: config.Clean, source: str, target: str, lengths: Lengths) -> tuple[Rule, ...]:
    return (
        rules.Empty(),
        rules.Placeholders(),
        rules.TooFewLetters(settings.min_letters),
        rules.TooLong(settings.max_characters, settings.max_words),
        rules.Identifier(),
        rules.Identical(),
        rules.Punctuation(settings.max_punctuation),
        identity.Mojibake(),
        agreement.LengthRatio(settings.max_length_ratio, settings.max_ratio_spreads, settings.ratio_slack, lengths),
        agreement.SentenceEnds(settings.max_end_difference),
        agreement.CutOff(settings.cut_off_spreads, lengths),
        identity.Script(source, target, settings.min_script_share),
        agreement.Untranslated(settings.max_copied_share),
        agreement.Numbers(settings.min_shared_digits),
        agreement.Addresses(),
        identity.WrongLanguage(source, target, settings.language_letters, settings.language_margin),
    )


def _boilerplate(ours: Repeats, theirs: Repeats, kept: list[_Numbered]) -> Mask:
    return ours.add(pair.source_key for _, pair in kept) | theirs.add(pair.target_key for _, pair in kept)


def _both(pair: Candidate) -> str:
    return f"{pair.source_key}\x00{pair.target_key}"


_SIDES: dict[str, Callable[[Candidate], str]] = {
    "pair": _both,
    "source": lambda pair: pair.source_key,
    "target": lambda pair: pair.target_key,
}


def _drop(verdicts: Verdicts, kept: list[_Numbered], mask: Mask, rule: str) -> list[_Numbered]:
    """Write down what a rule drops; return what is left."""
    for place in np.flatnonzero(mask).tolist():
        verdicts.rules[kept[place][0]] = rule
    return [one for one, dropped in zip(kept, mask.tolist(), strict=True) if not dropped]
