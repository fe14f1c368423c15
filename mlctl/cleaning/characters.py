"""Unicode and white space: the same text always in the same characters."""

from __future__ import annotations

import functools
import re
import unicodedata

import ftfy
from ftfy.badness import is_bad

# C0 and C1 controls but those that count as white space, soft hyphen, bidirectional marks, zero-width space, word joiner and
# invisible operators, byte order mark, interlinear annotations, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
# Joiners are spelling in scripts from Arabic to Balinese (Persian, Hindi, Khmer ...) and between emoji; elsewhere they are noise.
_STRAY_JOINER = re.compile("(?<![\u0600-\u10ff\u1780-\u1b7f\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]+")


def repaired(text: str) -> str:
    """Return text that was decoded wrongly (`CafÃ©`) as it was meant, where that can be told; any other text as it is."""
    return ftfy.fix_encoding(text) if looks_bad(text) else text


@functools.lru_cache(maxsize=64)  # most texts stay as they came, and are looked at again when they are judged
def looks_bad(text: str) -> bool:
    """Tell whether a text has any sequence that only wrong decoding makes."""
    return not text.isascii() and bool(is_bad(text))


def even(text: str) -> str:
    """Return text in NFC, without invisible characters, each run of white space one space, trimmed.

    `even(even(text)) == even(text)`.
    """
    if not (text.isascii() and text.isprintable()):
        text = _STRAY_JOINER.sub("", _INVISIBLE.sub("", text))
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def comparable(text: str) -> str:
    """Return what two texts share that differ in compatibility forms, case or white space only."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
