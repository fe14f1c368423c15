"""How much, how fast and how patiently files are fetched."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

_CHUNK = 2**16


@dataclass(frozen=True)
class Limits:
    """Bounds of all downloads of a stage.

    Attributes:
        stall: seconds without a byte before a connection is given up and the download is resumed.
        retries: attempts after one that brought nothing new.
        backoff: seconds that the first pause may last; doubled each time.
        longest_pause: seconds that a server may ask to wait (Retry-After).
        connections: files fetched at the same time.
        bandwidth: bytes a second of all connections together; 0: no limit.
        largest: bytes that one file may have.
    """

    stall: float = 60.0
    retries: int = 5
    backoff: float = 1.0
    longest_pause: float = 600.0
    connections: int = 4
    bandwidth: float = 0.0
    largest: float = 2.0**40


class Pace:
    """Spreads the bytes of all connections over time, so that together they stay under the bandwidth."""

    def __init__(self, bandwidth: float) -> None:
        self._bandwidth = bandwidth
        self._free = time.monotonic()
        self._lock = threading.Lock()

    @property
    def chunk(self) -> int:
        """Bytes to read at once: small ones where the bandwidth is small, so that it is kept evenly."""
        return max(1, min(_CHUNK, int(self._bandwidth / 8))) if self._bandwidth else _CHUNK

    def pause(self, size: int) -> float:
        """Book `size` bytes and return the seconds to wait before the next ones."""
        if not self._bandwidth:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now) + size / self._bandwidth
            return self._free - now
