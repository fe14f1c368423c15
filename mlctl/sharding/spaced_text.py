"""Text with a space between all of its words and marks, as taggers read it: XTREME joins the words of a tagged sentence by spaces.

SentencePiece tokenizers put a token of its own, `▁`, before many words that stand after a space, and that token gets the word's tag.
Running text rarely has it in languages without spaces.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from mlctl.core.random import text_draws
from mlctl.sharding.content_words import SideWords

_DRAWS = 2.0**64


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
    drawn = (text_draws(side.texts, seed, f"spaced {name}") < share * _DRAWS).tolist()
    texts, ranges = list(side.texts), side.ranges.copy()
    for row, (first, last) in enumerate(itertools.pairwise(side.bounds.tolist())):
        if drawn[row]:
            texts[row], ranges[first:last] = spaced_text(texts[row], ranges[first:last])
    return SideWords(texts, ranges, side.bounds)


def spaced_text(text: str, ranges: npt.NDArray[np.int64]) -> tuple[str, npt.NDArray[np.int64]]:
    """Return a text with a space at both ends of each word that has none there, and the words' ranges in the new text.

    Args:
        text: a sentence.
        ranges: characters [start, end) of its words, in order, not overlapping (words, 2).
    """
    cuts = [
        cut
        for cut in np.unique(ranges).tolist()
        if 0 < cut < len(text) and not text[cut - 1].isspace() and not text[cut].isspace()
    ]
    parts = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    starts = ranges[:, 0] + np.searchsorted(cuts, ranges[:, 0], side="right")
    ends = ranges[:, 1] + np.searchsorted(cuts, ranges[:, 1], side="left")
    return " ".join(parts), np.stack([starts, ends], axis=1)
