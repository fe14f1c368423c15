"""Scripts that are written without spaces between words."""

from __future__ import annotations

import re

#: Letters and marks of Thai, Lao, Myanmar, Khmer, Han and kana, as the content of a regular expression's character class.
#: Digits and punctuation are excluded: they are separate words in every script.
UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0ece\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109f\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
    "\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Kana
    "\U0001aff0-\U0001b16f\U00020000-\U000323af"  # Kana and Han beyond the basic plane
)
_UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")


def has_unspaced(text: str) -> bool:
    """Return whether a text contains a character of a script that is written without spaces between words."""
    return _UNSPACED_CHARACTER.search(text) is not None
