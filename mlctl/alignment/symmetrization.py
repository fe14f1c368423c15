"""Symmetrisation of the two directions of a statistical aligner: Koehn, Och and Marcu (NAACL 2003), as in Moses and fast_align."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.numba_jit import kernel
from mlctl.config.align import Symmetrisation

#: The heuristics, by their index.
HEURISTICS: tuple[Symmetrisation, ...] = ("intersection", "grow-diag", "grow-diag-final-and", "grow-diag-final", "union")

_FORWARD, _BACKWARD, _LINKED = np.uint8(1), np.uint8(2), np.uint8(4)
_BOTH = np.uint8(3)


@kernel
def symmetrize(
    forward: npt.NDArray[np.int16],
    backward: npt.NDArray[np.int16],
    heuristic: int,
    grid: npt.NDArray[np.uint8],
    source_linked: npt.NDArray[np.uint8],
    target_linked: npt.NDArray[np.uint8],
) -> None:
    """Set bit 4 of `grid` (I, J) in the cells that are links.

    Args:
        forward: index of the source word of each target word (J,), -1: none.
        backward: index of the target word of each source word (I,), -1: none.
        heuristic: index in `HEURISTICS`.
        grid, source_linked, target_linked: output buffers (I, J), (I,), (J,) with any content. The last two mark the words that have a link.
    """
    grid[:] = 0
    source_linked[:] = 0
    target_linked[:] = 0
    for j in range(len(forward)):
        if forward[j] >= 0:
            grid[forward[j], j] |= _FORWARD
    for i in range(len(backward)):
        if backward[i] >= 0:
            grid[i, backward[i]] |= _BACKWARD
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            if grid[i, j] == _BOTH or (heuristic == 4 and grid[i, j]):
                _link(grid, source_linked, target_linked, i, j)
    if heuristic in (1, 2, 3):
        _grow(grid, source_linked, target_linked)
    if heuristic in (2, 3):
        _final(grid, source_linked, target_linked, _FORWARD, heuristic == 2)
        _final(grid, source_linked, target_linked, _BACKWARD, heuristic == 2)


@kernel
def _link(
    grid: npt.NDArray[np.uint8], source_linked: npt.NDArray[np.uint8], target_linked: npt.NDArray[np.uint8], i: int, j: int
) -> None:
    grid[i, j] |= _LINKED
    source_linked[i] = 1
    target_linked[j] = 1


@kernel
def _grow(grid: npt.NDArray[np.uint8], source_linked: npt.NDArray[np.uint8], target_linked: npt.NDArray[np.uint8]) -> None:
    """Add links of either direction that are neighbours of a link and have a word without one, row by row, until none is added."""
    added = True
    while added:
        added = False
        for i in range(grid.shape[0]):
            for j in range(grid.shape[1]):
                add = grid[i, j] & _BOTH and not grid[i, j] & _LINKED and not (source_linked[i] and target_linked[j])
                if add and _has_linked_neighbour(grid, i, j):
                    _link(grid, source_linked, target_linked, i, j)
                    added = True


@kernel
def _has_linked_neighbour(grid: npt.NDArray[np.uint8], i: int, j: int) -> bool:
    """Return whether one of the eight neighbouring cells is a link."""
    for row in range(max(i - 1, 0), min(i + 2, grid.shape[0])):
        for column in range(max(j - 1, 0), min(j + 2, grid.shape[1])):
            if grid[row, column] & _LINKED and (row != i or column != j):
                return True
    return False


@kernel
def _final(
    grid: npt.NDArray[np.uint8],
    source_linked: npt.NDArray[np.uint8],
    target_linked: npt.NDArray[np.uint8],
    direction: np.uint8,
    both: bool,
) -> None:
    """Add the links of a direction of which one word (`both`: each word) has no link yet."""
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            unlinked = not source_linked[i] and not target_linked[j] if both else not (source_linked[i] and target_linked[j])
            if grid[i, j] & direction and unlinked:
                _link(grid, source_linked, target_linked, i, j)
