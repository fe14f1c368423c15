"""Archives as hostile input: members are read as streams by name and written under names of our own, never extracted by path.

Everything is refused, with the names of archive and member, that a corpus has no need of and an attack lives on: paths that leave the
folder, links, devices, sparse and encrypted members, two members of one name, sizes out of proportion, and files that are not what
their name says.
"""

from __future__ import annotations

import contextlib
import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from mlctl.core.files import atomic_write, is_disk_full
from mlctl.corpora.archives.compression import DAMAGE, OPENERS
from mlctl.corpora.archives.limits import USUAL, Bounds, Budget
from mlctl.errors import InputError

_CHUNK = 2**20
_MOST_MEMBERS = 100_000
_MOST_LISTED = 8
_MAGIC = {"zip": b"PK\x03\x04", "gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\x00", "zst": b"\x28\xb5\x2f\xfd"}
_EMPTY_ZIP = b"PK\x05\x06"
_SHORT = {"tgz": "tar.gz", "txz": "tar.xz", "tzst": "tar.zst"}
_KIND = re.compile(r"\.(zip|tar(?:\.(?:gz|xz|zst))?|tgz|txz|tzst|gz|xz|zst)$", re.IGNORECASE)
_TEXT = re.compile(r"\.(txt|tsv|csv|tmx|xlf|xliff|po|json|jsonl|xml|html?)$", re.IGNORECASE)
_DAMAGE = (*DAMAGE, tarfile.TarError, OSError, RuntimeError, ValueError, NotImplementedError, LookupError, OverflowError)


class DamagedError(InputError):
    """The file is not what it should be: fetching it again may help."""


def kind_of(path: Path, name: str = "") -> str:
    """Return what a file is: zip, tar, tar.gz, tar.xz, tar.zst, gz, xz, zst, or "" for none of these.

    `name` is what its publisher calls it (the file's own name where empty). Raises InputError where name and content disagree.
    """
    name = name or path.name
    with path.open("rb") as stream:
        packing = _packing(head := stream.read(512))
    by_name = _kind_of_name(name)
    if not by_name:
        if packing and _TEXT.search(name):
            raise _refused(
                name, "", f"it is named like text and is {packing}", "name the file as what it is, or check the address"
            )
        return packing or ("tar" if head[257:262] == b"ustar" else "")
    expected = by_name.rpartition(".")[2]
    if packing != ("" if expected == "tar" else expected):
        problem = f"{name} is refused: it is not {expected}, it begins with {head[:16]!r}"
        raise DamagedError(problem, "check the address: this may be an error page")
    return by_name


def members(path: Path, name: str = "", bounds: Bounds = USUAL) -> list[str]:
    """Return the names of the files in an archive, in its order; none for a file that is no zip or tar. Raises as `unpack`."""
    found: list[str] = []
    _walk(path, name, bounds, lambda member, _: found.append(member))
    return found


def read(path: Path, wanted: str, most: int, name: str = "", bounds: Bounds = USUAL) -> bytes:
    """Return the first `most` bytes of a member of an archive, or nothing where it is not in it. Raises as `unpack`."""
    found = bytearray()

    def look(member: str, stream: IO[bytes]) -> None:
        if member == wanted:
            found.extend(stream.read(most))

    _walk(path, name, bounds, look)
    return bytes(found)


def unpack(path: Path, wanted: Mapping[str, Path], name: str = "", bounds: Bounds = USUAL) -> None:
    """Write members of an archive to files: {member: file}, in one pass. A member that is compressed itself is written plain.

    The member "" is the only one that there is; for a file that is no archive, its own content. A file appears when it is whole.

    Raises:
        InputError: the archive is dangerous, damaged, too large or not what its name says, or has no such member.
    """
    kind, missing = kind_of(path, name), set(wanted)
    name = name or path.name

    def take(member: str, stream: IO[bytes]) -> None:
        for key in (member, ""):
            if key in missing:
                missing.discard(key)
                _write(_plain(stream, member), wanted[key], Budget(_what(name, member), path.stat().st_size, bounds))

    if "" in wanted:
        _check_single(path, name, kind, bounds)
    _walk(path, name, bounds, take)
    if missing:
        raise _lacks(name, sorted(missing)[0], members(path, name, bounds))


def _check_single(path: Path, name: str, kind: str, bounds: Bounds) -> None:
    listed = members(path, name, bounds) if kind.startswith(("zip", "tar")) else ["one"]
    if len(listed) != 1:
        have = ", ".join(listed[:_MOST_LISTED]) or "none"
        raise InputError(f"{name} has {len(listed)} members: {have}", "name one with the setting `member` of the source")


