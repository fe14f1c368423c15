"""Text that is longer than a backend accepts: split at sentence ends, never truncated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icu4py.breakers import SentenceBreaker

from mlctl.core.unicode_scripts import has_unspaced
from mlctl.translation.backend import EMPTY, TOO_LONG, BackendWrapper, Translation, TranslationBackend


class SplittingBackend(BackendWrapper):
    """Translates longer text in pieces of whole sentences, as few as fit."""

    def __init__(self, inner: TranslationBackend, long_text: Literal["split", "reject"]) -> None:
        super().__init__(inner)
        self._splits = long_text == "split"

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts; a text with a sentence that does not fit is rejected as `TOO_LONG`."""
        translations = list(self._inner.translate(texts, source, target))
        if not self._splits:
            return translations
        long = [row for row, translation in enumerate(translations) if translation.rule == TOO_LONG]
        pieces = {row: split for row in long if (split := self.split(texts[row], source, target))}
        flat = [piece for split in pieces.values() for piece in split]
        translated = iter(self._inner.translate(flat, source, target) if flat else [])
        for row, split in pieces.items():
            translations[row] = _join([next(translated) for _ in split])
        return translations

    def pieces(self, text: str, source: str, target: str) -> list[str]:
        """Return the texts as which a text is translated: itself, its pieces, or none if it is rejected as `TOO_LONG`."""
        if self._inner.fits([text], source, target)[0]:
            return [text] if text.strip() else []
        return self.split(text, source, target) if self._splits else []

    def split(self, text: str, source: str, target: str) -> list[str]:
        """Return the pieces of a text, each as long as fits; none if a single sentence is too long."""
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


def _join(translations: Sequence[Translation]) -> Translation:
    """Join the translated pieces of one text; the rule of the first rejected piece rejects the text."""
    for translation in translations:
        if translation.rule or not translation.text.strip():
            return Translation("", translation.rule or EMPTY)
    texts = [translation.text for translation in translations]
    joined = texts[0]
    for text in texts[1:]:
        # Scripts without spaces between words have none between sentences either.
        joined += text if has_unspaced(joined[-2:]) and has_unspaced(text[:2]) else f" {text}"
    return Translation(joined)
