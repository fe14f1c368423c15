"""Decoding: from the marginals of both directions to links and their confidence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.numba_jit import kernel
from mlctl.alignment.eflomal.sampling import NULL_LINK
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.alignment.symmetrization import symmetrize

_LINKED = np.uint8(4)


@kernel
def most_probable_links(marginals: npt.NDArray[np.float32], links: npt.NDArray[np.int16]) -> None:
    """Fill `links` (J,) with the most probable source word of each target word by P(a_j = i) (J, I); -1 if no link is more probable."""
    for j in range(len(links)):
        null = np.float32(1)
        top = np.float32(0)
        links[j] = NULL_LINK
        for i in range(marginals.shape[1]):
            null -= marginals[j, i]
            if marginals[j, i] > top:
                top = marginals[j, i]
                links[j] = i
        if null > top:
            links[j] = NULL_LINK


@kernel
def link_confidence(forward: float, backward: float) -> float:
    """Return the confidence of a link: the geometric mean of both directions' probabilities, at least half of the larger one."""
    confidence: float = max(np.sqrt(forward * backward), max(forward, backward) / 2)
    return min(confidence, 1.0)


@kernel
def extract_links(
    forward: npt.NDArray[np.float32],
    backward: npt.NDArray[np.float32],
    cell_offsets: npt.NDArray[np.int64],
    corpus: Corpus,
    heuristic: int,
    words: npt.NDArray[np.int32],
    confidences: npt.NDArray[np.float32],
    counts: npt.NDArray[np.int64],
) -> None:
    """Extract the links of all sentences.

    Args:
        forward, backward: P(a_j = i) of sentence s from `cell_offsets[s]` on, (J, I), and of the other direction, (I, J).
        cell_offsets: of each sentence's cells (sentences + 1,).
        corpus: the sentences.
        heuristic: index in `symmetrization.HEURISTICS`.
        words, confidences: outputs, the links (…, 2) of sentence s and their confidence, from the sum of its two offsets on: a
            sentence has at most as many links as words on both sides.
        counts: output, the number of links of each sentence.
    """
    for s in range(len(counts)):
        first, last = corpus.source_offsets[s], corpus.source_offsets[s + 1]
        first_target, last_target = corpus.target_offsets[s], corpus.target_offsets[s + 1]
        sources, targets = last - first, last_target - first_target
        forward_cells = forward[cell_offsets[s] : cell_offsets[s] + sources * targets].reshape((targets, sources))
        backward_cells = backward[cell_offsets[s] : cell_offsets[s] + sources * targets].reshape((sources, targets))
        forward_links, backward_links = np.empty(targets, np.int16), np.empty(sources, np.int16)
        most_probable_links(forward_cells, forward_links)
        most_probable_links(backward_cells, backward_links)
        grid = np.empty((sources, targets), np.uint8)
        symmetrize(forward_links, backward_links, heuristic, grid, np.empty(sources, np.uint8), np.empty(targets, np.uint8))
        index = first + first_target
        for i in range(sources):
            for j in range(targets):
                if grid[i, j] & _LINKED:
                    words[index, 0], words[index, 1] = i, j
                    confidences[index] = link_confidence(forward_cells[j, i], backward_cells[i, j])
                    index += 1
        counts[s] = index - first - first_target
