"""gettext catalogues (.po, .mo) to messages."""

from __future__ import annotations

import codecs
import gettext
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polib

_CHARSET = re.compile(rb"charset=([\w.:-]+)")
_PLURAL_FORMS = re.compile(r"nplurals\s*=\s*(\d+)\s*;\s*plural\s*=\s*([^;]+)")
_DEFAULT = re.compile(r'Default:\s*"(.*)"', re.DOTALL)


class Message(NamedTuple):
    """A text of a catalogue: `translation` is empty where there is none; `default` is the English that stands in a comment."""

    context: str
    text: str
    translation: str
    default: str


class CatalogueError(Exception):
    """A catalogue cannot be read; the text says where (line) and why."""


def parse(data: bytes, suffix: str, scratch: Path) -> list[Message]:
    """Return the messages of a catalogue in its order; obsolete and fuzzy ones and the header are left out.

    A plural entry becomes two messages: the singular with the form for 1 (where the language has more than one form), the
    plural with the form for 100.

    Raises:
        CatalogueError: broken syntax, broken encoding or a damaged .mo.
    """
    if suffix == ".po":
        data = _as_utf8(data)
    else:
        _check_lengths(data)
    # polib splits text that is given directly at every Unicode line end, and takes it for a path where it is one.
    file = scratch / f"catalogue{suffix}"
    file.write_bytes(data)
    try:
        catalogue = polib.pofile(str(file), encoding="utf-8") if suffix == ".po" else polib.mofile(str(file))
        return list(_messages(catalogue))
    except Exception as error:  # whatever its parser trips over: the input is anybody's
        raise _where(error) from None
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
    """Return which form goes with 1 and which with many; equal where the language has one form."""
    found = _PLURAL_FORMS.search(header)
    if not found:
        return 0, 1
    count = int(found[1])
    try:
        form = gettext.c2py(found[2].strip())
        one, many = int(form(1)), int(form(100))
    except (ValueError, ArithmeticError, RecursionError):
        one, many = 0, count - 1
    return min(one, count - 1), min(many, count - 1)


def _default(comment: str) -> str:
    found = _DEFAULT.search(comment)
    return found[1].replace("\n", " ").replace("\\n", "\n").replace('\\"', '"') if found else ""


def _as_utf8(data: bytes) -> bytes:
    """Return the catalogue in UTF-8, from the encoding that its header names."""
    data = data.removeprefix(codecs.BOM_UTF8)
    found = _CHARSET.search(data)
    encoding = found[1].decode("ascii", errors="replace") if found else "utf-8"
    try:
        return data.decode(encoding).encode("utf-8")
    except LookupError:
        return _as_utf8(data.replace(b"charset=", b"charset:", 1))
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise CatalogueError(f"line {line}: a byte that is not {encoding}") from None


def _check_lengths(data: bytes) -> None:
    """Refuse a .mo whose tables point at more text than the file holds: reading it could fill the memory."""
    try:
        order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
        count, sources, targets = struct.unpack_from(f"{order}III", data, 8)
        tables = [struct.unpack_from(f"{order}{2 * count}I", data, start) for start in (sources, targets)]
    except struct.error as error:
        raise CatalogueError(f"a damaged .mo: {error}") from None
    if sum(sum(table[::2]) for table in tables) > len(data):
        raise CatalogueError("a damaged .mo: its texts overlap")


def _where(error: Exception) -> CatalogueError:
    found = re.search(r"\(line (\d+)\):?\s*(.*)", str(error), re.DOTALL)
    if found:
        return CatalogueError(f"line {found[1]}: {found[2] or 'a syntax error'}")
    return CatalogueError(f"{type(error).__name__}: {error}")
