"""How likely pairs are to be translations, each judged by a model that has not seen it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.duplicates import digests_of
from mlctl.cleaning.lexicon import Direction, Floats, Tokens, Vocabulary, words_of
from mlctl.cleaning.prior_lexicon import Earlier

#: Pairs to learn from: more makes a better model and a longer start.
SAMPLE = 20_000
# Words' worth of doubt (the shorter the text, the nearer its score to 0), and words below which nothing is said.
_DOUBT = 3.0
_FEW = 4
_NAME = 3.0  # what a rare word is worth that stands on both sides


class Words(NamedTuple):
    """Pairs as the model sees them: the words of both sides, and the half of the sample that each pair is in."""

    sources: list[list[str]]
    targets: list[list[str]]
    halves: list[int]

    @classmethod
    def of(cls, sources: Sequence[str], targets: Sequence[str]) -> Words:
        """Split pairs into words."""
        return cls([words_of(text) for text in sources], [words_of(text) for text in targets], _halves(sources).tolist())

    @classmethod
    def joined(cls, several: Sequence[Words]) -> Words:
        """Return all pairs of several."""
        sources = list(itertools.chain.from_iterable(words.sources for words in several))
        targets = list(itertools.chain.from_iterable(words.targets for words in several))
        return cls(sources, targets, list(itertools.chain.from_iterable(words.halves for words in several)))

    def known(self, lexicon: Path) -> Earlier:
        """Return what a lexicon (schema LEXICON) knows of these words."""
        return Earlier.read(lexicon, (self.sources, self.targets))


class Likelihood:
    """Two lexical models, each learned from half of the sample.

    A pair is judged by the model of the half that texts like its source are not in. So a wrong pair is never its own evidence.
    """

    def __init__(
        self, vocabularies: tuple[Vocabulary, Vocabulary], forward: Sequence[Direction], backward: Sequence[Direction]
    ) -> None:
        self._vocabularies = vocabularies
        self._forward = forward
        self._backward = backward

    @classmethod
    def learned(cls, words: Words, earlier: Earlier | None = None) -> Likelihood:
        """Learn from pairs, and from what an earlier alignment knows."""
        sides = words.sources, words.targets
        known = earlier.known if earlier else (frozenset[str](), frozenset[str]())
        vocabularies = Vocabulary.of(sides[0], known[0]), Vocabulary.of(sides[1], known[1])
        ours, theirs = (
            list(map(vocabulary.tokens, _split(side, words.halves))) for vocabulary, side in zip(vocabularies, sides, strict=True)
        )
        sizes = len(vocabularies[0]), len(vocabularies[1])
        there, back = earlier.priors(vocabularies) if earlier else (None, None)
        forward = [Direction.learned(ours[half], theirs[half], sizes, there) for half in (1, 0)]
        backward = [Direction.learned(theirs[half], ours[half], sizes[::-1], back) for half in (1, 0)]
        return cls(vocabularies, forward, backward)

    @classmethod
    def load(cls, path: Path) -> Likelihood:
        """Return what was saved; the tables stay on disk."""
        ours, theirs = json.loads((path / "words.json").read_text(encoding="utf-8"))
        forward, backward = ([Direction.load(path / f"{way}-{half}") for half in (0, 1)] for way in ("forward", "backward"))
        return cls((Vocabulary(ours), Vocabulary(theirs)), forward, backward)

    def save(self, path: Path) -> None:
        """Write the models into a new folder."""
        path.mkdir()
        words = [vocabulary.words for vocabulary in self._vocabularies]
        (path / "words.json").write_text(json.dumps(words), encoding="utf-8")
        for half in (0, 1):
            self._forward[half].save(path / f"forward-{half}")
            self._backward[half].save(path / f"backward-{half}")

    def scores(self, sources: Sequence[str], targets: Sequence[str]) -> Floats:
        """Return for each pair how likely it is: the mean over words of log p(word | other side) / p(word), both directions.

        0: as likely as two texts that have nothing to do with each other; 0 too where too few words are known.
        """
        halves, scores = _halves(sources), np.zeros(len(sources))
        for half in (0, 1):
            rows = np.flatnonzero(halves == half).tolist()
            words = [words_of(sources[row]) for row in rows], [words_of(targets[row]) for row in rows]
            ours, theirs = (vocabulary.tokens(side) for vocabulary, side in zip(self._vocabularies, words, strict=True))
            scores[rows] = self._judge(half, ours, theirs, np.array(list(map(self._shared, *words)), dtype=np.float64))
        return scores

    def _judge(self, half: int, ours: Tokens, theirs: Tokens, shared: Floats) -> Floats:
        names = _NAME * shared
        forward = (self._forward[half].scores(ours, theirs) + names) / (theirs.counts + shared + _DOUBT)
        backward = (self._backward[half].scores(theirs, ours) + names) / (ours.counts + shared + _DOUBT)
        known = np.minimum(ours.counts, theirs.counts) >= _FEW
        return np.where(known, (forward + backward) / 2, 0.0)

    def _shared(self, ours: list[str], theirs: list[str]) -> int:
        """Return how many words that the model does not know stand on both sides: names and numbers."""
        return sum(
            word not in self._vocabularies[0] and word not in self._vocabularies[1] for word in {*ours}.intersection(theirs)
        )


def _halves(sources: Sequence[str]) -> npt.NDArray[np.uint64]:
    return digests_of(sources) & np.uint64(1)


def _split(texts: Sequence[list[str]], halves: Sequence[int]) -> tuple[list[list[str]], list[list[str]]]:
    return tuple([text for text, own in zip(texts, halves, strict=True) if own == half] for half in (0, 1))  # type: ignore[return-value]
