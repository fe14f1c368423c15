"""The aligner `fast_align`: thot's FastAlign (Dyer, Chahuneau & Smith 2013, "A Simple, Fast, and Effective Reparameterization of
IBM Model 2"), as a well-known baseline."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlctl.alignment.aligner import Links, Pair
from mlctl.config.align import Symmetrisation
from mlctl.errors import InputError

_ITERATIONS = 4
_DIRECTIONS = ("forward", "backward")
# thot saves the training sentences and requires these files when it loads a model, but not their contents.
_SENTENCE_SUFFIXES = ("src", "trg", "srctrgc")
# Its vocabulary files have one word per line after a space, and some words are reserved.
_UNSAFE_CHARACTERS = re.compile(r"[\x00- \x7f]")
_RESERVED_WORDS = {"NULL", "UNKNOWN_WORD", "<UNUSED_WORD>"}
_CACHED_PROBABILITIES = 1 << 17


class FastAligner:
    """FastAlign in both directions, joined by a symmetrisation heuristic.

    A pair's links depend only on the model and the pair. Sums differ in their last digits with the number of threads;
    OMP_NUM_THREADS=1 gives the same bytes in every run.
    """

    def __init__(self, symmetrisation: Symmetrisation) -> None:
        self._symmetrisation = symmetrisation
        self._directions = _Direction(_model()), _Direction(_model())

    @classmethod
    def load(cls, folder: Path, symmetrisation: Symmetrisation) -> FastAligner:
        """Return the aligner that `save` wrote.

        Raises:
            InputError: the folder contains no model.
        """
        loaded = cls(symmetrisation)
        for name, direction in zip(_DIRECTIONS, loaded._directions, strict=True):
            if not direction.model.load(str(folder / name)):
                raise InputError(f"{folder} contains no model of the aligner fast_align", "remove the align result and run again")
        return loaded

    def train(self, pairs: Iterable[Pair]) -> None:
        """Train both directions on pairs; those with an empty side are ignored."""
        forward, backward = (direction.model for direction in self._directions)
        for source, target in pairs:
            words = _safe_words(source.words()), _safe_words(target.words())
            if all(words):
                forward.add_sentence_pair(*words)
                backward.add_sentence_pair(*reversed(words))
        for model in (forward, backward):
            model.start_training()
            for _ in range(_ITERATIONS):
                model.train()
            model.end_training()

    def save(self, folder: Path) -> None:
        """Write both directions, without the sentences."""
        for name, direction in zip(_DIRECTIONS, self._directions, strict=True):
            if not direction.model.print(str(folder / name)):
                raise OSError(f"thot could not write {folder / name}")
            for suffix in _SENTENCE_SUFFIXES:
                (folder / f"{name}.{suffix}").write_bytes(b"")

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair; their confidence is the geometric mean of the two directions' posteriors."""
        from thot.alignment import SymmetrizationHeuristic, SymmetrizedAligner

        symmetrized = SymmetrizedAligner(*(direction.model for direction in self._directions))
        symmetrized.heuristic = getattr(SymmetrizationHeuristic, self._symmetrisation.upper().replace("-", "_"))
        words = [(_safe_words(source.words()), _safe_words(target.words())) for source, target in pairs]
        alignments = symmetrized.get_best_alignments(*([pair[side] for pair in words] for side in (0, 1)))
        return [self._links(*pair, matrix) for pair, (_, matrix) in zip(words, alignments, strict=True)]

    def _links(self, source: list[str], target: list[str], matrix: Any) -> Links:
        if not (source and target):
            return Links(np.empty((0, 2), np.int32), np.empty(0, np.float32))
        links = np.argwhere(matrix.to_numpy()).astype(np.int32)
        forward, backward = self._directions
        confidence = np.sqrt(forward.posteriors(source, target) * backward.posteriors(target, source).T)
        return Links(links, confidence[links[:, 0], links[:, 1]].astype(np.float32))


class _Direction:
    """A model of one direction, with the posteriors of its links."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._translation_probability = functools.lru_cache(_CACHED_PROBABILITIES)(model.translation_prob)
        self._cached_alignment_probabilities = functools.lru_cache(1024)(self._alignment_probabilities)

    def posteriors(self, source: list[str], target: list[str]) -> npt.NDArray[np.float64]:
        """Return the posterior that each target word is aligned to each source word (I, J); the rest of a column is the null word's."""
        sources = [0, *map(self.model.get_src_word_index, source)]  # 0: the null word
        targets = [self.model.get_trg_word_index(word) for word in target]
        lexical = np.array([[self._translation_probability(a, b) for b in targets] for a in sources])
        joint = lexical * self._cached_alignment_probabilities(len(source), len(target))
        posteriors: npt.NDArray[np.float64] = (joint / joint.sum(0))[1:]
        return posteriors

    def _alignment_probabilities(self, sources: int, targets: int) -> npt.NDArray[np.float64]:
        return np.array(
            [[self.model.alignment_prob(j, sources, targets, i) for j in range(1, targets + 1)] for i in range(sources + 1)]
        )


def _model() -> Any:
    from thot.alignment import FastAlignModel

    return FastAlignModel()


def _safe_words(words: Sequence[str]) -> list[str]:
    """Return words that thot's files can store: control characters and spaces as their Unicode pictures, reserved words in lower case."""
    if not any(word in _RESERVED_WORDS or _UNSAFE_CHARACTERS.search(word) for word in words):
        return list(words)
    return [_UNSAFE_CHARACTERS.sub(_control_picture, word.lower() if word in _RESERVED_WORDS else word) for word in words]


def _control_picture(match: re.Match[str]) -> str:
    return "\u2421" if match[0] == "\x7f" else chr(0x2400 + ord(match[0]))
