"""What a corpus tells about the letters of its language: counted in a sample, summed over its slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, Self

from mlctl.cleaning.mojibake.alphabet import alphabet
from mlctl.cleaning.mojibake.letter_model import BEYOND_ASCII, WORD, LetterModel, context_of, has_regular_case

_MAX_WORDS = 50_000
_MIN_TEXTS = 100  # from which letters are learned
_MIN_LEARNED = 0.005  # share of the texts that have a letter, from which it belongs to the language
_MAX_RARE = 0.002  # share of all letters beyond ASCII


class LetterCounts(NamedTuple):
    """Counts over texts.

    Attributes:
        texts: number of texts.
        contexts: letters of the alphabet and quotation marks beyond ASCII with both neighbours, by the texts that have them.
        words: words with letters beyond ASCII, all of them of the alphabet, likewise.
        others: other letters of the language's script, by the texts that have them.
    """

    texts: int
    contexts: dict[str, int]
    words: dict[str, int]
    others: dict[str, int]

    @classmethod
    def of(cls, language: str, texts: Iterable[str]) -> Self:
        """Count in texts of a language."""
        model = LetterModel(language)
        number, trigrams, words, others = 0, Counter[tuple[str, ...]](), Counter[str](), Counter[str]()
        for text in texts:
            number += 1
            if not text.isascii():
                trigrams.update(
                    {trigram for trigram in zip(f"\n{text}", text, f"{text[1:]}\n", strict=False) if not trigram[1].isascii()}
                )
                words.update({word for word in WORD.findall(text) if not word.isascii()})
                others.update({letter for letter in BEYOND_ASCII.findall(text) if model.kind(letter) in ("auxiliary", "alien")})
        contexts, known = Counter[str](), Counter[str]()
        for (before, letter, after), count in trigrams.items():
            if model.kind(letter) in ("main", "quote"):
                contexts[context_of(before, letter, after)] += count
        for word, count in words.items():
            if has_regular_case(word) and all(map(model.is_own, word)):
                known[word.lower()] += count
        return cls(number, contexts, _most_common(known), others)

    @classmethod
    def total(cls, parts: Iterable[LetterCounts]) -> Self:
        """Return the sum of counts."""
        texts, sums = 0, (Counter[str](), Counter[str](), Counter[str]())
        for part in parts:
            texts += part.texts
            for whole, counts in zip(sums, part[1:], strict=True):
                whole.update(counts)
        return cls(texts, sums[0], _most_common(sums[1]), sums[2])

    def model(self, language: str) -> LetterModel:
        """Return the model of the corpus's language."""
        if self.texts < _MIN_TEXTS:
            return LetterModel(language, frozenset(self.contexts), frozenset(self.words))
        learned = frozenset(letter for letter, count in self.others.items() if count >= _MIN_LEARNED * self.texts)
        # A text is no evidence for itself.
        contexts, words = (
            frozenset(name for name, count in counts.items() if count > 1) for counts in (self.contexts, self.words)
        )
        return LetterModel(language, contexts, words, learned, self._rare(language))

    def _rare(self, language: str) -> frozenset[str]:
        """Return the small Latin letters of the alphabet that hardly occur."""
        own = alphabet(language)
        counts = Counter[str]()
        for context, count in self.contexts.items():
            counts[context[1]] += count if context[1] in own.main else 0
        limit = _MAX_RARE * counts.total()
        return frozenset(letter for letter in own.main if "Latn" in own.scripts and letter.islower() and counts[letter] < limit)


def _most_common(words: dict[str, int]) -> dict[str, int]:
    return dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:_MAX_WORDS])
