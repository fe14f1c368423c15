"""What the backends for programs (apertium, command) have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mlctl.config import Translate
from mlctl.execution.program_text import count_words, to_single_line
from mlctl.translation.backend import EMPTY, TOO_LONG, Translation, thread_count


class ProgramBackend(ABC):
    """Translates batches of lines with programs, one batch for each thread at a time, from one language into another."""

    def __init__(self, settings: Translate, source: str, target: str, batch_lines: int) -> None:
        """Take the language pair and the lines of a batch, which must not depend on the number of threads."""
        self._pair = source, target
        self._max_words = settings.max_tokens
        self._batch_lines = batch_lines
        self._threads = ThreadPoolExecutor(thread_count(settings.threads))

    def supports(self, source: str, target: str) -> bool:
        """Return whether this is the backend's language pair: another pair has other programs or data, and another identity."""
        return (source, target) == self._pair

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Return for each text whether it has few enough words."""
        del source, target
        return [count_words(text) <= self._max_words for text in texts]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts; return one translation each, in order. A text on which the program fails twice is rejected as `FAILED`.

        Raises:
            InputError: the program does not even translate a number, or does not end.
        """
        fits = self.fits(texts, source, target)
        translations = [Translation("", EMPTY if fit else TOO_LONG) for fit in fits]
        lines = {row: line for row, text in enumerate(texts) if fits[row] and (line := to_single_line(text))}
        rows = list(lines)
        batches = [rows[start : start + self._batch_lines] for start in range(0, len(rows), self._batch_lines)]
        results = self._threads.map(lambda batch: self._translate_batch([lines[row] for row in batch]), batches)
        for batch, batch_translations in zip(batches, results, strict=True):
            for row, translation in zip(batch, batch_translations, strict=True):
                translations[row] = translation
        return translations

    @abstractmethod
    def _translate_batch(self, lines: Sequence[str]) -> list[Translation]:
        """Translate lines that are neither empty nor too long; called by several threads."""
