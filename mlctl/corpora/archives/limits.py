"""How much may come out of a compressed file before it counts as made to fill a disk or the memory."""

from __future__ import annotations

from dataclasses import dataclass

from mlctl.errors import InputError

#: A catalogue is read as a whole, out of a file or a wheel.
LARGEST_CATALOGUE = 32 * 2**20


@dataclass(frozen=True)
class Bounds:
    """Bytes in all, and bytes for each byte of the packed file once more than `harmless` came out.

    Text shrinks to a tenth, lists of one word to a hundredth: nothing honest comes near the ratio.
    """

    unpacked: float = 64.0 * 2**30
    ratio: float = 400.0
    harmless: int = 16 * 2**20


USUAL = Bounds()


class Budget:
    """Counts what comes out of `packed` bytes and stops at the bounds; `what` names the file, and the member, in the message."""

    def __init__(self, what: str, packed: int, bounds: Bounds) -> None:
        self._what, self._packed, self._bounds = what, packed, bounds
        self._spent = 0

    def spend(self, size: int) -> None:
        """Count bytes that came out, or are said to be in it. Raises InputError where they are too many."""
        self._spent += size
        if self._spent > max(self._bounds.harmless, self._bounds.ratio * self._packed):
            problem = f"{self._what} is refused: it unpacks to more than {self._bounds.ratio:g} times its size, a zip bomb"
            raise InputError(problem, "if you trust it, unpack it yourself, and give the text as kind `files`")
        if self._spent > self._bounds.unpacked:
            problem = f"{self._what} is refused: more than {self._bounds.unpacked:.0f} bytes come out of it"
            raise InputError(problem, "raise download.max_unpacked_gib")


def check_catalogue(what: str, size: int) -> None:
    """Raise InputError where a catalogue has more bytes than are read at once."""
    if size > LARGEST_CATALOGUE:
        raise InputError(f"{what} is larger than {LARGEST_CATALOGUE >> 20} MiB", "split the catalogue, or leave it out")
