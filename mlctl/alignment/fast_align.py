"""The engine `fast_align`: thot's FastAlign (Dyer, Chahuneau & Smith 2013, "A Simple, Fast, and Effective Reparameterization of
IBM Model 2"), for comparison with what everybody knows."""

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
_NAMES = ("forward", "backward")
# thot saves the sentences that it was trained on, asks for the files when it loads, and needs nothing that is in them.
_SENTENCES = ("src", "trg", "srctrgc")
# Its vocabulary files have a word a line behind a space, and some words are its own.
_BREAKS_FILES = re.compile(r"[\x00- \x7f]")
_RESERVED = {"NULL", "UNKNOWN_WORD", "<UNUSED_WORD>"}
_PROBABILITIES = 1 << 17  # remembered


class FastAligner:
    """FastAlign in both directions, joined by a symmetrisation heuristic.

    A pair's links depend on the model and the pair alone. Sums differ in their last digits with the number of threads:
    OMP_NUM_THREADS=1 makes the same bytes in every run.
    """

    def __init__(self, symmetrisation: Symmetrisation) -> None:
        self._symmetrisation = symmetrisation
        self._directions = _Direction(_model()), _Direction(_model())

    @classmethod
    def load(cls, folder: Path, symmetrisation: Symmetrisation) -> FastAligner:
        """Return the aligner that `save` wrote.

        Raises:
            InputError: the folder holds none.
        """
        loaded = cls(symmetrisation)
        for name, direction in zip(_NAMES, loaded._directions, strict=True):
            if not direction.model.load(str(folder / name)):
                raise InputError(f"{folder} holds no model of the engine fast_align", "remove the align result and run again")
        return loaded

    def train(self, pairs: Iterable[Pair]) -> None:
        """Learn both directions from pairs; those with an empty side teach nothing."""
        forward, backward = (direction.model for direction in self._directions)
        for source, target in pairs:
            words = _words(source.words()), _words(target.words())
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
        for name, direction in zip(_NAMES, self._directions, strict=True):
            if not direction.model.print(str(folder / name)):
                raise OSError(f"thot could not write {folder / name}")
            for what in _SENTENCES:
                (folder / f"{name}.{what}").write_bytes(b"")

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair; their confidence is the geometric mean of the two directions' posteriors."""
        from thot.alignment import SymmetrizationHeuristic, SymmetrizedAligner

        both = SymmetrizedAligner(*(direction.model for direction in self._directions))
        both.heuristic = getattr(SymmetrizationHeuristic, self._symmetrisation.upper().replace("-", "_"))
        words = [(_words(source.words()), _words(target.words())) for source, target in pairs]
        found = both.get_best_alignments(*([pair[side] for pair in words] for side in (0, 1)))
        return [self._links(*pair, matrix) for pair, (_, matrix) in zip(words, found, strict=True)]

    def _links(self, source: list[str], target: list[str], matrix: Any) -> Links:
        if not (source and target):
            return Links(np.empty((0, 2), np.int32), np.empty(0, np.float32))
        links = np.argwhere(matrix.to_numpy()).astype(np.int32)
        forward, backward = self._directions
        agreed = np.sqrt(forward.posteriors(source, target) * backward.posteriors(target, source).T)
        return Links(links, agreed[links[:, 0], links[:, 1]].astype(np.float32))


class _Direction:
    """A model, and how probable its links are."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._translation = functools.lru_cache(_PROBABILITIES)(model.translation_prob)
        self._places = functools.lru_cache(1024)(self._place_probabilities)

    def posteriors(self, source: list[str], target: list[str]) -> npt.NDArray[np.float64]:
        """Return how probable each source word is to have made each target word (I, J); a column's rest is no word's."""
        sources = [0, *map(self.model.get_src_word_index, source)]  # 0: no word
        targets = [self.model.get_trg_word_index(word) for word in target]
        lexical = np.array([[self._translation(a, b) for b in targets] for a in sources])
        joint = lexical * self._places(len(source), len(target))
        probable: npt.NDArray[np.float64] = (joint / joint.sum(0))[1:]
        return probable

    def _place_probabilities(self, sources: int, targets: int) -> npt.NDArray[np.float64]:
        return np.array(
            [[self.model.alignment_prob(j, sources, targets, i) for j in range(1, targets + 1)] for i in range(sources + 1)]
        )


def _model() -> Any:
    from thot.alignment import FastAlignModel

    return FastAlignModel()


def _words(words: Sequence[str]) -> list[str]:
    """Return words that thot's files can hold: control characters and blanks as their pictures, reserved words in small letters."""
    if not any(word in _RESERVED or _BREAKS_FILES.search(word) for word in words):
        return list(words)
    return [_BREAKS_FILES.sub(_picture, word.lower() if word in _RESERVED else word) for word in words]


def _picture(match: re.Match[str]) -> str:
    return "\u2421" if match[0] == "\x7f" else chr(0x2400 + ord(match[0]))
