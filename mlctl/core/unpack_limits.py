"""Size limits against decompression bombs: files that unpack to enough to fill the disk or the memory."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import IO, Any

from mlctl.errors import InputError

#: Bytes; a gettext catalogue is read into memory, from a file or a wheel.
MAX_CATALOGUE_SIZE = 32 * 2**20


@dataclass(frozen=True)
class UnpackLimits:
    """Limits of what is unpacked from one file.

    Text compresses to a third to a tenth, very repetitive text to a fiftieth: no ordinary corpus comes near the default ratio.

    Attributes:
        unpacked: bytes in all.
        ratio: unpacked bytes for each packed byte read so far, once more than `harmless` bytes were unpacked.
        harmless: bytes below which the ratio does not count.
        on_unpacked: called from time to time with the name of the file and the bytes unpacked so far.
    """

    unpacked: float = 64.0 * 2**30
    ratio: float = 400.0
    harmless: int = 16 * 2**20
    on_unpacked: Callable[[str, int], None] | None = field(default=None, compare=False)


DEFAULT_LIMITS = UnpackLimits()
_REPORTED_EVERY = 8 * 2**20  # bytes
_ACTIVE = ContextVar("unpack_limits", default=DEFAULT_LIMITS)


@contextlib.contextmanager
def active_limits(limits: UnpackLimits) -> Iterator[None]:
    """Apply limits to the files that are read as streams inside the block: readers of formats are not passed any."""
    token = _ACTIVE.set(limits)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def stream_limits() -> UnpackLimits:
    """Return the limits of a file that is read as a stream: of any size, as it does not fill the disk."""
    return dataclasses.replace(_ACTIVE.get(), unpacked=math.inf)


class UnpackBudget:
    """Counts the bytes unpacked from a file against the limits.

    `name` is the file, and member, in messages; `packed` its size, or a function that returns the packed bytes read so far: a bomb is
    then noticed when it goes off, not when it has unpacked to a multiple of the whole file.
    """

    def __init__(self, name: str, packed: float | Callable[[], float], limits: UnpackLimits) -> None:
        self._name, self._packed, self._limits = name, packed, limits
        self._spent = self._reported = 0

    @property
    def spent(self) -> int:
        """Bytes counted so far."""
        return self._spent

    def spend(self, size: int) -> None:
        """Count bytes that were unpacked, or that a header announces. Raises InputError above the limits."""
        self._spent += size
        if self._limits.on_unpacked and self._spent - self._reported >= _REPORTED_EVERY:
            self._reported = self._spent
            self._limits.on_unpacked(self._name, self._spent)
        if self._spent > self._limits.harmless and self._spent > self._limits.ratio * self._packed_bytes():
            problem = f"{self._name} is refused: it unpacks to more than {self._limits.ratio:g} times its size (a zip bomb)"
            raise InputError(problem, "if you trust it, increase download.max_unpack_ratio, or unpack it yourself")
        if self._spent > self._limits.unpacked:
            problem = f"{self._name} is refused: it unpacks to more than {self._limits.unpacked:.0f} bytes"
            raise InputError(problem, "increase download.max_unpacked_gib")

    def _packed_bytes(self) -> float:
        return self._packed() if callable(self._packed) else self._packed


class LimitedStream(io.RawIOBase):
    """A stream of unpacked bytes that counts against a budget while it is read."""

    def __init__(self, stream: IO[bytes], budget: UnpackBudget) -> None:
        self._stream, self._budget = stream, budget

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`. Raises InputError above the limits."""
        data = self._read(size)
        self._budget.spend(len(data))
        return data

    def readinto(self, buffer: Any) -> int:
        """See `read`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @property
    def spent(self) -> int:
        """Bytes read so far."""
        return self._budget.spent

    def _read(self, size: int) -> bytes:
        return self._stream.read(size)


def check_catalogue_size(name: str, size: int) -> None:
    """Raise InputError if a gettext catalogue is larger than `MAX_CATALOGUE_SIZE`."""
    if size > MAX_CATALOGUE_SIZE:
        raise InputError(f"{name} is larger than {MAX_CATALOGUE_SIZE >> 20} MiB", "split the catalogue, or remove it")
