"""Types of files by their first bytes, and of archives by their names."""

from __future__ import annotations

import codecs
import re

#: Bytes at the start of a file that are enough to recognise its type.
HEAD_BYTES = 512
_MAGIC = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "gz": (b"\x1f\x8b",),
    "xz": (b"\xfd7zXZ\x00",),
    "zst": (b"\x28\xb5\x2f\xfd",),
    "bz2": tuple(b"BZh%d%s" % (level, mark) for level in range(1, 10) for mark in (b"1AY&SY", b"\x17rE8P\x90")),
}
_TAR_MAGIC = slice(257, 262)
_SHORT = {"tgz": "tar.gz", "txz": "tar.xz", "tzst": "tar.zst", "tbz2": "tar.bz2", "tbz": "tar.bz2"}
_KIND = re.compile(
    r"\.(zip|tar(?:\.(?:gz|xz|zst|bz2))?|tgz|txz|tzst|tbz2?|gz|xz|zst|bz2)$",
    re.IGNORECASE,
)
_CONTROL = frozenset(range(32)) - set(b"\t\n\r\f")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def compression(head: bytes) -> str:
    """Return zip, gz, xz, zst or bz2 by the first bytes of a file; "" for others."""
    return next((kind for kind, marks in _MAGIC.items() if head.startswith(marks)), "")


def is_tar(head: bytes) -> bool:
    """Return whether the first bytes (`HEAD_BYTES`) are those of a tar."""
    return head[_TAR_MAGIC] == b"ustar"


def is_text(head: bytes) -> bool:
    """Return whether the first bytes are text in UTF-8, or in UTF-16 with a mark, and not an HTML page (the error page of a server)."""
    if head.startswith(_UTF16_MARKS):
        return True
    if _CONTROL & set(head) or _HTML.match(head.removeprefix(codecs.BOM_UTF8)):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def kind_of_name(name: str) -> str:
    """Return the type that the suffix of a name says: zip, tar, tar.gz, gz, …; "" for others."""
    match = _KIND.search(name)
    return _SHORT.get(match[1].lower(), match[1].lower()) if match else ""


def is_archive_name(name: str) -> bool:
    """Return whether the suffix of a name is that of an archive of several files."""
    return kind_of_name(name).startswith(("zip", "tar"))


def without_packing(name: str) -> str:
    """Return a name without the suffix of its archive or compression: `x.po` for `x.po.gz`."""
    return _KIND.sub("", name)
