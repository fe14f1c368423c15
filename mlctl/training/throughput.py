"""Throughput of a training, appended to a file of JSON lines every few seconds. It differs from run to run."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from mlctl.core.files import discard


class ThroughputMeter:
    """Counts pairs and tokens and appends their rates to a file of JSON lines every few seconds.

    Attributes:
        pairs_per_s: sentence pairs a second, over the last interval (before the first one ends, since the start).
        tokens_per_s: the same of tokens, without padding.
    """

    def __init__(self, file: Path, every_seconds: float = 5.0) -> None:
        self.pairs_per_s = self.tokens_per_s = 0.0
        if file.is_symlink() or not file.is_file():  # of an earlier attempt, and damaged since
            discard(file)
        self._file, self._every_seconds = file, every_seconds
        self._start, self._pairs, self._tokens = time.monotonic(), 0, 0

    def update(self, step: int, pairs: int, tokens: int) -> None:
        """Count the pairs and tokens of a step."""
        self._pairs, self._tokens = self._pairs + pairs, self._tokens + tokens
        elapsed = time.monotonic() - self._start
        if elapsed >= self._every_seconds or not self.pairs_per_s:
            self.pairs_per_s, self.tokens_per_s = self._pairs / elapsed, self._tokens / elapsed
        if elapsed >= self._every_seconds:
            self._write(step)
            self._start, self._pairs, self._tokens = time.monotonic(), 0, 0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out of the rates."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._start += time.monotonic() - begin

    def _write(self, step: int) -> None:
        rates = {"step": step, "pairs_per_s": round(self.pairs_per_s, 2), "tokens_per_s": round(self.tokens_per_s, 1)}
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(rates) + "\n")
