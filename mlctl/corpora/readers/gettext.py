"""Parser for gettext catalogues (.po, .mo)."""

from __future__ import annotations

import codecs
import gettext
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_CHARSET = re.compile(rb"charset=([\w.:-]+)")
_PLURAL_FORMS = re.compile(r"nplurals\s*=\s*(\d+)\s*;\s*plural\s*=\s*([^;]+)")
_DEFAULT = re.compile(r'Default:\s*"(.*)"', re.DOTALL)


class Message(NamedTuple):
    """A message of a catalogue: `translation` is empty if it is missing; `default` is the English text in a comment."""

    context: str
    text: str
    translation: str
    default: str


class CatalogueError(Exception):
    """A catalogue cannot be read; the message has the line and the reason."""


def parse_catalogue(data: bytes, suffix: str, scratch: Path) -> list[Message]:
    """Return the messages of a catalogue in its order, without obsolete and fuzzy ones and the header.

    A plural entry becomes two messages: the singular with the form for 1 (if the language has more than one form), the
    plural with the form for 100.

    Raises:
        CatalogueError: broken syntax, broken encoding or a damaged .mo.
    """
    if suffix == ".po":
        data = _as_utf8(data)
    else:
        _check_lengths(data)
    import polib

    # Through a file: polib splits a string at every Unicode line end, and reads a file if the string is its path.
    file = scratch / f"catalogue{suffix}"
    file.write_bytes(data)
    try:
        catalogue = polib.pofile(str(file), encoding="utf-8") if suffix == ".po" else polib.mofile(str(file))
        return list(_messages(catalogue))
    except Exception as error:  # polib raises many types for invalid input
        raise _catalogue_error(error) from None
    finally:
        file.unlink()


def _messages(catalogue: Any) -> Iterator[Message]:
    one, many = _plural_forms(str(catalogue.metadata.get("Plural-Forms", "")))
    for entry in catalogue:
        if not entry.msgid or entry.obsolete or "fuzzy" in getattr(entry, "flags", ()):
            continue
        context, default = entry.msgctxt or "", _default(getattr(entry, "comment", "") or "")
        if not entry.msgid_plural:
            yield Message(context, entry.msgid, entry.msgstr or "", default)
            continue
        forms = {int(index): form for index, form in entry.msgstr_plural.items()}
        if one != many:
            yield Message(context, entry.msgid, forms.get(one, ""), default)
        yield Message(context, entry.msgid_plural, forms.get(many, ""), "")


def _plural_forms(header: str) -> tuple[int, int]:
    """Return the plural forms for 1 and for 100; they are equal if the language has one form."""
    match = _PLURAL_FORMS.search(header)
    if not match:
        return 0, 1
    count = int(match[1])
    try:
        form = gettext.c2py(match[2].strip())
        one, many = int(form(1)), int(form(100))
    except (ValueError, ArithmeticError, RecursionError):
        one, many = 0, count - 1
    return min(one, count - 1), min(many, count - 1)


def _default(comment: str) -> str:
    match = _DEFAULT.search(comment)
    return match[1].replace("\n", " ").replace("\\n", "\n").replace('\\"', '"') if match else ""


def _as_utf8(data: bytes) -> bytes:
    """Return the catalogue in UTF-8, decoded by the charset in its header."""
    data = data.removeprefix(codecs.BOM_UTF8)
    match = _CHARSET.search(data)
    encoding = match[1].decode("ascii", errors="replace") if match else "utf-8"
    try:
        return data.decode(encoding).encode("utf-8")
    except LookupError:
        return _as_utf8(data.replace(b"charset=", b"charset:", 1))
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise CatalogueError(f"line {line}: invalid {encoding}") from None


def _check_lengths(data: bytes) -> None:
    """Refuse a .mo whose tables refer to more text than the file contains: reading it could exhaust memory."""
    try:
        order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
        count, sources, targets = struct.unpack_from(f"{order}III", data, 8)
        tables = [struct.unpack_from(f"{order}{2 * count}I", data, start) for start in (sources, targets)]
    except struct.error as error:
        raise CatalogueError(f"damaged .mo: {error}") from None
    if sum(sum(table[::2]) for table in tables) > len(data):
        raise CatalogueError("damaged .mo: its texts overlap")


def _catalogue_error(error: Exception) -> CatalogueError:
    match = re.search(r"\(line (\d+)\):?\s*(.*)", str(error), re.DOTALL)
    if match:
        return CatalogueError(f"line {match[1]}: {match[2] or 'syntax error'}")
    return CatalogueError(f"{type(error).__name__}: {error}")
