"""What a text reads as if its bytes are decoded with another encoding."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import ftfy.bad_codecs  # noqa: F401  (registers the sloppy codecs: bytes that an encoding lacks are C1 controls, as in browsers)

_WINDOWS = (1252, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)
_COMMON = (
    *("latin-1", *(f"sloppy-windows-{page}" for page in _WINDOWS), "cp874", *(f"iso8859_{part}" for part in (2, 5, 7, 9, 15))),
    *("koi8_r", "koi8_u", "mac_roman", "mac_latin2", "mac_cyrillic", "mac_greek", "mac_turkish"),
)
_WESTERN = ("latin-1", "sloppy-windows-1252")
# Encodings of one vendor, or of one group of languages.
_FAMILIES = (
    *(tuple(name for name in _COMMON if name.startswith(prefix)) for prefix in ("sloppy-windows", "iso8859", "mac")),
    ("sloppy-windows-1250", "iso8859_2", "mac_latin2"),
    ("sloppy-windows-1251", "iso8859_5", "koi8_r", "koi8_u", "mac_cyrillic", "cp866"),
    ("sloppy-windows-1253", "iso8859_7", "mac_greek"),
    ("sloppy-windows-1254", "iso8859_9", "mac_turkish"),
)
_RARE = (
    *(f"iso8859_{part}" for part in (3, 4, 6, 8, 10, 13, 14, 16)),
    *("mac_iceland", "cp437", "cp737", "cp775", "cp850", "cp852", "cp857", "cp862", "cp864", "cp866", "kz1048", "ptcp154"),
)
#: Single-byte encodings in which text was written, and as which it is read.
SINGLE_BYTE = (*_COMMON, *_RARE)
#: Encodings of several bytes a character, by the script (ISO 15924) of the languages that are written in them.
MULTI_BYTE = {"Hans": ("gb18030",), "Hant": ("big5hkscs",), "Jpan": ("cp932", "euc_jp"), "Kore": ("cp949",)}

_UPPER_HALF = range(0x80, 0x100)
_ALONE = re.compile(r"(?<![^\x00-\x7f])[^\x00-\x7f](?![^\x00-\x7f])")  # a character beyond ASCII between two of ASCII
#: Stands for a byte that an encoding lacks.
UNDECODABLE = "\ufffd"


class Misreading(NamedTuple):
    """The encoding that a text was read as, and its true encoding."""

    read_as: str
    true: str


@functools.cache
def rarity(misreading: Misreading) -> float:
    """Return how unusual a misreading is: 1 for each encoding that is seldom used (DOS, lesser parts of ISO 8859), 1 for two that have
    nothing in common, a little for text of a Macintosh.
    """
    read_as, true = misreading
    related = any(read_as in family and true in family for family in _FAMILIES)
    western = read_as in _WESTERN or true in _WESTERN or true not in SINGLE_BYTE
    old = 0.5 if true.startswith("mac") else 0.0
    return (read_as in _RARE) + (true in _RARE) + (not related and not western) + old


def multi_byte_readings(text: str, characters: frozenset[str], written: Collection[str]) -> Iterator[tuple[Misreading, str]]:
    """Yield the readings of a text in those of the encodings that have several bytes a character."""
    multi_byte = [name for name in written if name not in SINGLE_BYTE]
    if _ALONE.search(text):  # of two bytes or more in UTF-8
        multi_byte = [name for name in multi_byte if name != "utf-8"]
    for read_as in SINGLE_BYTE if multi_byte else ():
        if characters <= upper_half(read_as).keys():
            for true in multi_byte:
                if (reading := _decoded(text, Misreading(read_as, true))) is not None:
                    yield Misreading(read_as, true), reading


def read(text: str, misreading: Misreading) -> str | None:
    """Return a text in one reading; None if it cannot have been misread so."""
    if not upper_half(misreading.read_as).keys() >= {character for character in text if not character.isascii()}:
        return None
    return _decoded(text, misreading)


def _decoded(text: str, misreading: Misreading) -> str | None:
    """Return the reading of a text whose characters are all of the encoding that it was read as; None if the bytes cannot be decoded."""
    if misreading.true in SINGLE_BYTE:
        reading = text.translate(character_table(misreading))
    else:
        reading = text.translate(_bytes_table(misreading.read_as)).encode("latin-1").decode(misreading.true, errors="replace")
    return None if UNDECODABLE in reading else reading


@functools.cache
def upper_half(encoding: str) -> dict[str, int]:
    """Return the characters of an encoding's bytes from 0x80, with the bytes."""
    return {character: byte for byte, character in zip(_UPPER_HALF, decoding(encoding), strict=True) if character != UNDECODABLE}


@functools.cache
def character_table(misreading: Misreading) -> dict[int, str]:
    """Return what each character (code point) of the encoding that was read is in the true one; U+FFFD: not a character of it."""
    pairs = zip(decoding(misreading.read_as), decoding(misreading.true), strict=True)
    return {ord(before): after for before, after in pairs if before != UNDECODABLE}


@functools.cache
def _bytes_table(encoding: str) -> dict[int, str]:
    return {ord(character): chr(byte) for character, byte in upper_half(encoding).items()}


@functools.cache
def misread_characters() -> frozenset[str]:
    """Return all characters beyond ASCII that a byte can be read as."""
    return frozenset(character for encoding in SINGLE_BYTE for character in upper_half(encoding) if not character.isascii())


@functools.cache
def decoding(encoding: str) -> str:
    """Return the characters of the bytes from 0x80, a replacement character for each that the encoding lacks."""
    return "".join(bytes([byte]).decode(encoding, errors="replace") for byte in _UPPER_HALF)
