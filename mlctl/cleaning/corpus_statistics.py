"""What row rules learn from a sample of the corpus before they are applied: usual lengths, and which words translate which."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlctl import config
from mlctl.cleaning.filters.base import SentencePair, is_spaced
from mlctl.cleaning.length_statistics import LengthStatistics, fit_lengths, pair_lengths
from mlctl.cleaning.likelihood import LikelihoodModel, SampleWords
from mlctl.cleaning.normalize import normalize_pair
from mlctl.cleaning.row_filters import pair_rules

_MAX_PAIR_CHARACTERS = 5_000  # of both sides; longer pairs are left out of the sample


@dataclass(frozen=True)
class CorpusStatistics:
    """Statistics of the corpus of one language pair; `likelihood` is None where the corpus is too small for a model."""

    lengths: LengthStatistics
    likelihood: LikelihoodModel | None = None

    def save(self, path: Path) -> None:
        """Write the statistics into a new folder."""
        path.mkdir()
        (path / "lengths.json").write_text(json.dumps(self.lengths), encoding="utf-8")
        if self.likelihood:
            self.likelihood.save(path / "likelihood")

    @classmethod
    def load(cls, path: Path) -> CorpusStatistics:
        """Read the statistics that `save` wrote."""
        lengths = LengthStatistics(*json.loads((path / "lengths.json").read_text(encoding="utf-8")))
        return cls(lengths, LikelihoodModel.load(path / "likelihood") if (path / "likelihood").exists() else None)


class SampleStatistics(NamedTuple):
    """Statistics of one slice of the sample: the lengths of its pairs, and the words of those that no rule drops."""

    lengths: list[tuple[int, int]]
    words: SampleWords

    def save(self, path: Path) -> None:
        """Write the statistics into a JSON file."""
        path.write_text(json.dumps([self.lengths, self.words]), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SampleStatistics:
        """Read the statistics that `save` wrote."""
        lengths, words = json.loads(path.read_text(encoding="utf-8"))
        return cls([(source, target) for source, target in lengths], SampleWords(*words))


def collect_statistics(settings: config.Clean, source: str, target: str, sample: Iterable[tuple[str, str]]) -> SampleStatistics:
    """Return the statistics of one slice of the sample of pairs."""
    normalized = [normalize_pair(*pair) for pair in sample if len(pair[0]) + len(pair[1]) <= _MAX_PAIR_CHARACTERS]
    lengths = pair_lengths(normalized)
    rules = pair_rules(settings, source, target, fit_lengths(lengths))
    spaced = is_spaced(source), is_spaced(target)
    pairs = ((pair, SentencePair(pair, *spaced)) for pair in normalized)
    kept = [pair for pair, candidate in pairs if not any(rule.drops(candidate) for rule in rules)]
    return SampleStatistics(lengths, SampleWords.of([pair.source for pair in kept], [pair.target or "" for pair in kept]))


def fit_statistics(settings: config.Clean, slices: Sequence[SampleStatistics], lexicon: Path | None = None) -> CorpusStatistics:
    """Fit the usual lengths on all slices, and a likelihood model if they, with a lexicon of earlier text, have enough pairs.

    Raises:
        InputError: the lexicon cannot be read.
    """
    lengths = fit_lengths([pair for sample in slices for pair in sample.lengths])
    words = SampleWords.concatenated([sample.words for sample in slices])
    prior = words.read_prior(lexicon) if lexicon else None
    pairs = len(words.halves) + (prior.equivalent_pairs if prior else 0)
    return CorpusStatistics(lengths, LikelihoodModel.fit(words, prior) if pairs >= settings.likelihood_pairs else None)
