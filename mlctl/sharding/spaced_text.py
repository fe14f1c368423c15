"""Text with a space between all of its words and marks, as taggers read it: XTREME joins the words of a tagged sentence by spaces.

SentencePiece tokenizers put a token of its own, `▁`, before many words that stand after a space, and that token gets the word's tag.
Running text rarely has it in languages without spaces.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlctl.core.random import text_draws
from mlctl.sharding.content_words import SideWords

Integers = npt.NDArray[np.int64]

_DRAWS = 2.0**64
_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype="<u4")


def space_words(side: SideWords, share: float, seed: int, name: str) -> SideWords:
    """Return a side of which a share of the texts, drawn by their hashes, has a space at both ends of every word, with the words' new ranges.

    Args:
        side: texts and words.
        share: of the texts, in [0, 1].
        seed: seed of the draw.
        name: of the side; the draws of two sides are independent.
    """
    if not share:
        return side
    drawn = text_draws(side.texts, seed, f"spaced {name}") < share * _DRAWS
    return SideWords(*spaced_texts(side.texts, side.ranges, side.bounds, drawn), side.words)


def spaced_texts(
    texts: Sequence[str], ranges: Integers, bounds: Integers, drawn: npt.NDArray[np.bool_]
) -> tuple[list[str], Integers]:
    """Return texts of which those drawn have a space at both ends of each word that has none there, and the words' ranges in them.

    Args:
        texts: sentences.
        ranges: characters [start, end) of their words, in order, not overlapping (words, 2).
        bounds: where the words of each text begin, and the end of the last (texts + 1,).
        drawn: which texts get spaces (texts,).
    """
    text_bounds = np.fromiter(itertools.accumulate(map(len, texts), initial=0), np.int64)
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
    word_texts = np.repeat(np.arange(len(texts)), np.diff(bounds))
    words = ranges + text_bounds[word_texts, None]  # counted through all texts
    cuts = np.setdiff1d(words[drawn[word_texts]], text_bounds)
    is_space = np.isin(codes, _SPACES)
    cuts = cuts[~is_space[cuts - 1] & ~is_space[cuts]]

    new_bounds = text_bounds + np.searchsorted(cuts, text_bounds)
    starts = words[:, 0] + np.searchsorted(cuts, words[:, 0], side="right")
    ends = words[:, 1] + np.searchsorted(cuts, words[:, 1], side="left")
    joined = np.insert(codes, cuts, ord(" ")).astype("<u4").tobytes().decode("utf-32-le")
    spaced = [joined[first:last] for first, last in itertools.pairwise(new_bounds.tolist())]
    return spaced, np.stack([starts, ends], axis=1) - new_bounds[word_texts, None]
