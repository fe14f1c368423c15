"""What an engine gave back: a translation, or something that only looks like one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from mlctl.core.language_id import other_language_margin
from mlctl.core.unicode_scripts import has_unspaced
from mlctl.translation.backend import EMPTY, Translation

COPIED, WRONG_LANGUAGE = "copied text", "wrong language"
#: Rules that turn an engine's answer into a rejection, in the order in which they are asked.
RULES = (EMPTY, COPIED, WRONG_LANGUAGE)

# "GNU Image Manipulation Program" is right in every language; where words are not spaced, a letter says as much as several.
_COPY_LETTERS, _COPY_LETTERS_UNSPACED = 20, 8
_LANGUAGE_LETTERS, _LANGUAGE_MARGIN = 30, 30.0  # as text of people is judged
# Addresses, paths, placeholders, tags and names with digits stay as they are in any translation.
_FIXED = re.compile(r"<[^<>]*>|\S*\w[./@:_\\=-]\w\S*|%\S+|\S*\d\S*|\{[^{}]*\}")


def judge(texts: Sequence[str], made: Sequence[Translation], source: str, target: str) -> list[Translation]:
    """Turn answers that are no translations into rejections by name; other rejections stay what they are.

    Args:
        texts: what was translated, from `source` to `target` (BCP 47).
        made: one answer a text, in their order.
        source: language of the texts.
        target: language that the answers should be in.
    """
    judged = [_judged(text, translation, source, target) for text, translation in zip(texts, made, strict=True)]
    long = [row for row, translation in enumerate(judged) if sum(map(str.isalpha, translation.text)) >= _LANGUAGE_LETTERS]
    for row, margin in zip(long, other_language_margin([judged[row].text for row in long], target), strict=True):
        if margin > _LANGUAGE_MARGIN:
            judged[row] = Translation("", WRONG_LANGUAGE)
    return judged


def _judged(text: str, translation: Translation, source: str, target: str) -> Translation:
    if translation.rule:
        return translation
    if not translation.text.strip():
        return Translation("", EMPTY)
    return Translation("", COPIED) if _is_copy(text, translation.text, source, target) else translation


def _is_copy(text: str, answer: str, source: str, target: str) -> bool:
    """Tell whether an answer says the same to the letter. Between two scripts of one language (zh, zh-Hant) that may be right."""
    if source.partition("-")[0] == target.partition("-")[0]:
        return False
    enough = _COPY_LETTERS_UNSPACED if has_unspaced(text) else _COPY_LETTERS
    return _letters(text) == _letters(answer) and len(_letters(_FIXED.sub(" ", text))) >= enough


def _letters(text: str) -> str:
    """Return the letters and digits of a text in one case and form."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded))
