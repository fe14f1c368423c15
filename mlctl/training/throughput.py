"""How fast training goes: a line every few seconds, for people and plots. Differs from run to run."""

from __future__ import annotations

import json
import time
from pathlib import Path


class Speed:
    """Counts pairs and tokens and appends their rate to a file of JSON lines every few seconds.

    Attributes:
        pairs_per_s: sentence pairs a second, over the last few seconds (from the start at first).
        tokens_per_s: the same of tokens, padding not counted.
    """

    def __init__(self, file: Path, every_seconds: float = 5.0) -> None:
        self.pairs_per_s = self.tokens_per_s = 0.0
        self._file, self._every = file, every_seconds
        self._since, self._pairs, self._tokens = time.monotonic(), 0, 0

    def count(self, step: int, pairs: int, tokens: int) -> None:
        """Take in one step."""
        self._pairs, self._tokens = self._pairs + pairs, self._tokens + tokens
        elapsed = time.monotonic() - self._since
        if elapsed >= self._every or not self.pairs_per_s:
            self.pairs_per_s, self.tokens_per_s = self._pairs / elapsed, self._tokens / elapsed
        if elapsed >= self._every:
            self._write(step)
            self._since, self._pairs, self._tokens = time.monotonic(), 0, 0

    def _write(self, step: int) -> None:
        figures = {"step": step, "pairs_per_s": round(self.pairs_per_s, 2), "tokens_per_s": round(self.tokens_per_s, 1)}
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(figures) + "\n")
