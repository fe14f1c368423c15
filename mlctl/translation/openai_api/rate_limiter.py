"""Spreads requests evenly, so that no minute has more requests or tokens than allowed; a server can ask for a pause of all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MINUTE = 60.0


class RateLimiter:
    """Gives each request the time at which it may start. Thread-safe."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the limits (0: none) and the clock."""
        self._request_seconds = _MINUTE / requests_per_minute if requests_per_minute else 0.0
        self._token_seconds = _MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._next_request = self._next_tokens = self._paused_until = clock()
        self._lock = threading.Lock()

    def delay(self, tokens: int) -> float:
        """Account for a request of so many tokens, and return the seconds to wait before it is sent."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next_request, self._next_tokens, self._paused_until)
            self._next_request = start + self._request_seconds
            self._next_tokens = start + tokens * self._token_seconds
            return start - now

    def correct(self, estimated: int, used: int) -> None:
        """Account for the difference between the estimated and the real tokens of a request."""
        with self._lock:
            self._next_tokens += (used - estimated) * self._token_seconds

    def pause(self, seconds: float) -> None:
        """Let no request start for so many seconds: the server has asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def is_paused(self) -> bool:
        """Return whether a pause has begun that is not over: a request that waited for its time meanwhile needs another one."""
        with self._lock:
            return self._clock() < self._paused_until
