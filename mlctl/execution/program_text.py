"""Text for programs that read lines, and in messages about them."""

from __future__ import annotations

import re

from mlctl.core.unicode_scripts import has_unspaced

_LINE_BREAKS = re.compile(r"[\0\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_SHOWN_CHARACTERS = 60


def to_single_line(text: str) -> str:
    """Return the text with a space for NUL and everything that a program may take for the end of a line."""
    return _LINE_BREAKS.sub(" ", text).strip()


def count_words(text: str) -> int:
    """Return the number of words between spaces; where words are not spaced, two characters count as one."""
    return max(len(text.split()), len(text) // 2 if has_unspaced(text) else 0)


def quote(text: str) -> str:
    """Return the beginning of a text in quotes, for a message."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
