"""Checksums of the blocks of a large file, so that a sample of its blocks can be verified without reading the rest."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

_MEBIBYTE = 1 << 20
#: Files of up to so many bytes have no block checksums: their digest is computed as quickly.
SMALL_FILE = _MEBIBYTE
_MAX_BLOCKS = 1024
_DIGITS = 8  # of a CRC-32 in hexadecimal


def block_size(size: int) -> int:
    """Return the bytes of a block of a file of `size` bytes: whole mebibytes, so many that the file has at most 1,024 blocks."""
    return max(1, -(-size // (_MAX_BLOCKS * _MEBIBYTE))) * _MEBIBYTE


def digests(path: Path) -> tuple[str, str]:
    """Return a file's SHA-256 digest, and the CRC-32 of each of its blocks as 8 hexadecimal digits; none for a small file."""
    size, whole, blocks = path.stat().st_size, hashlib.sha256(), []
    length = block_size(size)
    with path.open("rb") as file:
        while block := file.read(length):
            whole.update(block)
            blocks.append(_checksum(block))
    return whole.hexdigest(), "".join(blocks) if size > SMALL_FILE else ""


def block_count(checksums: str) -> int:
    """Return the number of blocks that have a checksum."""
    return len(checksums) // _DIGITS


def are_intact(path: Path, checksums: str, numbers: Iterable[int]) -> bool:
    """Return whether some blocks of a file have their checksums."""
    size = block_size(path.stat().st_size)
    with path.open("rb") as file:
        for number in numbers:
            file.seek(number * size)
            if _checksum(file.read(size)) != checksums[number * _DIGITS : (number + 1) * _DIGITS]:
                return False
    return True


def _checksum(block: bytes) -> str:
    return f"{zlib.crc32(block):0{_DIGITS}x}"
