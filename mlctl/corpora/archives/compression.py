"""Opens files as byte streams: plain, gz, xz, zst, bz2, or a member of a zip or tar; damage and decompression bombs raise InputError.

The content determines what a file is, not its suffix: servers and tools unpack files without renaming them.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import math
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, cast

from mlctl.core.unpack_limits import LimitedStream, UnpackBudget, stream_limits
from mlctl.core.zstandard import zstd
from mlctl.corpora.archives import file_types, tar_stream, zip_members
from mlctl.errors import InputError

#: Functions that open a compressed file, or a stream of its bytes, by suffix.
OPENERS: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".zst": zstd.open,
    ".bz2": bz2.open,
}
#: Errors that reading a damaged file raises.
DAMAGE = (
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zstd.ZstdError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    struct.error,
)
_UNUSABLE = (NotImplementedError, RuntimeError, ValueError, OverflowError)  # raised by zipfile for invalid headers


@dataclass(frozen=True)
class FileLocation:
    """A file, or a member of an archive. Messages show it with its path, the `origin` of rows without."""

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
        return PurePath(file_types.without_packing(self.member or self.path.name)).suffix

    @property
    def is_compressed(self) -> bool:
        """Return whether the text is compressed on disk, by the suffix."""
        return bool(file_types.kind_of_name(self.path.name))


@contextlib.contextmanager
def open_bytes(location: FileLocation) -> Iterator[io.BufferedReader]:
    """Open a file for reading; its content determines the compression.

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
    """Return the names of the files in a zip or tar, sorted, without hidden ones and those that Finder adds."""
    location = FileLocation(path)
    with _classified_errors(location), contextlib.ExitStack() as stack:
        if (kind := _kind_of(location)).startswith("tar"):
            names = list(tar_stream.member_names(_decompressed(location, kind.partition(".")[2], stack)))
        else:
            names = stack.enter_context(open_archive(path)).namelist()
    return sorted({name for name in names if not _is_hidden(name)})


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip. Raises InputError if it is damaged."""
    with _classified_errors(FileLocation(path)):
        with _header_errors(FileLocation(path)):
            archive = zipfile.ZipFile(path)
        with archive:
            if overlapping := zip_members.overlapping(archive):
                problem = f"{path} is refused: its members {' and '.join(map(repr, overlapping))} share bytes (a zip bomb)"
                raise InputError(problem, "pack it again, or use another file")
            yield archive


def _opened(location: FileLocation, stack: contextlib.ExitStack) -> io.BufferedReader:
    kind = _kind_of(location)
    if kind == "zip":
        return _open_inner(_open_zip_member(location, stack), location, stack)
    if kind.startswith("tar"):
        return _open_inner(_open_tar_member(location, kind.partition(".")[2], stack), location, stack)
    if location.member:
        problem = f"{location.path} is not a .zip or .tar and has no member {location.member!r}"
        raise InputError(problem, "remove `member`, or name an archive")
    return _decompressed(location, kind, stack)


def _kind_of(location: FileLocation) -> str:
    """Return what a file is by its content: zip, tar, tar.gz, gz, …; "" for text.

    Raises:
        InputError: the name says that it is compressed or an archive, and it is neither that nor text.
    """
    path, expected = location.path, file_types.kind_of_name(location.path.name)
    with path.open("rb") as stream:
        head = stream.read(file_types.HEAD_BYTES)
    kind = file_types.compression(head)
    if not kind and file_types.is_tar(head):
        kind = "tar"
    elif f".{kind}" in OPENERS:
        with path.open("rb") as stream, OPENERS[f".{kind}"](stream) as decompressed:
            kind = f"tar.{kind}" if file_types.is_tar(decompressed.read(file_types.HEAD_BYTES)) else kind
    if file_types.is_archive_name(path.name) and not kind.startswith(("zip", "tar")):
        raise _not_as_named(location, expected, head)
    if expected and not kind and head and not file_types.is_text(head):
        raise _not_as_named(location, expected, head)
    return kind


def _not_as_named(location: FileLocation, expected: str, head: bytes) -> InputError:
    problem = f"{location} is damaged or not {expected}: it begins with {head[:16]!r}"
    return InputError(problem, "copy or fetch the file again, or correct its name")


def _decompressed(location: FileLocation, compression: str, stack: contextlib.ExitStack) -> io.BufferedReader:
    packed = stack.enter_context(location.path.open("rb"))
    if not compression:
        return _limited(packed, location, math.inf)
    return _limited(stack.enter_context(OPENERS[f".{compression}"](packed)), location, packed.tell)


def _open_inner(stream: io.BufferedReader, location: FileLocation, stack: contextlib.ExitStack) -> io.BufferedReader:
    """Return the text of a member that is compressed inside its archive (`x.en.gz` in a tar), or the stream itself."""
    kind = file_types.compression(stream.peek(file_types.HEAD_BYTES))
    if f".{kind}" not in OPENERS:
        return stream
    spent = cast(LimitedStream, stream.raw)
    return _limited(stack.enter_context(OPENERS[f".{kind}"](stream)), location, lambda: spent.spent)


def _open_tar_member(location: FileLocation, compression: str, stack: contextlib.ExitStack) -> io.BufferedReader:
    path, member = location.path, location.member or _only_member(location.path)
    stream = tar_stream.open_member(_decompressed(location, compression, stack), str(path), member)
    if stream is None:
        raise _no_member(path, member)
    return _limited(stream, location, math.inf)  # the archive is limited as a whole


def _open_zip_member(location: FileLocation, stack: contextlib.ExitStack) -> io.BufferedReader:
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
    return _limited(stream, location, zip_members.packed_bytes_read(archive, info))


def _limited(stream: IO[bytes], location: FileLocation, packed: float | Callable[[], float]) -> io.BufferedReader:
    return io.BufferedReader(_LimitedStream(stream, location, packed), 2**16)


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


class _LimitedStream(LimitedStream):
    """A stream that raises InputError once it unpacks to more than any text does, and for invalid headers."""

    def __init__(self, stream: IO[bytes], location: FileLocation, packed: float | Callable[[], float]) -> None:
        super().__init__(stream, UnpackBudget(str(location), packed, stream_limits()))
        self._location = location

    def _read(self, size: int) -> bytes:
        with _header_errors(self._location):
            return self._stream.read(size)
