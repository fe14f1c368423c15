"""The rules that look at one row, in their order, and what they learn from a sample first."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlctl import config
from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.filters import base, cross_side, language_script
from mlctl.cleaning.filters.base import Candidate, Rule
from mlctl.cleaning.lengths import Lengths, evidence_of, usual_lengths
from mlctl.cleaning.likelihood import Likelihood, Words
from mlctl.cleaning.normalize import tidy

UNLIKELY = "unlikely translation"

# A text of so many times the allowed length is dropped before anything looks for markup in it.
_FAR_TOO_LONG = 20
# Pairs with longer sides are no evidence for what is usual.
_LONGEST_SAMPLE = 5_000


class FilterDecision(NamedTuple):
    """The rule that drops a row, or ("") the row as it is kept."""

    rule: str
    pair: Candidate | None = None


@dataclass(frozen=True)
class Learned:
    """What the corpus of a language pair says about itself."""

    lengths: Lengths
    likelihood: Likelihood | None = None

    def save(self, path: Path) -> None:
        """Write all of it into a new folder."""
        path.mkdir()
        (path / "lengths.json").write_text(json.dumps(self.lengths), encoding="utf-8")
        if self.likelihood:
            self.likelihood.save(path / "likelihood")

    @classmethod
    def load(cls, path: Path) -> Learned:
        """Return what was saved."""
        lengths = Lengths(*json.loads((path / "lengths.json").read_text(encoding="utf-8")))
        return cls(lengths, Likelihood.load(path / "likelihood") if (path / "likelihood").exists() else None)


class Evidence(NamedTuple):
    """What one slice of a sample teaches."""

    lengths: list[tuple[int, int]]
    words: Words

    def save(self, path: Path) -> None:
        """Write it into a file."""
        path.write_text(json.dumps([self.lengths, self.words]), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """Return what was saved."""
        lengths, words = json.loads(path.read_text(encoding="utf-8"))
        return cls([(source, target) for source, target in lengths], Words(*words))


class Judges:
    """The judge of the pairs and of source text, and the one of text that stands alone in the target language."""

    def __init__(self, settings: config.Clean, source: str, target: str, learned: Learned) -> None:
        self._forward = Judge(settings, source, target, learned)
        self._back = Judge(settings, target, source, Learned(Lengths()))

    def judge(self, sources: Sequence[str | None], targets: Sequence[str | None]) -> list[FilterDecision]:
        """Return what becomes of each row. One side may be None: the candidate's source is then the text that is there."""
        back = [row for row, source in enumerate(sources) if source is None]
        forward = [(source, target) for source, target in zip(sources, targets, strict=True) if source is not None]
        decisions = iter(self._forward.judge([source for source, _ in forward], [target for _, target in forward]))
        alone = iter(self._back.judge([targets[row] or "" for row in back], [None] * len(back)) if back else ())
        return [next(alone if source is None else decisions) for source in sources]


class Judge:
    """The rules of one language pair that look at one row at a time, whatever the others are."""

    def __init__(self, settings: config.Clean, source: str, target: str, learned: Learned) -> None:
        self._settings = settings
        self._rules = _in_order(settings, source, target, learned.lengths)
        self._spaced = base.is_spaced(source), base.is_spaced(target)
        self._language = _language(settings, source, target)
        self._likelihood = learned.likelihood

    def judge(self, sources: Sequence[str], targets: Sequence[str | None]) -> list[FilterDecision]:
        """Return what becomes of each row. A target is None where the text has no translation."""
        decisions = list(map(self._verdict, sources, targets))
        _drop(decisions, self._language.name, self._language.among)
        if self._likelihood:
            _drop(decisions, UNLIKELY, functools.partial(self._unlikely, self._likelihood))
        return decisions

    def _verdict(self, source: str, target: str | None) -> FilterDecision:
        hopeless = _FAR_TOO_LONG * self._settings.max_characters
        if len(source) > hopeless or len(target or "") > hopeless:
            return FilterDecision(base.TooLong.name)
        pair = Candidate(tidy(source, target), *self._spaced)
        rule = first_rule(self._rules, pair)
        return FilterDecision(rule, None if rule else pair)

    def _unlikely(self, model: Likelihood, rows: Sequence[Candidate]) -> Mask:
        pairs = [row.target is not None for row in rows]
        texts = [row.tidied for row in rows if row.target]
        unlikely = np.zeros(len(rows), dtype=bool)
        scores = model.scores([pair.source for pair in texts], [pair.target or "" for pair in texts])
        unlikely[pairs] = scores < self._settings.min_likelihood
        return unlikely


