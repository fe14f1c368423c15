"""What a word aligner is: it learns from pairs, is saved and loaded, and links the words of any pairs, always alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mlctl.alignment.word_tokenization import Span, normalised


class Sentence(NamedTuple):
    """A text and the character ranges [start, end) of its words."""

    text: str
    spans: Sequence[Span]

    def words(self) -> list[str]:
        """Return the words as the statistics count them."""
        return [normalised(self.text[start:end]) for start, end in self.spans]


#: Both sides of a sentence pair, each with one word at least.
Pair = tuple[Sentence, Sentence]


class Links(NamedTuple):
    """Links of one pair.

    Attributes:
        words: source and target word of each link (L, 2), sorted, each link once.
        confidence: how sure each is (L,), in [0, 1].
    """

    words: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]


class Aligner(Protocol):
    """Links words. What it is made of (settings, seed, priors) is given when it is made."""

    def train(self, pairs: Iterable[Pair]) -> None:
        """Learn from pairs, which are read once, in order."""

    def save(self, folder: Path) -> None:
        """Write all that `align` needs into an empty folder: the same bytes for the same pairs and settings."""

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair. The same pairs in one call give the same links, in any process."""
