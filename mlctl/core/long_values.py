"""Cuts long values in messages: a setting, path or line of thousands of characters would bury what the message says about it."""

from __future__ import annotations

import re

_MAX_WORD, _MAX_LINE = 300, 1500
_LONG_WORD = re.compile(rf"\S{{{_MAX_WORD + 1},}}")
_LONG_LINE = re.compile(rf"[^\n]{{{_MAX_LINE + 1},}}")
_WORD_ENDS, _LINE_ENDS = (120, 60), (900, 300)


def cut_long_values(message: str) -> str:
    """Return a message with the middle of each word of more than 300 characters, and of each line of more than 1,500, left out.

    Both ends stay, because a path or URL is known by its end, and the number of characters is given.
    """
    words_cut = _LONG_WORD.sub(lambda match: _cut(match[0], *_WORD_ENDS), message)
    return _LONG_LINE.sub(lambda match: _cut(match[0], *_LINE_ENDS), words_cut)


def _cut(text: str, first: int, last: int) -> str:
    return f"{text[:first]}…({len(text):,} characters)…{text[-last:]}"
