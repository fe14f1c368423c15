"""Encodings of text files: UTF-8, or UTF-16 and UTF-32 by their byte order mark."""

from __future__ import annotations

import codecs

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MIN_BYTES = 64  # of a text without a line end, to be taken for UTF-16 without a mark


def encoding_of_bom(head: bytes) -> str:
    """Return the encoding that the byte order mark at the start of a file names; empty: it has none."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")


def unmarked_utf16(head: bytes) -> str:
    """Return utf-16le or utf-16be for the start of a file that is one of them without a mark, else "".

    In UTF-16 every line feed has a NUL beside it, always on the same side; text in UTF-8 with NULs does not look so.
    """
    for encoding, parity in (("utf-16le", 1), ("utf-16be", 0)):
        high, low = head[parity::2], head[1 - parity :: 2]
        pairs = list(zip(low, high, strict=False))
        feeds = [high_byte for low_byte, high_byte in pairs if low_byte == 0x0A]
        is_mostly_nul = len(head) >= _MIN_BYTES and 2 * high.count(0) >= len(high)
        if 0 not in low and 0x0A not in high and (not any(feeds) if feeds else is_mostly_nul):
            return encoding
    return ""
