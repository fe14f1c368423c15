"""Parser for gettext catalogues (.po, .mo)."""

from __future__ import annotations

import gettext
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlctl.corpora.readers.encoding import encoding_of_bom

#: First bytes of a .mo, in either byte order.
MO_MAGIC = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")
_CHARSET = re.compile(rb"charset=([\w.:-]+)")
_PLURAL_FORMS = re.compile(r"nplurals\s*=\s*(\d+)\s*;\s*plural\s*=\s*([^;]+)")
_DEFAULT = re.compile(r'Default:\s*"(.*)"', re.DOTALL)
# KDE 3 wrote context and plural forms into the key: `_: context\ntext`, `_n: singular\nplural`, and the forms into lines of the text.
_KDE_CONTEXT = re.compile(r"_:[^\n]*\n")
_KDE_PLURAL = re.compile(r"_n:\s*([^\n]+)\n(.+)", re.DOTALL)
# Messages whose "translations" are the names, addresses and tasks of the translators (KDE, GNOME).
_CREDITS_CONTEXT = re.compile(
    r"\W*(?:names?|e-?mails?|roles?|credits?)(?:\(s\))?[ _](?:of|for)[ _]translators?(?:\(s\))?\W*", re.IGNORECASE
)
_CREDITS_KEY = re.compile(
    r"(?:your[ _](?:names|e-?mails)|(?:names?|e-?mails?|roles?|credits?)_(?:of|for)_translators?|translators?[-_]credits?\b.*)",
    re.IGNORECASE | re.DOTALL,
)


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
    plural with the form for 100. Marks of KDE 3 in keys (`_: context`, `_n: singular, plural`) are read as what they mean. Credits of
    translators are left out.

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
    header = str(catalogue.metadata.get("Plural-Forms", ""))
    numbers = _plural_forms(header)
    for entry in catalogue:
        if not entry.msgid or entry.obsolete or "fuzzy" in getattr(entry, "flags", ()):
            continue
        context, key = _split_context(entry.msgctxt or "", entry.msgid)
        if not key or _CREDITS_CONTEXT.fullmatch(context) or _CREDITS_KEY.fullmatch(key):
            continue
        default = _default(getattr(entry, "comment", "") or "")
        translation = _split_context("", entry.msgstr or "")[1]
        if entry.msgid_plural:
            forms = {int(index): form for index, form in entry.msgstr_plural.items()}
            yield from _plural_messages(context, (key, entry.msgid_plural), forms, numbers, default)
        elif match := _KDE_PLURAL.fullmatch(key):
            forms = dict(enumerate(translation.strip("\n").split("\n")))
            kde_numbers = _kde_plural_forms(header, len(forms)) if translation else numbers
            yield from _plural_messages(context, match.groups(), forms, kde_numbers, default)
        else:
            yield Message(context, key, translation, default)


def _plural_messages(
    context: str, keys: Sequence[str], forms: Mapping[int, str], numbers: tuple[int, int], default: str
) -> Iterator[Message]:
    one, many = numbers
    if one != many:
        yield Message(context, keys[0], forms.get(one, ""), default)
    yield Message(context, keys[1], forms.get(many, ""), "")


def _split_context(context: str, key: str) -> tuple[str, str]:
    """Return context and text of a key that may begin with the marks `_: context` of KDE 3."""
    while match := _KDE_CONTEXT.match(key):
        context, key = context or match[0][2:].strip(), key[match.end() :]
    return context, key


def _kde_plural_forms(header: str, count: int) -> tuple[int, int]:
    """Return the plural forms for 1 and for 100 of a message of KDE 3 with `count` forms, for which no header was needed."""
    match = _PLURAL_FORMS.search(header)
    return _plural_forms(header) if match and int(match[1]) == count else (0, count - 1)


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
    """Return the catalogue in UTF-8, decoded by its byte order mark, else by the charset in its header."""
    if encoding := encoding_of_bom(data):
        return _decoded(data, encoding)
    match = _CHARSET.search(data)
    encoding = match[1].decode("ascii", errors="replace") if match else "utf-8"
    try:
        return _decoded(data, encoding)
    except LookupError:
        return _as_utf8(data.replace(b"charset=", b"charset:", 1))


def _decoded(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        line = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise CatalogueError(f"line {line}: invalid {encoding}") from None


def _check_lengths(data: bytes) -> None:
    """Refuse a .mo whose tables refer to more text than the file contains: reading it could exhaust memory."""
    try:
        order = "<" if data.startswith(MO_MAGIC[0]) else ">"
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
