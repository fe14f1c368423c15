"""Turns the errors of a path that the system does not accept, wherever they are raised, into one message."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from mlctl.errors import InputError

_REMEDIES = {
    errno.ENAMETOOLONG: "give a shorter name or path: most systems allow 255 bytes for a name and 4,096 for a path",
    errno.ELOOP: "remove the circle of links",
    errno.ENOTDIR: "one of its folders is a file: correct the path, or move that file",
    errno.EISDIR: "it is a folder: name a file",
    errno.EACCES: "grant the permission, or name another file or folder",
    errno.EPERM: "grant the permission, or name another file or folder",
}


@contextlib.contextmanager
def explain_path_errors() -> Iterator[None]:
    """Turn an OSError of the block that is due to the path itself (too long, circular, forbidden) into an InputError.

    Raises:
        InputError: the system does not accept a path.
    """
    try:
        yield
    except OSError as error:
        if (remedy := _REMEDIES.get(error.errno or 0)) is None:
            raise
        path = error.filename2 or error.filename
        reason = error.strerror or str(error)
        raise InputError(f"cannot use {path}: {reason}" if path else reason, remedy) from error
