"""Splits text into sentences: ICU's rules (Unicode UAX 29, CLDR), with four corrections.

Measured by `benchmarks/mining.py splitting` on news in 20 languages, these rules find as many sentence ends as the libraries for it or more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import regex  # type: ignore[import-untyped]
from icu4py.breakers import SentenceBreaker

from mlctl.core.unicode_scripts import has_unspaced

# "J. Smith": one capital letter and a full stop are an initial.
_INITIAL = regex.compile(r"(?:^|[\s\p{Ps}\p{Pi}.-])\p{Lu}\.\s*$")
# In scripts whose sentences end with a danda, a full stop after a few letters is an abbreviation.
_DANDA_SCRIPTS = r"\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}"
_ABBREVIATION = regex.compile(rf"(?:^|[\s\p{{P}}])[{_DANDA_SCRIPTS}]{{1,4}}\.\s*$")
# French has a space before a closing quotation mark, which ICU takes for the start of the next sentence.
_LATE_QUOTE = regex.compile(r"(\p{Pf})(?:\s+|$)")
# Thai and Lao mark no sentence ends; a space ends a clause or a sentence.
_CLAUSE_SCRIPTS = "\u0e01-\u0e4e\u0e81-\u0ede"
_CLAUSE_LETTER = re.compile(f"[{_CLAUSE_SCRIPTS}]")
_CLAUSE_END = re.compile(f"(?<=[{_CLAUSE_SCRIPTS}])[ \u00a0]+(?=[{_CLAUSE_SCRIPTS}])")


def split_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of a paragraph, without the white space around them; a line end always ends a sentence.

    Args:
        text: of any length.
        language: language tag.
    """
    sentences = list[str]()
    for piece in _joined(text, language):
        if sentences and (mark := _LATE_QUOTE.match(piece)):
            sentences[-1] += f" {mark[1]}"
            piece = piece[mark.end() :]  # noqa: PLW2901
        sentences += [sentence for part in _CLAUSE_END.split(piece) if (sentence := part.strip())]
    return sentences


def join_sentences(sentences: Sequence[str]) -> str:
    """Return sentences as one text: with a space between them where their script has one."""
    joined = sentences[0]
    for sentence in sentences[1:]:
        is_unspaced = has_unspaced(joined[-2:]) and has_unspaced(sentence[:2]) and not _CLAUSE_LETTER.search(joined[-2:])
        joined += sentence if is_unspaced else f" {sentence}"
    return joined


def _joined(text: str, language: str) -> Iterator[str]:
    """Yield ICU's sentences, joined where it takes the full stop of an initial or abbreviation for a sentence end."""
    pending = ""
    for piece in SentenceBreaker(text, language):
        pending += piece
        if "\n" in piece or not (_INITIAL.search(pending[-12:]) or _ABBREVIATION.search(pending[-12:])):
            yield pending
            pending = ""
    if pending:
        yield pending
