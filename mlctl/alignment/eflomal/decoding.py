"""From the marginals of both directions to links and how sure they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.numba_kernels import kernel
from mlctl.alignment.eflomal.sampling import NULL_LINK
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.alignment.symmetrization import symmetrize

_LINKED = np.uint8(4)


@kernel
def most_probable_links(found: npt.NDArray[np.float32], links: npt.NDArray[np.int16]) -> None:
    """Fill `links` (J,) with the likeliest source word of each target word by P(a_j = i) (J, I), -1 where nothing is likelier."""
    for j in range(len(links)):
        nothing = np.float32(1)
        top = np.float32(0)
        links[j] = NULL_LINK
        for i in range(found.shape[1]):
            nothing -= found[j, i]
            if found[j, i] > top:
                top = found[j, i]
                links[j] = i
        if nothing > top:
            links[j] = NULL_LINK


@kernel
def link_confidence(forward: float, backward: float) -> float:
    """Return how sure a link is: the geometric mean of both directions' probabilities, and half of either at least."""
    sure: float = max(np.sqrt(forward * backward), max(forward, backward) / 2)
    return min(sure, 1.0)


@kernel
def extract_links(
    forward: npt.NDArray[np.float32],
    backward: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    corpus: Corpus,
    heuristic: int,
    words: npt.NDArray[np.int32],
    sure: npt.NDArray[np.float32],
    sizes: npt.NDArray[np.int64],
) -> None:
    """Link the words of sentences.

    Args:
        forward, backward: P(a_j = i) of sentence s from `places[s]` on, (J, I), and of the other direction, (I, J).
        heuristic: index in `symmetry.HEURISTICS`.
        words, sure: get the links (…, 2) of sentence s and their confidence, from the sum of its two offsets on: there cannot be
            more of them than words on both sides.
        sizes: gets the number of links of each sentence.
    """
    for s in range(len(sizes)):
        first, last = corpus.source_offsets[s], corpus.source_offsets[s + 1]
        first_target, last_target = corpus.target_offsets[s], corpus.target_offsets[s + 1]
        sources, targets = last - first, last_target - first_target
        one = forward[places[s] : places[s] + sources * targets].reshape((targets, sources))
        other = backward[places[s] : places[s] + sources * targets].reshape((sources, targets))
        ours, theirs = np.empty(targets, np.int16), np.empty(sources, np.int16)
        most_probable_links(one, ours)
        most_probable_links(other, theirs)
        grid = np.empty((sources, targets), np.uint8)
        symmetrize(ours, theirs, heuristic, grid, np.empty(sources, np.uint8), np.empty(targets, np.uint8))
        place = first + first_target
        for i in range(sources):
            for j in range(targets):
                if grid[i, j] & _LINKED:
                    words[place, 0], words[place, 1] = i, j
                    sure[place] = link_confidence(one[j, i], other[i, j])
                    place += 1
        sizes[s] = place - first - first_target
