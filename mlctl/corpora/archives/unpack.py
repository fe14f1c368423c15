"""Unpacks untrusted archives: members are read as streams by name and written to the caller's paths, never extracted by path.

Refused, with the names of archive and member, is everything that attacks use and corpora do not need: paths that leave the folder,
links, devices, sparse and encrypted members, two members of one name, disproportionate sizes, and files that are not of the type that
their suffix says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from mlctl.core.checksums import CheckedPath
from mlctl.core.unpack_limits import DEFAULT_LIMITS, LimitedStream, UnpackBudget, UnpackLimits
from mlctl.core.write_errors import is_disk_full
from mlctl.corpora.archives import file_types, tar_stream, zip_members
from mlctl.corpora.archives.compression import DAMAGE, OPENERS
from mlctl.errors import InputError

_CHUNK = 2**16  # bytes; a zip reads as many packed bytes ahead, and a bomb is noticed that much later
_MAX_MEMBERS = 100_000
_MAX_LISTED = 8  # members in a message
_TEXT = re.compile(r"\.(txt|tsv|csv|tmx|xlf|xliff|po|json|jsonl|xml|html?)$", re.IGNORECASE)
_DAMAGE = (*DAMAGE, OSError, RuntimeError, ValueError, NotImplementedError, LookupError, OverflowError)


_Packed = Callable[[], float]
_Visit = Callable[[str, IO[bytes], _Packed], None]


class DamagedError(InputError):
    """The file is damaged or not of the expected type: fetching it again may help."""


def kind_of(path: Path, name: str = "") -> str:
    """Return the type of a file: zip, tar, tar.gz, tar.xz, tar.zst, tar.bz2, gz, xz, zst, bz2, or "" for others.

    `name` is its name at the publisher (empty: the file's own name). Raises InputError if name and content disagree, except for text
    under the name of a compressed file (`x.gz`), which some servers unpack on the way.
    """
    name = name or path.name
    with path.open("rb") as stream:
        compression = file_types.compression(head := stream.read(file_types.HEAD_BYTES))
    by_name = file_types.kind_of_name(name)
    if not by_name:
        if compression and _TEXT.search(name):
            reason = f"its name is that of a text file and its content is {compression}"
            raise _refused(name, "", reason, "rename the file, or check the URL")
        return compression or ("tar" if file_types.is_tar(head) else "")
    expected = by_name.rpartition(".")[2]
    if not compression and head and not file_types.is_archive_name(name) and file_types.is_text(head):
        return ""
    if compression != ("" if expected == "tar" else expected):
        problem = f"{name} is refused: it is not {expected}, it begins with {head[:16]!r}"
        raise DamagedError(problem, "check the URL: this may be an error page")
    return by_name


def members(path: Path, name: str = "", limits: UnpackLimits = DEFAULT_LIMITS) -> list[str]:
    """Return the names of the files in an archive, in its order; [""] for a file that is not a zip or tar. Raises as `unpack`."""
    names: list[str] = []
    _walk(path, name, limits, lambda member, *_: names.append(member))
    return names


def read(path: Path, member: str, size: int, name: str = "", limits: UnpackLimits = DEFAULT_LIMITS) -> bytes:
    """Return the first `size` bytes of a member of an archive; empty if it has no such member. Raises as `unpack`."""
    content = bytearray()

    def visit(name: str, stream: IO[bytes], packed: _Packed) -> None:
        del packed
        if name == member:
            content.extend(stream.read(size))

    _walk(path, name, limits, visit)
    return bytes(content)


def unpack(path: Path, files: Mapping[str, Path], name: str = "", limits: UnpackLimits = DEFAULT_LIMITS) -> None:
    """Write members of an archive to files (by member) in one pass, each atomically. A compressed member is written uncompressed.

    The member "" stands for the only one; for a file that is not an archive, for its content. `name`: see `kind_of`.

    Raises:
        InputError: the archive is dangerous, damaged, too large, not of the type that its name says, or has no such member.
    """
    kind, missing = kind_of(path, name), set(files)
    name = name or path.name

    def visit(member: str, stream: IO[bytes], packed: _Packed) -> None:
        for key in (member, ""):
            if key in missing:
                missing.discard(key)
                _write(_uncompressed(stream, member), files[key], UnpackBudget(_label(name, member), packed, limits))

    if "" in files:
        _check_single(path, name, kind, limits)
    _walk(path, name, limits, visit)
    if missing:
        raise _no_member(name, sorted(missing)[0], members(path, name, limits))


def _check_single(path: Path, name: str, kind: str, limits: UnpackLimits) -> None:
    """Raise InputError if an archive does not have exactly one member."""
    if not kind.startswith(("zip", "tar")):
        return
    listed = members(path, name, limits)
    if len(listed) != 1:
        existing = ", ".join(listed[:_MAX_LISTED]) or "none"
        raise InputError(f"{name} has {len(listed)} members: {existing}", "name one in the setting `member` of the source")


def _walk(path: Path, name: str, limits: UnpackLimits, visit: _Visit) -> None:
    """Call `visit` with every file of an archive, after refusing dangerous ones, or with the content of another file.

    It gets the name, the content, and a function that returns the packed bytes read so far.
    """
    kind, name = kind_of(path, name), name or path.name
    with _classified_errors(name):
        if kind == "zip":
            _walk_zip(path, name, limits, visit)
        elif kind.startswith("tar"):
            _walk_tar(path, name, kind, limits, visit)
        else:
            with path.open("rb") as stream:
                visit("", _opened(stream, kind), stream.tell)


def _walk_zip(path: Path, name: str, limits: UnpackLimits, visit: _Visit) -> None:
    names = _MemberNames(name)
    with zipfile.ZipFile(path) as archive:
        files = {names.check(info.orig_filename): info for info in archive.infolist() if not info.is_dir()}
        for info in files.values():
            _check_zip_member(name, info, limits)
        if shared := zip_members.overlapping(archive):
            raise _refused(name, shared[1], f"it shares bytes with {shared[0]!r} (a zip bomb)")
        for member, info in files.items():
            with archive.open(info) as stream:
                visit(member, stream, zip_members.packed_bytes_read(archive, info))


def _check_zip_member(name: str, info: zipfile.ZipInfo, limits: UnpackLimits) -> None:
    if info.flag_bits & 1:
        raise _refused(name, info.filename, "it is encrypted", "decrypt it, and add the text as a source of kind `files`")
    if (mode := info.external_attr >> 16) and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused(name, info.filename, "it is a link or a device")
    announced = dataclasses.replace(limits, on_unpacked=None)
    UnpackBudget(_label(name, info.filename), info.compress_size, announced).spend(info.file_size)


def _walk_tar(path: Path, name: str, kind: str, limits: UnpackLimits, visit: _Visit) -> None:
    names = _MemberNames(name)
    with path.open("rb") as raw:
        stream = _opened(raw, kind.partition(".")[2])
        limited = cast(IO[bytes], LimitedStream(stream, UnpackBudget(name, raw.tell, limits)))
        with tarfile.open(fileobj=limited, mode="r|", tarinfo=tar_stream.LimitedTarInfo) as archive:
            for info in archive:
                if info.isdir():
                    continue
                member = names.check(info.name)
                if not info.isreg() or info.issparse():
                    raise _refused(name, member, "it is a link, a device or sparse")
                visit(member, cast(IO[bytes], archive.extractfile(info)), raw.tell)


class _MemberNames:
    """Checks the names of an archive's members."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._seen: set[str] = set()

    def check(self, name: str) -> str:
        """Return the name of a member without a leading `./`. Raises InputError for a dangerous name."""
        member = name.removeprefix("./")
        if member.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", member):
            raise _refused(self._archive, member, "it has an absolute path")
        if ".." in re.split(r"[/\\]", member) or "\0" in member:
            raise _refused(self._archive, member, "its path leaves the folder")
        if member in self._seen:
            raise _refused(self._archive, member, "two members have this name")
        self._seen.add(member)
        if len(self._seen) > _MAX_MEMBERS:
            raise _refused(self._archive, member, f"the archive has more than {_MAX_MEMBERS} members")
        return member


def _uncompressed(stream: IO[bytes], member: str) -> IO[bytes]:
    """Return the text of a member that is compressed inside its archive (`x.en.gz` in a tar), or the stream itself."""
    inner = file_types.kind_of_name(member)
    return _opened(stream, inner) if f".{inner}" in OPENERS else stream


def _opened(stream: IO[bytes], compression: str) -> IO[bytes]:
    opener = OPENERS.get(f".{compression}")
    return cast(IO[bytes], opener(stream)) if opener else stream


def _write(stream: IO[bytes], path: Path, budget: UnpackBudget) -> None:
    with CheckedPath.at(path).write() as temporary, temporary.open("wb") as out:
        while data := stream.read(_CHUNK):
            budget.spend(len(data))
            out.write(data)


@contextlib.contextmanager
def _classified_errors(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if is_disk_full(error):
            raise  # explained where the stage is made
        problem = f"{name} is damaged or cut off: {error or type(error).__name__}"
        raise DamagedError(problem, "run again: it is fetched again") from None


def _refused(name: str, member: str, reason: str, remedy: str = "use another corpus, or unpack it by hand") -> InputError:
    return InputError(f"{_label(name, member)} is refused: {reason}", remedy)


def _label(name: str, member: str) -> str:
    return f"{name}, member {member!r}" if member else name


def _no_member(name: str, member: str, listed: list[str]) -> InputError:
    existing = ", ".join(listed[:_MAX_LISTED]) or "no members"
    return InputError(f"{name} has no member {member!r}", f"it has {existing}{' ...' if len(listed) > _MAX_LISTED else ''}")
