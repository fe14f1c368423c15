"""Opens files as byte streams: plain, gz, xz, zst, or a member of a zip; damage and decompression bombs raise InputError."""

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

from mlctl.corpora.archives.unpack_limits import UnpackBudget, UnpackLimits
from mlctl.errors import InputError

#: Functions that open a compressed file, or a stream of its bytes, by suffix.
OPENERS: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
#: Errors that reading a damaged file raises.
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
_UNUSABLE = (NotImplementedError, RuntimeError, ValueError, OverflowError)  # raised by zipfile for invalid headers
_STREAM_LIMITS = UnpackLimits(unpacked=math.inf)  # a stream does not fill the disk


@dataclass(frozen=True)
class FileLocation:
    """A file, or a member of a zip. Messages show it with its path, the `origin` of rows without."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Name without folders, which differ from machine to machine."""
        return f"{self.path.name}/{self.member}" if self.member else self.path.name

    @property
    def suffix(self) -> str:
        """Suffix of the uncompressed text: `.po` for `x.po.gz` and for a member `x.po`."""
        path = Path(self.member) if self.member else self.path
        return (path.with_suffix("") if path.suffix in {*OPENERS, ".zip"} else path).suffix

    @property
    def is_compressed(self) -> bool:
        """Return whether the text is compressed on disk, by the suffix."""
        return self.path.suffix in {*OPENERS, ".zip"}


@contextlib.contextmanager
def open_bytes(location: FileLocation) -> Iterator[IO[bytes]]:
    """Open a file for reading; its suffix determines the compression.

    Raises:
        InputError: also inside the block, while reading: the file is missing, cut off, damaged, encrypted, not an archive, or a
            decompression bomb.
    """
    with _classified_errors(location), contextlib.ExitStack() as stack:
        yield _opened(location, stack)


@contextlib.contextmanager
def _classified_errors(location: FileLocation) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{location} is cut off or damaged: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise InputError(f"{location} cannot be read: {error.strerror or error}", "check the path and its permissions") from None


def members(path: Path) -> list[str]:
    """Return the names of the files in a zip, sorted, without hidden ones and those that Finder adds."""
    with open_archive(path) as archive:
        return sorted({name for name in archive.namelist() if not _is_hidden(name)})


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip. Raises InputError if it is damaged."""
    with _classified_errors(FileLocation(path)):
        with _header_errors(FileLocation(path)):
            archive = zipfile.ZipFile(path)
        with archive:
            yield archive


def _opened(location: FileLocation, stack: contextlib.ExitStack) -> IO[bytes]:
    path = location.path
    if path.suffix == ".zip":
        return _open_member(location, stack)
    if location.member:
        raise InputError(f"{path} is not a .zip and has no member {location.member!r}", "remove `member`, or name a .zip")
    opener = OPENERS.get(path.suffix)
    if opener is None:
        return stack.enter_context(path.open("rb"))
    stream = stack.enter_context(opener(path))
    return io.BufferedReader(_LimitedStream(stream, location, path.stat().st_size), 2**17)


def _open_member(location: FileLocation, stack: contextlib.ExitStack) -> IO[bytes]:
    member = location.member or _only_member(location.path)
    archive = stack.enter_context(open_archive(location.path))
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise _no_member(location.path, member) from None
    if info.flag_bits & 1:
        raise InputError(f"{location.path}: {member} is encrypted", "unpack it, and name the unpacked file")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(f"{location.path}: {member} is a link, not a file", "name the member that it points to")
    with _header_errors(location):
        stream = stack.enter_context(archive.open(info))
    return io.BufferedReader(_LimitedStream(stream, location, info.compress_size), 2**17)


def _only_member(path: Path) -> str:
    names = members(path)
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names[:8]) or "none"
    raise InputError(f"{path} contains {len(names)} files: {listed}", "set `member` to the one to read")


def _no_member(path: Path, member: str) -> InputError:
    return InputError(f"{path} has no member {member!r}", f"it has {', '.join(members(path)[:8]) or 'no files'}")


def _is_hidden(name: str) -> bool:
    return name.endswith("/") or name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


@contextlib.contextmanager
def _header_errors(location: FileLocation) -> Iterator[None]:
    try:
        yield
    except _UNUSABLE as error:
        raise InputError(f"{location} cannot be unpacked: {error}", "pack it again with another zip program") from None


class _LimitedStream(io.RawIOBase):
    """A stream that raises InputError once it unpacks to more than any text does."""

    def __init__(self, stream: IO[bytes], location: FileLocation, packed: int) -> None:
        self._stream = stream
        self._location = location
        self._budget = UnpackBudget(str(location), packed, _STREAM_LIMITS)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _header_errors(self._location):
            data = self._stream.read(len(buffer))
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)
