"""Statistical word aligners, trained on the very pairs they align."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mlctl.config import Symmetrisation

# How thot's matrices name the ways of joining two directions.
_JOINS: dict[Symmetrisation, str] = {
    "intersection": "intersect",
    "union": "union",
    "grow-diag": "grow_diag",
    "grow-diag-final": "grow_diag_final",
    "grow-diag-final-and": "grow_diag_final_and",
}
# The model with three samplers errs a little less and takes three times as long.
_EFLOMAL_SAMPLERS = 1
_FAST_ALIGN_ITERATIONS = 4


class Engine(Protocol):
    """Takes all pairs of two languages, learns from them, and gives each pair's links."""

    def add(self, source: Sequence[str], target: Sequence[str]) -> None:
        """Take the words of one more pair: 1 to 1000 a side (thot leaves sentences over 1024 words unaligned without a word)."""

    def fit(self) -> None:
        """Learn from all pairs taken."""

    def links(self, row: int) -> npt.NDArray[np.int64]:
        """Return the links of the pair taken as number `row` (from 0): word indices (L, 2), source and target, sorted."""


class ThotEngine:
    """A model of the thot library in both directions, joined by a symmetrisation heuristic.

    The links are those of the training itself (for Eflomal: of its last samples), which err less than aligning the same pairs
    anew with the finished model and cost nothing. FastAlign is the same from run to run only with OMP_NUM_THREADS=1.
    """

    def __init__(self, kind: Literal["eflomal", "fast_align"], symmetrisation: Symmetrisation, seed: int) -> None:
        self._join = _JOINS[symmetrisation]
        self._forward = _model(kind, seed)
        self._backward = _model(kind, seed)

    def add(self, source: Sequence[str], target: Sequence[str]) -> None:
        """Take the words of one more pair."""
        self._forward.add_sentence_pair(source, target)
        self._backward.add_sentence_pair(target, source)

    def fit(self) -> None:
        """Train both directions."""
        for model in (self._forward, self._backward):
            model.start_training()
            for _ in range(getattr(model, "scheduled_iterations", _FAST_ALIGN_ITERATIONS)):
                model.train()
            model.end_training()

    def links(self, row: int) -> npt.NDArray[np.int64]:
        """Return the joined links of pair `row`, word indices (L, 2)."""
        _, matrix = self._forward.get_training_alignment(row)
        _, backward = self._backward.get_training_alignment(row)
        backward.transpose()
        getattr(matrix, self._join)(backward)
        return np.argwhere(matrix.to_numpy())


def _model(kind: Literal["eflomal", "fast_align"], seed: int) -> Any:
    from thot.alignment import EflomalAlignmentModel, FastAlignModel

    model: Any = FastAlignModel() if kind == "fast_align" else EflomalAlignmentModel()
    model.emit_training_alignments = True
    if kind == "eflomal":
        model.seed, model.deterministic, model.num_samplers = seed, True, _EFLOMAL_SAMPLERS
    return model
