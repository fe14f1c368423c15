"""The protocol of a word aligner: it is trained on pairs, saved and loaded, and links the words of any pairs deterministically."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mlctl.core.word_forms import normalise_word

if TYPE_CHECKING:
    from mlctl.alignment.word_tokenization import Span


class Sentence(NamedTuple):
    """A text and the character ranges [start, end) of its words."""

    text: str
    spans: Sequence[Span]

    def words(self) -> list[str]:
        """Return the words in the normal form of the statistics."""
        return [normalise_word(self.text[start:end]) for start, end in self.spans]


#: Source and target of a sentence pair, each with at least one word.
Pair = tuple[Sentence, Sentence]


class Links(NamedTuple):
    """Links of one pair.

    Attributes:
        words: indices of the source and the target word of each link (L, 2), sorted, each link once.
        confidence: of each link (L,), in [0, 1].
    """

    words: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]


class Aligner(Protocol):
    """Links words. Its constructor takes the settings, the seed and the priors."""

    def train(self, pairs: Iterable[Pair]) -> None:
        """Train on pairs, which are read once, in order."""

    def save(self, folder: Path) -> None:
        """Write all that `align` needs into an empty folder: the same bytes for the same pairs and settings."""

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair. The same pairs in one call give the same links, in any process."""
