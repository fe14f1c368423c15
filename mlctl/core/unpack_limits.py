"""Size limits against decompression bombs: files that unpack to enough to fill the disk or the memory."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, Any

from mlctl.errors import InputError

#: Bytes; a gettext catalogue is read into memory, from a file or a wheel.
MAX_CATALOGUE_SIZE = 32 * 2**20


@dataclass(frozen=True)
class UnpackLimits:
    """Limits of what is unpacked from one file.

    Text compresses to a tenth, lists of one word to a hundredth: no ordinary corpus comes near the default ratio.

    Attributes:
        unpacked: bytes in all.
        ratio: unpacked bytes for each byte of the packed file, once more than `harmless` bytes were unpacked.
        harmless: bytes below which the ratio does not count.
    """

    unpacked: float = 64.0 * 2**30
    ratio: float = 400.0
    harmless: int = 16 * 2**20


DEFAULT_LIMITS = UnpackLimits()


class UnpackBudget:
    """Counts the bytes unpacked from a file of `packed` bytes against the limits; `name` is the file, and member, in messages."""

    def __init__(self, name: str, packed: float, limits: UnpackLimits) -> None:
        self._name, self._packed, self._limits = name, packed, limits
        self._spent = 0

    def spend(self, size: int) -> None:
        """Count bytes that were unpacked, or that a header announces. Raises InputError above the limits."""
        self._spent += size
        if self._spent > max(self._limits.harmless, self._limits.ratio * self._packed):
            problem = f"{self._name} is refused: it unpacks to more than {self._limits.ratio:g} times its size (a zip bomb)"
            raise InputError(problem, "if you trust it, unpack it yourself, and add the text as a source of kind `files`")
        if self._spent > self._limits.unpacked:
            problem = f"{self._name} is refused: it unpacks to more than {self._limits.unpacked:.0f} bytes"
            raise InputError(problem, "increase download.max_unpacked_gib")


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

    def _read(self, size: int) -> bytes:
        return self._stream.read(size)


def check_catalogue_size(name: str, size: int) -> None:
    """Raise InputError if a gettext catalogue is larger than `MAX_CATALOGUE_SIZE`."""
    if size > MAX_CATALOGUE_SIZE:
        raise InputError(f"{name} is larger than {MAX_CATALOGUE_SIZE >> 20} MiB", "split the catalogue, or remove it")
