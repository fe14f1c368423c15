"""Files: errors of a full disk."""

from __future__ import annotations

import errno

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_disk_full(error: OSError) -> bool:
    """Return whether an error says that the disk, the user's quota or the largest file size is used up."""
    return error.errno in _DISK_FULL
