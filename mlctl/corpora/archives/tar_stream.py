"""Members of a tar that is read as a stream, without unpacking it to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, cast

from mlctl.errors import InputError

_MAX_HEADER = 2**20  # bytes
_LONG_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class LimitedTarInfo(tarfile.TarInfo):
    """A header that is refused if it announces long names or attributes of a size that fills the memory, into which they are read."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and self.size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]


def member_names(stream: IO[bytes]) -> Iterator[str]:
    """Yield the names of the files, in the order of the archive, without a leading `./`."""
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=LimitedTarInfo) as archive:
        yield from (_name(info) for info in archive if not info.isdir())


def open_member(stream: IO[bytes], archive_name: str, member: str) -> IO[bytes] | None:
    """Return the content of a member, which can be read until the archive's stream is closed; None if there is no such member.

    Raises:
        InputError: the member is a link, a device or sparse.
    """
    archive = tarfile.open(fileobj=stream, mode="r|", tarinfo=LimitedTarInfo)  # noqa: SIM115 - closed with its stream
    for info in archive:
        if _name(info) != member or info.isdir():
            continue
        if not info.isreg() or info.issparse():
            raise InputError(f"{archive_name}: {member} is a link or a device, not a file", "name the member with the text")
        return cast(IO[bytes], archive.extractfile(info))
    return None


def _name(info: tarfile.TarInfo) -> str:
    return info.name.removeprefix("./")
