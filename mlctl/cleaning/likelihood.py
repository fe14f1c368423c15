"""Likelihood that two sentences translate each other, by lexical models that were not trained on the pair."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.duplicates import digests_of
from mlctl.cleaning.ibm_model1 import EncodedTexts, Floats, IbmModel1, Vocabulary, split_key, split_words
from mlctl.cleaning.prior_lexicon import PriorLexicon

#: Pairs in the training sample: more make a better model and a longer start.
SAMPLE = 20_000
# Pseudo-words with a log ratio of 0, which pull the score of short text to 0; and known words below which the score is 0.
_SMOOTHING_WORDS = 3.0
_MIN_KNOWN_WORDS = 4
_SHARED_WORD_SCORE = 3.0  # log ratio of a rare word that is on both sides


class ScoredText(NamedTuple):
    """A pair that is scored: its source text, by which its half is known, and both sides' keys (`comparison_key`)."""

    source: str
    source_key: str
    target_key: str


class SampleWords(NamedTuple):
    """The words of a sample of pairs, and the half of the sample (0 or 1) that each pair belongs to."""

    sources: list[list[str]]
    targets: list[list[str]]
    halves: list[int]

    @classmethod
    def of(cls, sources: Sequence[str], targets: Sequence[str]) -> SampleWords:
        """Split pairs into words."""
        return cls([split_words(text) for text in sources], [split_words(text) for text in targets], _halves(sources).tolist())

    @classmethod
    def concatenated(cls, samples: Sequence[SampleWords]) -> SampleWords:
        """Return the pairs of all samples."""
        sources, targets, halves = (
            list(itertools.chain.from_iterable(sample[field] for sample in samples)) for field in range(3)
        )
        return cls(sources, targets, halves)  # type: ignore[arg-type]

    def read_prior(self, lexicon: Path) -> PriorLexicon:
        """Return the part of a lexicon (schema LEXICON) that has these words."""
        return PriorLexicon.read(lexicon, (self.sources, self.targets))


class LikelihoodModel:
    """Two lexical models in both directions, each trained on half of the sample.

    A pair is scored by the model of the half that its source text does not belong to, so that a wrong pair is never its own evidence.
    """

    def __init__(
        self, vocabularies: tuple[Vocabulary, Vocabulary], forward: Sequence[IbmModel1], backward: Sequence[IbmModel1]
    ) -> None:
        """Take the vocabularies of both sides and, for each half, the model that scores its pairs."""
        self._vocabularies = vocabularies
        self._forward = forward
        self._backward = backward

    @classmethod
    def fit(cls, words: SampleWords, prior: PriorLexicon | None = None) -> LikelihoodModel:
        """Train on pairs, starting from a lexicon of earlier text if there is one."""
        sides = words.sources, words.targets
        known = prior.known if prior else (frozenset[str](), frozenset[str]())
        vocabularies = Vocabulary.build(sides[0], known[0]), Vocabulary.build(sides[1], known[1])
        sources, targets = (
            list(map(vocabulary.encode, _split(side, words.halves))) for vocabulary, side in zip(vocabularies, sides, strict=True)
        )
        sizes = len(vocabularies[0]), len(vocabularies[1])
        forward_prior, backward_prior = prior.priors(vocabularies) if prior else (None, None)
        forward = [IbmModel1.fit(sources[half], targets[half], sizes, forward_prior) for half in (1, 0)]
        backward = [IbmModel1.fit(targets[half], sources[half], sizes[::-1], backward_prior) for half in (1, 0)]
        return cls(vocabularies, forward, backward)

    @classmethod
    def load(cls, path: Path) -> LikelihoodModel:
        """Read a model that `save` wrote; its tables are memory-mapped."""
        source_words, target_words = json.loads((path / "words.json").read_text(encoding="utf-8"))
        forward, backward = ([IbmModel1.load(path / f"{way}-{half}") for half in (0, 1)] for way in ("forward", "backward"))
        return cls((Vocabulary(source_words), Vocabulary(target_words)), forward, backward)

    def save(self, path: Path) -> None:
        """Write the models into a new folder."""
        path.mkdir()
        words = [vocabulary.words for vocabulary in self._vocabularies]
        (path / "words.json").write_text(json.dumps(words), encoding="utf-8")
        for half in (0, 1):
            self._forward[half].save(path / f"forward-{half}")
            self._backward[half].save(path / f"backward-{half}")

    def scores(self, texts: Sequence[ScoredText]) -> Floats:
        """Return the score of each pair: the mean over words and both directions of log p(word | other side) / p(word).

        0: as likely as two unrelated texts; also 0 where too few words are known.
        """
        halves, scores = _halves([text.source for text in texts]), np.zeros(len(texts))
        for half in (0, 1):
            rows = np.flatnonzero(halves == half).tolist()
            words = [split_key(texts[row].source_key) for row in rows], [split_key(texts[row].target_key) for row in rows]
            source_ids, target_ids = (vocabulary.encode(side) for vocabulary, side in zip(self._vocabularies, words, strict=True))
            shared = np.array(list(map(self._shared_words, *words)), dtype=np.float64)
            scores[rows] = self._scores_of_half(half, source_ids, target_ids, shared)
        return scores

    def _scores_of_half(self, half: int, sources: EncodedTexts, targets: EncodedTexts, shared: Floats) -> Floats:
        shared_score = _SHARED_WORD_SCORE * shared
        forward = (self._forward[half].scores(sources, targets) + shared_score) / (targets.counts + shared + _SMOOTHING_WORDS)
        backward = (self._backward[half].scores(targets, sources) + shared_score) / (sources.counts + shared + _SMOOTHING_WORDS)
        has_enough_words = np.minimum(sources.counts, targets.counts) >= _MIN_KNOWN_WORDS
        return np.where(has_enough_words, (forward + backward) / 2, 0.0)

    def _shared_words(self, source: list[str], target: list[str]) -> int:
        """Return how many words outside the vocabulary are on both sides: names and numbers."""
        sources, targets = self._vocabularies
        return len(targets.unknown(sources.unknown({*source}.intersection(target))))


def _halves(sources: Sequence[str]) -> npt.NDArray[np.uint64]:
    return digests_of(sources) & np.uint64(1)


def _split(texts: Sequence[list[str]], halves: Sequence[int]) -> tuple[list[list[str]], list[list[str]]]:
    first, second = ([text for text, own in zip(texts, halves, strict=True) if own == half] for half in (0, 1))
    return first, second
