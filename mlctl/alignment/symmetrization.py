"""Joining the two directions of a statistical aligner: Koehn, Och and Marcu (NAACL 2003), as everybody's tools have it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.numba_kernels import kernel
from mlctl.config.align import Symmetrisation

#: The heuristics by number.
HEURISTICS: tuple[Symmetrisation, ...] = ("intersection", "grow-diag", "grow-diag-final-and", "grow-diag-final", "union")

_FORWARD, _BACKWARD, _LINKED = np.uint8(1), np.uint8(2), np.uint8(4)
_BOTH = np.uint8(3)


@kernel
def join(
    forward: npt.NDArray[np.int16],
    backward: npt.NDArray[np.int16],
    heuristic: int,
    grid: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.uint8],
    columns: npt.NDArray[np.uint8],
) -> None:
    """Set bit 4 of `grid` (I, J) where a link is.

    Args:
        forward: source word of each target word (J,), -1: none.
        backward: target word of each source word (I,), -1: none.
        heuristic: index in `HEURISTICS`.
        grid, rows, columns: room (I, J), (I,), (J,); what they hold does not matter. Afterwards the last two tell which words are linked.
    """
    grid[:] = 0
    rows[:] = 0
    columns[:] = 0
    for j in range(len(forward)):
        if forward[j] >= 0:
            grid[forward[j], j] |= _FORWARD
    for i in range(len(backward)):
        if backward[i] >= 0:
            grid[i, backward[i]] |= _BACKWARD
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            if grid[i, j] == _BOTH or (heuristic == 4 and grid[i, j]):
                _link(grid, rows, columns, i, j)
    if heuristic in (1, 2, 3):
        _grow(grid, rows, columns)
    if heuristic in (2, 3):
        _final(grid, rows, columns, _FORWARD, heuristic == 2)
        _final(grid, rows, columns, _BACKWARD, heuristic == 2)


@kernel
def _link(grid: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], columns: npt.NDArray[np.uint8], i: int, j: int) -> None:
    grid[i, j] |= _LINKED
    rows[i] = 1
    columns[j] = 1


@kernel
def _grow(grid: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], columns: npt.NDArray[np.uint8]) -> None:
    """Link what either direction has beside a link, and of which one word at least has none, row by row; until nothing is added."""
    added = True
    while added:
        added = False
        for i in range(grid.shape[0]):
            for j in range(grid.shape[1]):
                new = grid[i, j] & _BOTH and not grid[i, j] & _LINKED and not (rows[i] and columns[j])
                if new and _beside(grid, i, j):
                    _link(grid, rows, columns, i, j)
                    added = True


@kernel
def _beside(grid: npt.NDArray[np.uint8], i: int, j: int) -> bool:
    """Tell whether one of the eight places around is a link."""
    for near in range(max(i - 1, 0), min(i + 2, grid.shape[0])):
        for other in range(max(j - 1, 0), min(j + 2, grid.shape[1])):
            if grid[near, other] & _LINKED and (near != i or other != j):
                return True
    return False


@kernel
def _final(
    grid: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], columns: npt.NDArray[np.uint8], direction: np.uint8, both: bool
) -> None:
    """Link what a direction has where one word (`both`: each) has no link."""
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            free = not rows[i] and not columns[j] if both else not (rows[i] and columns[j])
            if grid[i, j] & direction and free:
                _link(grid, rows, columns, i, j)
