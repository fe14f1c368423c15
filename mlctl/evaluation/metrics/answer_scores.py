"""Exact match and F1 of answers, as the official scripts of SQuAD v1.1 and of MLQA compute them.

Both compare answers after normalisation: lower case, without punctuation and articles, in words. SQuAD's rules (Rajpurkar et al. 2016,
arXiv 1606.05250; XTREME uses them for XQuAD and TyDiQA, too) know English articles and ASCII punctuation, whatever the language; MLQA's
(Lewis et al. 2020, arXiv 1910.07475) those of its seven languages, and take each Chinese character as a word.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

#: Returns the words of an answer that are compared.
Normalise = Callable[[str], list[str]]

_ASCII_PUNCTUATION = frozenset(string.punctuation)
_ENGLISH_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MLQA_ARTICLES = {
    "ar": re.compile("ال"),  # wherever it is: the official pattern is so wide
    "de": re.compile(r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "en": _ENGLISH_ARTICLES,
    "es": re.compile(r"\b(?:un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(?:của|là|cái|chiếc|những)\b"),
}
_CHINESE_CHARACTER = re.compile("([\u4e00-\u9fa5])")


def squad_words(text: str) -> list[str]:
    """Return the words of an answer by SQuAD's rules."""
    bare = "".join(character for character in text.lower() if character not in _ASCII_PUNCTUATION)
    return _ENGLISH_ARTICLES.sub(" ", bare).split()


def mlqa_words(text: str, language: str) -> list[str]:
    """Return the words of an answer by MLQA's rules for a language (canonical tag)."""
    bare = "".join(character for character in text.lower() if not _is_punctuation(character))
    articles = _MLQA_ARTICLES.get(language)
    bare = articles.sub(" ", bare) if articles else bare
    return (_CHINESE_CHARACTER.sub(r" \1 ", bare) if language == "zh" else bare).split()


def exact_match(answer: str, gold: Sequence[str], normalise: Normalise) -> float:
    """Return 1 if an answer is one of the gold answers, else 0."""
    return float(any(normalise(answer) == normalise(text) for text in gold))


def f1(answer: str, gold: Sequence[str], normalise: Normalise) -> float:
    """Return the F1 of an answer's words, in [0, 1], against the gold answer that it is the largest for."""
    return max((_f1(normalise(answer), normalise(text)) for text in gold), default=0.0)


def _f1(words: Sequence[str], gold: Sequence[str]) -> float:
    common = (Counter(words) & Counter(gold)).total()
    if not common:
        return 0.0
    precision, recall = common / len(words), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def _is_punctuation(character: str) -> bool:
    return character in _ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")