def _walk(path: Path, name: str, bounds: Bounds, visit: Callable[[str, IO[bytes]], None]) -> None:
    """Show every file of an archive to `visit`, after what is dangerous has been refused; of a plain file, its content."""
    kind, name = kind_of(path, name), name or path.name
    with _explained(name):
        if kind == "zip":
            _walk_zip(path, name, bounds, visit)
        elif kind.startswith("tar"):
            _walk_tar(path, name, kind, bounds, visit)
        else:
            with path.open("rb") as stream:
                visit("", _opened(stream, kind))


def _walk_zip(path: Path, name: str, bounds: Bounds, visit: Callable[[str, IO[bytes]], None]) -> None:
    names = _Names(name)
    with zipfile.ZipFile(path) as archive:
        files = {names.check(info.orig_filename): info for info in archive.infolist() if not info.is_dir()}
        for info in files.values():
            _check_zip_member(name, info, bounds)
        for member, info in files.items():
            with archive.open(info) as stream:
                visit(member, stream)


def _check_zip_member(name: str, info: zipfile.ZipInfo, bounds: Bounds) -> None:
    if info.flag_bits & 1:
        raise _refused(name, info.filename, "it is encrypted", "decrypt it, and give the text as kind `files`")
    if (mode := info.external_attr >> 16) and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused(name, info.filename, "it is a link or a device")
    Budget(_what(name, info.filename), info.compress_size, bounds).spend(info.file_size)


def _walk_tar(path: Path, name: str, kind: str, bounds: Bounds, visit: Callable[[str, IO[bytes]], None]) -> None:
    names = _Names(name)
    with path.open("rb") as raw:
        packed = _opened(raw, kind.partition(".")[2])
        limited = cast(IO[bytes], _Counted(packed, Budget(name, path.stat().st_size, bounds)))
        with tarfile.open(fileobj=limited, mode="r|") as archive:
            for info in archive:
                if info.isdir():
                    continue
                member = names.check(info.name)
                if not info.isreg() or info.issparse():
                    raise _refused(name, member, "it is a link, a device or sparse")
                visit(member, cast(IO[bytes], archive.extractfile(info)))


class _Names:
    """Checks the names of an archive's files, one after the other."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._seen: set[str] = set()

    def check(self, written: str) -> str:
        """Return the name of a member without a leading `./`, or raise InputError where no honest file has such a name."""
        member = written.removeprefix("./")
        if member.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", member):
            raise _refused(self._archive, member, "it has an absolute path")
        if ".." in re.split(r"[/\\]", member) or "\0" in member:
            raise _refused(self._archive, member, "its path leaves the folder")
        if member in self._seen:
            raise _refused(self._archive, member, "there are two of this name")
        self._seen.add(member)
        if len(self._seen) > _MOST_MEMBERS:
            raise _refused(self._archive, member, f"the archive has more than {_MOST_MEMBERS} members")
        return member


class _Counted(io.RawIOBase):
    """A stream that spends a budget while it is read."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream, self._budget = stream, budget

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._budget.spend(len(data))
        return data


def _plain(stream: IO[bytes], member: str) -> IO[bytes]:
    """Return the text of a member that is compressed inside its archive (`x.en.gz` in a tar), or the stream as it is."""
    inner = _kind_of_name(member)
    return _opened(stream, inner) if f".{inner}" in OPENERS else stream


def _opened(stream: IO[bytes], packing: str) -> IO[bytes]:
    opener = OPENERS.get(f".{packing}")
    return cast(IO[bytes], opener(stream)) if opener else stream


def _write(stream: IO[bytes], path: Path, budget: Budget) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as out:
        while data := stream.read(_CHUNK):
            budget.spend(len(data))
            out.write(data)


def _packing(head: bytes) -> str:
    if head.startswith(_EMPTY_ZIP):
        return "zip"
    return next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), "")


def _kind_of_name(name: str) -> str:
    found = _KIND.search(name)
    return _SHORT.get(found[1].lower(), found[1].lower()) if found else ""


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if is_disk_full(error):
            raise InputError(f"no room left on the disk for what is in {name}", "free some room and run again") from None
        problem = f"{name} is damaged or cut off: {error or type(error).__name__}"
        raise DamagedError(problem, "run again: it is fetched anew") from None


def _refused(name: str, member: str, reason: str, remedy: str = "take another corpus, or unpack it by hand") -> InputError:
    return InputError(f"{_what(name, member)} is refused: {reason}", remedy)


def _what(name: str, member: str) -> str:
    return f"{name}, member {member!r}" if member else name


def _lacks(name: str, member: str, listed: list[str]) -> InputError:
    have = ", ".join(listed[:_MOST_LISTED]) or "no members"
    return InputError(f"{name} has no member {member!r}", f"it has {have}{' ...' if len(listed) > _MOST_LISTED else ''}")