def look(settings: config.Clean, source: str, target: str, sample: Iterable[tuple[str, str]]) -> Evidence:
    """Return what a slice of a sample of pairs teaches: the lengths of all, the words of those that no rule drops."""
    tidied = [tidy(*pair) for pair in sample if len(pair[0]) + len(pair[1]) <= _LONGEST_SAMPLE]
    lengths = evidence_of(tidied)
    order, spaced = (
        _in_order(settings, source, target, usual_lengths(lengths)),
        (base.is_spaced(source), base.is_spaced(target)),
    )
    good = [pair for pair in tidied if not first_rule(order, Candidate(pair, *spaced))]
    return Evidence(lengths, Words.of([pair.source for pair in good], [pair.target or "" for pair in good]))


def learn(settings: config.Clean, slices: Sequence[Evidence], lexicon: Path | None = None) -> Learned:
    """Learn from all slices: the usual lengths, and which words translate which if they, and a lexicon, say enough of it.

    Raises:
        InputError: the lexicon cannot be read.
    """
    lengths = usual_lengths([pair for one in slices for pair in one.lengths])
    words = Words.joined([one.words for one in slices])
    earlier = words.known(lexicon) if lexicon else None
    pairs = len(words.halves) + (earlier.pairs if earlier else 0)
    return Learned(lengths, Likelihood.learned(words, earlier) if pairs >= settings.likelihood_pairs else None)


def reasons(settings: config.Clean, source: str, target: str) -> dict[str, str]:
    """Return the rules' names in the order in which they are applied, each with what it drops."""
    language = _language(settings, source, target)
    alone = {rule.name: rule.reason for rule in _in_order(settings, source, target, Lengths())}
    unlikely = f"the words of one side are not what the other's are translated by (likelihood below {settings.min_likelihood:g})"
    return alone | {language.name: language.reason, UNLIKELY: unlikely}


def first_rule(order: Iterable[Rule], pair: Candidate) -> str:
    """Return the name of the first rule that drops the pair; "": none does."""
    return next((rule.name for rule in order if rule.drops(pair)), "")


def _in_order(settings: config.Clean, source: str, target: str, lengths: Lengths) -> tuple[Rule, ...]:
    return (
        base.Empty(),
        base.Placeholders(),
        base.TooFewLetters(settings.min_letters),
        base.TooLong(settings.max_characters, settings.max_words),
        base.Identifier(),
        base.Identical(),
        base.Punctuation(settings.max_punctuation),
        language_script.Mojibake(),
        cross_side.LengthRatio(settings.max_length_ratio, settings.max_ratio_zscore, settings.ratio_slack, lengths),
        cross_side.SentenceEnds(settings.max_end_difference),
        cross_side.CutOff(settings.cut_off_zscore, lengths),
        language_script.Script(source, target, settings.min_script_share),
        cross_side.Untranslated(settings.max_copied_share),
        cross_side.Numbers(settings.min_shared_digits),
        cross_side.Addresses(),
    )


def _language(settings: config.Clean, source: str, target: str) -> language_script.WrongLanguage:
    """Return the rule that comes after those: it looks at many rows at a time, which is faster."""
    return language_script.WrongLanguage(source, target, settings.language_letters, settings.language_margin)


def _drop(decisions: list[FilterDecision], rule: str, find: Callable[[Sequence[Candidate]], Mask]) -> None:
    """Have a rule look at the rows that are left."""
    left = [(row, verdict.pair) for row, verdict in enumerate(decisions) if verdict.pair]
    for dropped, (row, _) in zip(find([pair for _, pair in left]).tolist(), left, strict=True):
        if dropped:
            decisions[row] = FilterDecision(rule)
