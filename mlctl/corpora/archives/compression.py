"""Files as byte streams: plain, gz, xz, zst, or a member of a zip; damage and bombs become errors for people."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from backports import zstd

from mlctl.corpora.archives.limits import Bounds, Budget
from mlctl.errors import InputError

#: What opens a compressed file, or a stream of its bytes, by suffix.
OPENERS: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
#: What reading a damaged file raises.
DAMAGE = (
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zstd.ZstdError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
)
_UNUSABLE = (NotImplementedError, RuntimeError, ValueError, OverflowError)  # what zipfile says to headers that lie
_NO_END = Bounds(unpacked=math.inf)  # a stream fills no disk


@dataclass(frozen=True)
class Place:
    """A file, or the member of a zip: named in messages with its path, in rows without."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The name without folders: it is the same on every machine."""
        return f"{self.path.name}/{self.member}" if self.member else self.path.name

    @property
    def suffix(self) -> str:
        """The suffix of the text itself: `.po` for `x.po.gz` and for a member `x.po`."""
        path = Path(self.member) if self.member else self.path
        return (path.with_suffix("") if path.suffix in {*OPENERS, ".zip"} else path).suffix

    @property
    def compressed(self) -> bool:
        """Tell whether the bytes on disk are not the text's own."""
        return self.path.suffix in {*OPENERS, ".zip"}


@contextlib.contextmanager
def open_bytes(place: Place) -> Iterator[IO[bytes]]:
    """Open a place for reading; its suffix says how it is compressed.

    Raises:
        InputError: also for what goes wrong inside the block while reading: the file is missing, cut off, damaged, encrypted,
            no archive at all, or unpacks to far more than text can.
    """
    with _naming(place), contextlib.ExitStack() as stack:
        yield _opened(place, stack)


@contextlib.contextmanager
def _naming(place: Place) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{place} is cut off or damaged: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror or error}", "check the path and who may read it") from None


def members(path: Path) -> list[str]:
    """Return the names of the files in a zip, sorted; hidden ones and what Finder adds are left out."""
    with open_archive(path) as archive:
        return sorted({name for name in archive.namelist() if not _is_by_the_way(name)})


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip; headers that make no sense are an InputError."""
    with _naming(Place(path)):
        with _refusing(Place(path)):
            archive = zipfile.ZipFile(path)
        with archive:
            yield archive


def _opened(place: Place, stack: contextlib.ExitStack) -> IO[bytes]:
    path = place.path
    if path.suffix == ".zip":
        return _open_member(place, stack)
    if place.member:
        raise InputError(f"{path} is no zip and has no member {place.member!r}", "drop `member`, or name a .zip")
    opener = OPENERS.get(path.suffix)
    if opener is None:
        return stack.enter_context(path.open("rb"))
    stream = stack.enter_context(opener(path))
    return io.BufferedReader(_Guarded(stream, place, path.stat().st_size), 2**17)


def _open_member(place: Place, stack: contextlib.ExitStack) -> IO[bytes]:
    member = place.member or _only_member(place.path)
    archive = stack.enter_context(open_archive(place.path))
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise _no_member(place.path, member) from None
    if info.flag_bits & 1:
        raise InputError(f"{place.path}: {member} is encrypted", "unpack it, and name the unpacked file")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(f"{place.path}: {member} is a link, no file", "name the member that it points to")
    with _refusing(place):
        stream = stack.enter_context(archive.open(info))
    return io.BufferedReader(_Guarded(stream, place, info.compress_size), 2**17)


def _only_member(path: Path) -> str:
    found = members(path)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(found[:8]) or "nothing"
    raise InputError(f"{path} holds {len(found)} files: {listed}", "say with `member` which one to read")


def _no_member(path: Path, member: str) -> InputError:
    return InputError(f"{path} has no member {member!r}", f"it has {', '.join(members(path)[:8]) or 'no files'}")


def _is_by_the_way(name: str) -> bool:
    return name.endswith("/") or name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


@contextlib.contextmanager
def _refusing(place: Place) -> Iterator[None]:
    try:
        yield
    except _UNUSABLE as error:
        raise InputError(f"{place} cannot be unpacked: {error}", "pack it again with an ordinary zip program") from None


class _Guarded(io.RawIOBase):
    """A stream that stops at what no text unpacks to."""

    def __init__(self, stream: IO[bytes], place: Place, packed: int) -> None:
        self._stream = stream
        self._place = place
        self._budget = Budget(str(place), packed, _NO_END)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _refusing(self._place):
            data = self._stream.read(len(buffer))
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)
