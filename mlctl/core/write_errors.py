"""Turns the errors of a volume that cannot be written to, whichever library raises them, into one message."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlctl.errors import DiskFullError, InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS,)
_SQLITE_FULL = "database or disk is full"
_LOW_BYTES = 1 << 20  # a volume with less free than this is taken to be full where a library hides the reason


def is_disk_full(error: BaseException | str) -> bool:
    """Return whether an error, or a program's error output, says that no more can be written: disk full, quota or file size exceeded.

    Libraries such as safetensors, tokenizers and SQLite pass on the system's text without its number, or wrap the system's error.
    """
    if isinstance(error, str):
        return _has_text(error, _FULL) or _SQLITE_FULL in error
    return any(_is_full(link) for link in _chain(error))


def is_read_only(error: BaseException) -> bool:
    """Return whether an error says that nothing can be written: a read-only volume, or no permission."""
    return any(isinstance(link, PermissionError) or _matches(link, _READ_ONLY) for link in _chain(error))


@contextlib.contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the block that says that a volume is full or read-only into an InputError.

    Args:
        folder: where the block writes; named by the message unless the error names a file, or another volume is the full one.

    Raises:
        DiskFullError: the volume is full, a quota is used up, or a file is larger than allowed.
        InputError: the volume is read-only.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if is_disk_full(error) or (_hides_reason(error) and _is_low(folder)):
            raise _explained(error, folder) from error
        if any(_matches(link, _READ_ONLY) for link in _chain(error)):
            path = _named_file(error) or folder
            where = folder if path.is_relative_to(folder) else path
            raise InputError(
                f"cannot write to {where}: its volume is read-only", "mount it writable, or use another folder"
            ) from error
        raise


def disk_full_error(path: Path) -> DiskFullError:
    """Return the error of a file or folder that cannot be written because its volume is full."""
    problem = f"no space left on the volume of {path}{_free_space(path)}"
    remedy = (
        "free disk space there (`mlctl store gc` removes results that no recent run uses), or set store to a folder on a larger "
        "volume; then run the same command again: everything finished is kept"
    )
    return DiskFullError(problem, remedy)


def _explained(error: Exception, folder: Path) -> DiskFullError:
    if any(_matches(link, (errno.EFBIG,)) for link in _chain(error)):
        problem = f"no space left for a file in {folder}: it has reached the largest size that the volume or `ulimit -f` allows"
        return DiskFullError(problem, "raise the limit; then run the same command again: everything finished is kept")
    candidates = (folder, Path(tempfile.gettempdir()))
    return disk_full_error(_named_file(error) or next((path for path in candidates if _is_low(path)), folder))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from or while handling."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _is_full(error: BaseException) -> bool:
    return _matches(error, _FULL) or _SQLITE_FULL in str(error)


def _matches(error: BaseException, codes: tuple[int, ...]) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in codes
    return _has_text(str(error), codes)


def _has_text(text: str, codes: tuple[int, ...]) -> bool:
    return any(os.strerror(code) in text for code in codes)


def _hides_reason(error: Exception) -> bool:
    """Return whether an error may be that of a failed write whose reason the library has dropped, such as NumPy's `tofile`."""
    return isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno is None)


def _named_file(error: BaseException) -> Path | None:
    names = (link.filename2 or link.filename for link in _chain(error) if isinstance(link, OSError))  # a copy names both
    return next((Path(name) for name in names if isinstance(name, str) and name), None)


def _is_low(path: Path) -> bool:
    return (usage := _usage(path)) is not None and usage[1] < _LOW_BYTES


def _free_space(path: Path) -> str:
    usage = _usage(path)
    return f" ({usage[1] / 1e6:,.1f} MB of {usage[0] / 1e6:,.0f} MB free)" if usage else ""


def _usage(path: Path) -> tuple[int, int] | None:
    """Return the size of a path's volume and its free space in bytes; None: unknown."""
    for folder in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(folder)
            return usage.total, usage.free
    return None
