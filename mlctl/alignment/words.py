"""Words of a text as exact character ranges: Moses tokens where words are spaced, ICU's dictionaries where they are not."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator

from icu4py.breakers import WordBreaker
from sacremoses import MosesTokenizer

from mlctl.scripts import UNSPACED

#: A word's place in its text: characters [start, end).
Span = tuple[int, int]

_RUN = re.compile(f"([{UNSPACED}]+)|[^{UNSPACED}]+")
_PLAIN_WORD = re.compile(r"\w+|[^\w\s]")
_DIGIT = re.compile(r"\d")
_JOINERS = "\u00ad\u200c\u200d\u2060"  # soft hyphen, zero-width (non-)joiner, word joiner: they occur inside words


class Splitter:
    """Splits texts of one language into words.

    Every visible character of a text is in exactly one word. White space, and control and format characters that stand alone,
    are in none.
    """

    def __init__(self, language: str) -> None:
        self._language = language.partition("-")[0]
        self._moses = MosesTokenizer(self._language)

    def spans(self, text: str) -> list[Span]:
        """Return the character ranges of the words of `text`, in order, not overlapping."""
        found = itertools.chain.from_iterable(self._run_spans(match) for match in _RUN.finditer(text))
        return [span for span in _joined(text, found) if _visible(text, span)]

    def _run_spans(self, match: re.Match[str]) -> Iterator[Span]:
        pieces = self._unspaced(match[0]) if match[1] else self._spaced(match[0])
        return ((match.start() + start, match.start() + end) for start, end in pieces)

    def _unspaced(self, run: str) -> Iterator[Span]:
        # The breaker's own positions count UTF-16 units; the lengths of its pieces count characters.
        ends = itertools.accumulate(map(len, WordBreaker(run, self._language)), initial=0)
        return itertools.pairwise(ends)

    def _spaced(self, run: str) -> Iterator[Span]:
        tokens = self._moses.tokenize(run, escape=False)
        kept = [place for place, character in enumerate(run) if not character.isspace() and character >= " "]
        if "".join(tokens) != "".join([run[place] for place in kept]):
            # The tokenizer marks runs of dots by words of its own, and takes such words in the text for marks.
            return (match.span() for match in _PLAIN_WORD.finditer(run))
        ends = itertools.accumulate(map(len, tokens), initial=0)
        return ((kept[start], kept[end - 1] + 1) for start, end in itertools.pairwise(ends))


def normalised(word: str) -> str:
    """Return a word as the statistics count it: case-folded, every digit a 0."""
    return _DIGIT.sub("0", word.casefold())


def _joined(text: str, spans: Iterator[Span]) -> Iterator[Span]:
    """Put together what was split at a combining mark or a joiner: the tokenizer's table of letters lacks many marks."""
    last: Span | None = None
    open_end = False
    for start, end in spans:
        glue = _is_glue(text[start])
        if last and start == last[1] and (glue or (open_end and text[start].isalnum())):
            last = (last[0], end)
        else:
            if last:
                yield last
            last = (start, end)
        open_end = glue and end == start + 1
    if last:
        yield last


def _is_glue(character: str) -> bool:
    return character > "\x7f" and (character in _JOINERS or unicodedata.category(character)[0] == "M")


def _visible(text: str, span: Span) -> bool:
    return any(unicodedata.category(character) not in {"Cc", "Cf"} for character in text[slice(*span)])
