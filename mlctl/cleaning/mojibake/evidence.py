"""How a corpus was decoded: what its texts tell together that one text cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, Self

from mlctl.cleaning.mojibake.encodings import Misreading
from mlctl.cleaning.mojibake.letter_counts import LetterCounts
from mlctl.cleaning.mojibake.letter_model import LetterModel
from mlctl.cleaning.mojibake.repair import EncodingRepair

_MAX_SUSPECTS = 500  # texts of a sample whose readings are compared
_MIN_GAIN = 3.0  # of the best reading, in nats
_MIN_TEXTS = 10  # that were misread alike, from which the corpus is taken for misread
_SEPARATOR = " "


class Evidence(NamedTuple):
    """What a sample of the texts of a language tells.

    Attributes:
        misread: number of texts by how they seem to have been misread (`read_as true`).
        characters: letters of the alphabet and quotation marks beyond ASCII, by the other texts that have them.
        letters: letters and words of the texts as they should read.
    """

    misread: dict[str, int]
    characters: dict[str, int]
    letters: LetterCounts

    @classmethod
    def of(cls, language: str, texts: Iterable[str]) -> Self:
        """Collect the evidence of texts; nothing is known of their corpus."""
        repair = EncodingRepair(LetterModel(language))
        misread, characters, right, suspects = Counter[str](), Counter[str](), list[str](), 0
        for text in texts:
            if suspects < _MAX_SUSPECTS and repair.is_suspect(text):
                suspects += 1
                readings = repair.readings(text)
                if readings and readings[0].gain >= _MIN_GAIN:
                    misread[_SEPARATOR.join(readings[0].misreading)] += 1
                    repaired = repair.repair(text)
                    right += [] if repaired.doubtful else [repaired.text]
                    continue
            right.append(text)
            characters.update({c for c in text if not c.isascii() and repair.model.kind(c) in ("main", "quote")})
        return cls(misread, characters, LetterCounts.of(language, right))

    @classmethod
    def total(cls, parts: Iterable[Evidence]) -> Self:
        """Return the evidence of several samples together."""
        misread, characters, letters = Counter[str](), Counter[str](), []
        for part in parts:
            misread.update(part.misread)
            characters.update(part.characters)
            letters.append(part.letters)
        return cls(misread, characters, LetterCounts.total(letters))

    @classmethod
    def from_json(cls, content: tuple[dict[str, int], dict[str, int], list[object]]) -> Self:
        """Return evidence that was written as JSON."""
        misread, characters, letters = content
        return cls(misread, characters, LetterCounts(*letters))  # type: ignore[arg-type]

    def repair(self, language: str) -> EncodingRepair:
        """Return what repairs the texts of the corpus."""
        misreadings = (Misreading(*name.split(_SEPARATOR)) for name, texts in self.misread.items() if texts >= _MIN_TEXTS)
        expected = frozenset(misreading for misreading in misreadings if self._is_expected(misreading))
        return EncodingRepair(self.letters.model(language), expected)

    def _is_expected(self, misreading: Misreading) -> bool:
        """Return whether more texts are misread so than have a character that the misreading would have changed."""
        against = max((texts for character, texts in self.characters.items() if misreading.changes(character)), default=0)
        return self.misread[_SEPARATOR.join(misreading)] > against
