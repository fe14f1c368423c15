"""How a corpus was decoded: what its texts tell together that one text cannot."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from mlctl.cleaning.mojibake.encodings import Misreading
from mlctl.cleaning.mojibake.letter_counts import LetterCounts
from mlctl.cleaning.mojibake.letter_model import LetterModel
from mlctl.cleaning.mojibake.mixture import MIN_SHARE, fit_misreadings
from mlctl.cleaning.mojibake.repair import EncodingRepair

_MAX_SUSPECTS = 500  # texts of a sample whose readings are compared
_MIN_GAIN = 3.0  # of the best reading, in nats
_MIN_TEXTS = 10  # that seem misread, from which the misreadings of all texts are compared
_MIN_SHARE = 0.02  # of the texts beyond ASCII that seem misread, likewise
_MAX_VOTED = 8  # misreadings of single texts that are compared
_SEPARATOR = " "


class Evidence(NamedTuple):
    """What a sample of the texts of a language tells.

    Attributes:
        texts: number of texts with characters beyond ASCII.
        misread: about how many of them were misread, by misreading (`read_as true`).
        letters: letters and words of the texts as they should read.
    """

    texts: int
    misread: dict[str, float]
    letters: LetterCounts

    @classmethod
    def of(cls, language: str, texts: Iterable[str]) -> Self:
        """Collect the evidence of texts; nothing is known of their corpus."""
        texts = list(texts)
        beyond_ascii = [text for text in texts if not text.isascii()]
        shares = _shares(LetterModel(language), beyond_ascii)
        repair = EncodingRepair(LetterModel(language), shares)
        misread = {_SEPARATOR.join(misreading): round(share * len(beyond_ascii), 3) for misreading, share in shares.items()}
        return cls(len(beyond_ascii), misread, LetterCounts.of(language, _right(repair, texts)))

    @classmethod
    def total(cls, parts: Iterable[Evidence]) -> Self:
        """Return the evidence of several samples together."""
        texts, misread, letters = 0, Counter[str](), []
        for part in parts:
            texts += part.texts
            misread.update(part.misread)
            letters.append(part.letters)
        return cls(texts, {name: round(count, 3) for name, count in misread.items()}, LetterCounts.total(letters))

    @classmethod
    def from_json(cls, content: tuple[int, dict[str, float], list[object]]) -> Self:
        """Return evidence that was written as JSON."""
        texts, misread, letters = content
        return cls(texts, misread, LetterCounts(*letters))  # type: ignore[arg-type]

    def repair(self, language: str) -> EncodingRepair:
        """Return what repairs the texts of the corpus."""
        shares = {Misreading(*name.split(_SEPARATOR)): texts / self.texts for name, texts in self.misread.items()}
        return EncodingRepair(
            self.letters.model(language), {misreading: share for misreading, share in shares.items() if share >= MIN_SHARE}
        )


def _shares(model: LetterModel, texts: Sequence[str]) -> dict[Misreading, float]:
    """Return the shares of the misreadings of texts beyond ASCII; {} if few texts seem misread."""
    repair = EncodingRepair(model)
    suspects = list(itertools.islice(filter(repair.is_suspect, texts), _MAX_SUSPECTS))
    best = (readings[0] for readings in map(repair.readings, suspects) if readings)
    votes = Counter(reading.misreading for reading in best if reading.gain >= _MIN_GAIN)
    if votes.total() < max(_MIN_TEXTS, _MIN_SHARE * len(texts)):
        return {}
    return fit_misreadings(model, texts, (misreading for misreading, _ in votes.most_common(_MAX_VOTED)))


def _right(repair: EncodingRepair, texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts as they should read, without those of which this is doubtful."""
    for text in texts:
        repaired = repair.repair(text)
        if not repaired.doubtful:
            yield repaired.text
