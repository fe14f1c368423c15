"""Text that is longer than an engine takes: split at sentence ends, never cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icu4py.breakers import SentenceBreaker

from mlctl.core.unicode_scripts import has_unspaced
from mlctl.translation.backend import EMPTY, TOO_LONG, Translation, Translator


class Splitting:
    """A translator that hands longer text to another one in pieces of whole sentences, as few as fit."""

    def __init__(self, inner: Translator, long_text: Literal["split", "reject"]) -> None:
        self._inner = inner
        self._splits = long_text == "split"

    def identity(self) -> dict[str, str]:
        """Return the engine's."""
        return self._inner.identity()

    def serves(self, source: str, target: str) -> bool:
        """Tell whether the engine translates from `source` to `target`."""
        return self._inner.serves(source, target)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether the engine takes it whole."""
        return self._inner.fits(texts, source, target)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts; one with a sentence that does not fit is rejected as `TOO_LONG`."""
        made = list(self._inner.translate(texts, source, target))
        if not self._splits:
            return made
        long = [row for row, translation in enumerate(made) if translation.rule == TOO_LONG]
        pieces = {row: found for row in long if (found := self._pieces(texts[row], source, target))}
        flat = [piece for found in pieces.values() for piece in found]
        answers = iter(self._inner.translate(flat, source, target) if flat else [])
        for row, found in pieces.items():
            made[row] = _joined([next(answers) for _ in found])
        return made

    def close(self) -> None:
        """Close the engine."""
        self._inner.close()

    def _pieces(self, text: str, source: str, target: str) -> list[str]:
        """Return the pieces, each as long as fits; none where one sentence alone is too long."""
        sentences = list(SentenceBreaker(text, source))
        if len(sentences) < 2 or not all(self._inner.fits([sentence.strip() for sentence in sentences], source, target)):
            return []
        pieces = [""]
        for sentence in sentences:
            longer = pieces[-1] + sentence
            if self._inner.fits([longer.strip()], source, target)[0]:
                pieces[-1] = longer
            else:
                pieces.append(sentence)
        return [piece.strip() for piece in pieces if piece.strip()]


def _joined(made: Sequence[Translation]) -> Translation:
    """Join the pieces of one text; it is as faulty as its first faulty piece."""
    for translation in made:
        if translation.rule or not translation.text.strip():
            return Translation("", translation.rule or EMPTY)
    texts = [translation.text for translation in made]
    whole = texts[0]
    for text in texts[1:]:
        # Scripts without spaces between words have none between sentences either.
        whole += text if has_unspaced(whole[-2:]) and has_unspaced(text[:2]) else f" {text}"
    return Translation(whole)
