"""Limits of downloads: time, retries, connections, bandwidth and size."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

_CHUNK = 2**16  # bytes


@dataclass(frozen=True)
class TransferLimits:
    """Limits of all downloads of a stage.

    Attributes:
        stall: seconds without a byte after which a connection is closed and the download is resumed.
        retries: attempts after one that brought no new byte.
        backoff: maximum of the first pause in seconds; doubled each time.
        longest_pause: seconds that a server may ask to wait (Retry-After).
        connections: files fetched at the same time.
        bandwidth: bytes per second of all connections together; 0: no limit.
        largest: size limit of a file in bytes.
    """

    stall: float = 60.0
    retries: int = 5
    backoff: float = 1.0
    longest_pause: float = 600.0
    connections: int = 4
    bandwidth: float = 0.0
    largest: float = 2.0**40


class RateLimiter:
    """Limits the bandwidth of all connections together."""

    def __init__(self, bandwidth: float) -> None:
        self._bandwidth = bandwidth
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    @property
    def chunk(self) -> int:
        """Bytes to read at once: fewer at a low bandwidth, for an even rate."""
        return max(1, min(_CHUNK, int(self._bandwidth / 8))) if self._bandwidth else _CHUNK

    def delay(self, size: int) -> float:
        """Account for `size` bytes, and return the seconds to wait before reading more."""
        if not self._bandwidth:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self._bandwidth
            return self._free_at - now
