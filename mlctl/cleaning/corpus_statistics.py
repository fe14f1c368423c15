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
from mlctl.cleaning.markup import decode_entities
from mlctl.cleaning.mojibake.evidence import Evidence
from mlctl.cleaning.mojibake.repair import EncodingRepair
from mlctl.cleaning.normalize import normalize_pair
from mlctl.cleaning.row_filters import pair_rules

#: Rows without translation, of all slices, whose encoding is examined.
UNTRANSLATED_SAMPLE = 4_000
_MAX_EVIDENCE = 1_000  # pairs of a slice whose encoding is examined
_MAX_PAIR_CHARACTERS = 5_000  # of both sides; longer pairs are left out of the sample


@dataclass(frozen=True)
class CorpusStatistics:
    """Statistics of the corpus of one language pair.

    Attributes:
        lengths: usual lengths.
        likelihood: lexical model; None where the corpus is too small for one.
        repairs: what repairs the encoding of the source and of the target; None: nothing is known of the corpus.
    """

    lengths: LengthStatistics
    likelihood: LikelihoodModel | None = None
    repairs: tuple[EncodingRepair, EncodingRepair] | None = None

    def save(self, path: Path) -> None:
        """Write the statistics into a new folder."""
        path.mkdir()
        (path / "lengths.json").write_text(json.dumps(self.lengths), encoding="utf-8")
        if self.repairs:
            content = [repair.to_json() for repair in self.repairs]
            (path / "encodings.json").write_text(json.dumps(content), encoding="utf-8")
        if self.likelihood:
            self.likelihood.save(path / "likelihood")

    @classmethod
    def load(cls, path: Path) -> CorpusStatistics:
        """Read the statistics that `save` wrote."""
        lengths = LengthStatistics(*json.loads((path / "lengths.json").read_text(encoding="utf-8")))
        likelihood = LikelihoodModel.load(path / "likelihood") if (path / "likelihood").exists() else None
        if not (path / "encodings.json").exists():
            return cls(lengths, likelihood)
        source, target = map(EncodingRepair.from_json, json.loads((path / "encodings.json").read_text(encoding="utf-8")))
        return cls(lengths, likelihood, (source, target))


class SampleStatistics(NamedTuple):
    """Statistics of one slice of the sample: the lengths of its pairs, the words of those that no rule drops, and the evidence of how
    each side's text was decoded.
    """

    lengths: list[tuple[int, int]]
    words: SampleWords
    encodings: tuple[Evidence, Evidence]

    def save(self, path: Path) -> None:
        """Write the statistics into a JSON file."""
        path.write_text(json.dumps([self.lengths, self.words, self.encodings]), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SampleStatistics:
        """Read the statistics that `save` wrote."""
        lengths, words, encodings = json.loads(path.read_text(encoding="utf-8"))
        source, target = map(Evidence.from_json, encodings)
        return cls([(source, target) for source, target in lengths], SampleWords(*words), (source, target))


def collect_statistics(
    settings: config.Clean,
    source: str,
    target: str,
    sample: Iterable[tuple[str, str]],
    untranslated: Iterable[tuple[str | None, str | None]] = (),
) -> SampleStatistics:
    """Return the statistics of one slice of the samples of pairs and of text without translation."""
    pairs = [pair for pair in sample if len(pair[0]) + len(pair[1]) <= _MAX_PAIR_CHARACTERS]
    evidence = _encodings(source, target, [*pairs[:: -(-len(pairs) // _MAX_EVIDENCE) or 1], *untranslated])
    repairs = evidence[0].repair(source), evidence[1].repair(target)
    normalized = [normalize_pair(*pair, repairs=repairs) for pair in pairs]
    lengths = pair_lengths(normalized)
    rules = pair_rules(settings, source, target, fit_lengths(lengths))
    spaced = is_spaced(source), is_spaced(target)
    candidates = ((pair, SentencePair(pair, *spaced)) for pair in normalized)
    kept = [pair for pair, candidate in candidates if not any(rule.drops(candidate) for rule in rules)]
    words = SampleWords.of([pair.source for pair in kept], [pair.target or "" for pair in kept])
    return SampleStatistics(lengths, words, evidence)


def fit_statistics(
    settings: config.Clean, source: str, target: str, slices: Sequence[SampleStatistics], lexicon: Path | None = None
) -> CorpusStatistics:
    """Fit the usual lengths and letters on all slices, and a likelihood model if they, with a lexicon of earlier text, have enough pairs.

    Raises:
        InputError: the lexicon cannot be read.
    """
    lengths = fit_lengths([pair for sample in slices for pair in sample.lengths])
    words = SampleWords.concatenated([sample.words for sample in slices])
    prior = words.read_prior(lexicon) if lexicon else None
    pairs = len(words.halves) + (prior.equivalent_pairs if prior else 0)
    likelihood = LikelihoodModel.fit(words, prior) if pairs >= settings.likelihood_pairs else None
    evidence = (Evidence.total(sample.encodings[side] for sample in slices) for side in (0, 1))
    source_repair, target_repair = (side.repair(language) for side, language in zip(evidence, (source, target), strict=True))
    return CorpusStatistics(lengths, likelihood, (source_repair, target_repair))


def _encodings(source: str, target: str, rows: Sequence[tuple[str | None, str | None]]) -> tuple[Evidence, Evidence]:
    """Return the evidence of how the text of each side was decoded."""
    sides = ([decode_entities(text) for text in side if text] for side in (zip(*rows, strict=True) if rows else ((), ())))
    source_evidence, target_evidence = (
        Evidence.of(language, side) for language, side in zip((source, target), sides, strict=True)
    )
    return source_evidence, target_evidence
