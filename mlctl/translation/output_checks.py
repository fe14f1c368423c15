"""Checks of a backend's output: empty, faulty beside its text, copied, or in the wrong language, script or variant of Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from mlctl.core.language_id import other_language_margin
from mlctl.core.script_check import is_in_other_han_variant, is_in_other_script
from mlctl.core.unicode_scripts import has_unspaced
from mlctl.translation import output_faults
from mlctl.translation.backend import EMPTY, Translation

COPIED, WRONG_LANGUAGE = "copied text", "wrong language"
#: Rules that reject an output, in the order in which they are applied.
RULES = (EMPTY, COPIED, *output_faults.RULES, WRONG_LANGUAGE)

# Shorter copies pass: "GNU Image Manipulation Program" is right in every language. Where words are not spaced, a letter has more meaning.
_MIN_COPIED_LETTERS, _MIN_COPIED_LETTERS_UNSPACED = 20, 8
_MAX_NAME_WORDS = (
    8  # of a text that is a name or a title of names, which may stay as it is ("Elite League: Dundee Stars 5-3 Belfast Giants")
)
_BOTH_LENGTH = 1.25  # of an output that has the text and its translation, relative to the text
# The defaults of clean.language_letters, clean.language_margin and clean.min_script_share.
_LANGUAGE_LETTERS, _LANGUAGE_MARGIN, _MIN_SCRIPT_SHARE = 30, 30.0, 0.2
# Addresses, paths, placeholders, tags and names with digits are the same in any translation.
_WORD = re.compile(r"[^\W\d_]+")
_UNTRANSLATABLE = re.compile(r"<[^<>]*>|\S*\w[./@:_\\=-]\w\S*|%\S+|\S*\d\S*|\{[^{}]*\}")


def check_outputs(texts: Sequence[str], translations: Sequence[Translation], source: str, target: str) -> list[Translation]:
    """Reject outputs that are not translations; earlier rejections stay as they are. A rejected output keeps its text.

    Args:
        texts: the translated texts, in `source` (BCP 47).
        translations: one a text, in order.
        source: language of the texts.
        target: language that the translations should be in.
    """
    checked = [_check(text, translation, source, target) for text, translation in zip(texts, translations, strict=True)]
    accepted = [
        (row, translation.text)
        for row, (text, translation) in enumerate(zip(texts, checked, strict=True))
        if not translation.rule and _letters(text) != _letters(translation.text)  # a name stays in its language
    ]
    long = [row for row, output in accepted if sum(map(str.isalpha, output)) >= _LANGUAGE_LETTERS]
    for row, margin in zip(long, other_language_margin([checked[row].text for row in long], target), strict=True):
        if margin > _LANGUAGE_MARGIN or _is_in_other_script(checked[row].text, target):
            checked[row] = Translation(checked[row].text, WRONG_LANGUAGE)
    return checked


def _check(text: str, translation: Translation, source: str, target: str) -> Translation:
    if translation.rule:
        return translation
    if not translation.text.strip():
        return Translation("", EMPTY)
    copied = _is_copy(text, translation.text, source, target)
    return Translation(translation.text, COPIED if copied else output_faults.find_fault(text, translation.text, source, target))


def _is_in_other_script(output: str, target: str) -> bool:
    """Return whether an output is in another script than the target language's, or in the other variant of Chinese."""
    letters = sum(unicodedata.category(character)[0] in "LM" for character in output)
    return is_in_other_script(output, letters, target, _MIN_SCRIPT_SHARE) or is_in_other_han_variant(
        output, target, _MIN_SCRIPT_SHARE
    )


def _is_copy(text: str, output: str, source: str, target: str) -> bool:
    """Return whether the output is the text, or has it beside something else. Between two scripts of one language (zh, zh-Hant) that
    may be right.
    """
    if source.partition("-")[0] == target.partition("-")[0]:
        return False
    min_letters = _MIN_COPIED_LETTERS_UNSPACED if has_unspaced(text) else _MIN_COPIED_LETTERS
    before, after = _letters(text), _letters(output)
    both = before in after and len(after) >= _BOTH_LENGTH * len(before)
    copied = before == after and not _is_name(text)
    return (copied or both) and len(_letters(_UNTRANSLATABLE.sub(" ", text))) >= min_letters


def _is_name(text: str) -> bool:
    """Return whether a text has few words, all with a capital letter."""
    words = _WORD.findall(text)
    return len(words) <= _MAX_NAME_WORDS and not text.isupper() and all(word[0].isupper() for word in words)


def _letters(text: str) -> str:
    """Return the letters and digits of a text, case-folded and in NFKC."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded))
