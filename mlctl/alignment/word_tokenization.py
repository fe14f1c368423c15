"""Words of a text as exact character ranges: Moses tokens where words are spaced, ICU's dictionaries where they are not."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from icu4py.breakers import WordBreaker
from sacremoses import MosesTokenizer

from mlctl.core.unicode_scripts import UNSPACED, has_unspaced

#: A word's place in its text: characters [start, end).
Span = tuple[int, int]

_RUN = re.compile(f"([{UNSPACED}]+)|[^{UNSPACED}]+")
_PLAIN_WORD = re.compile(r"\w+|[^\w\s]")
# What the tokenizer takes out, so that it joins what stands around it, and a word that it uses for marks of its own.
_STRANGE = re.compile(r"[\x00-\x08\x0e-\x1b]|MULTI")
_JOINERS = "\u00ad\u200c\u200d\u2060"  # soft hyphen, zero-width (non-)joiner, word joiner: they occur inside words
_REMEMBERED = 1 << 17  # pieces and words: most of a text is made of some ten thousand


class WordTokenizer:
    """Splits texts of one language into words.

    Every visible character of a text is in exactly one word. White space, and control and format characters that stand alone,
    are in none.

    The Moses tokenizer looks at a piece of text between white space, and at the first character of the next. So each piece is
    given to it once, with a stand-in for its neighbours, and remembered; texts that have more to them go to it whole.
    """

    def __init__(self, language: str) -> None:
        self._language = language.partition("-")[0]
        self._moses = MosesTokenizer(self._language)
        self._rules = _Rules(self._moses)
        self._piece = functools.lru_cache(_REMEMBERED)(self._split_piece)
        self._finished = functools.lru_cache(_REMEMBERED)(self._finish_piece)
        self._lower = frozenset(self._moses.IsLower)

    def spans(self, text: str) -> list[Span]:
        """Return the character ranges of the words of `text`, in order, not overlapping."""
        if not has_unspaced(text):
            spans = self._by_pieces(text, self._finished)
            if spans is not None:
                return spans
        found = itertools.chain.from_iterable(self._run_spans(match) for match in _RUN.finditer(text))
        return _finished(text, found)

    def _run_spans(self, match: re.Match[str]) -> Iterator[Span]:
        pieces = self._unspaced(match[0]) if match[1] else self._spaced(match[0])
        return ((match.start() + start, match.start() + end) for start, end in pieces)

    def _unspaced(self, run: str) -> Iterable[Span]:
        # The breaker's own positions count UTF-16 units; the lengths of its pieces count characters.
        ends = itertools.accumulate(map(len, WordBreaker(run, self._language)), initial=0)
        return itertools.pairwise(ends)

    def _spaced(self, run: str) -> Iterable[Span]:
        spans = self._by_pieces(run, self._piece)
        return self._whole(run) if spans is None else spans

    def _by_pieces(self, run: str, split: functools._lru_cache_wrapper[tuple[Span, ...] | None]) -> list[Span] | None:
        """Return the spans of a run, piece by piece; None where its pieces cannot be told apart."""
        if _STRANGE.search(run):
            return None
        spans: list[Span] = []
        end, pieces = 0, run.split()
        for number, piece in enumerate(pieces):
            start = run.index(piece, end)
            end = start + len(piece)
            if piece.isalpha() and piece.isascii():  # most pieces
                spans.append((start, end))
                continue
            places = split(piece, *self._neighbours(pieces, number))
            if places is None:
                return None
            spans += [(start + first, start + last) for first, last in places]
        return spans

    def _neighbours(self, pieces: Sequence[str], number: int) -> tuple[str, str]:
        """Return what stands for a piece's neighbours, where they matter to the tokenizer: at apostrophes, commas and dots."""
        piece, before, after = pieces[number], "x ", " A"
        edge = piece[-1] == "'"
        if piece[0] in "',":
            before = "x " if number else ""
            if number and piece[0] == "'" and pieces[number - 1][-1] == "'":
                before = "x' "  # no such piece can be split by itself
        if edge or "." in piece:
            after = self._kind_of(pieces[number + 1][0]) if number + 1 < len(pieces) else ""
        return before, after

    def _kind_of(self, character: str) -> str:
        if character in self._lower:
            return " a"
        return " 1" if character in "0123456789" else " A"

    def _split_piece(self, piece: str, before: str, after: str) -> tuple[Span, ...] | None:
        """Return the ranges of a piece's tokens; None where its neighbours change them, or the tokenizer changes it."""
        if before == "x' ":
            return None
        tokens = self._rules.tokens(piece, before, after)
        if tokens is None:
            tokens = self._moses.tokenize(before + piece + after, escape=False)
            tokens = tokens[bool(before) : len(tokens) - bool(after)]
            if "".join(tokens) != piece:
                return None
        return tuple(itertools.pairwise(itertools.accumulate(map(len, tokens), initial=0)))

    def _finish_piece(self, piece: str, before: str, after: str) -> tuple[Span, ...] | None:
        spans = self._piece(piece, before, after)
        return None if spans is None else tuple(_finished(piece, spans))

    def _whole(self, run: str) -> Iterator[Span]:
        """Split a run by one call of the tokenizer; into words of letters and digits where it changes the run."""
        tokens = self._moses.tokenize(run, escape=False)
        kept = [place for place, character in enumerate(run) if not character.isspace() and character >= " "]
        if "".join(tokens) != "".join([run[place] for place in kept]):
            # The tokenizer marks runs of dots by words of its own, and takes such words in the text for marks.
            return (match.span() for match in _PLAIN_WORD.finditer(run))
        ends = itertools.accumulate(map(len, tokens), initial=0)
        return ((kept[start], kept[end - 1] + 1) for start, end in itertools.pairwise(ends))


class _Rules:
    """What the Moses tokenizer does to pieces without apostrophes, and without dots but a last one: in a tenth of its time."""

    def __init__(self, moses: MosesTokenizer) -> None:
        letters, number = rf"{moses.IsAlnum}`\-", moses.IsN
        self._token = re.compile(rf"(?:[{letters}]|(?<=[{number}]),(?=[{number}]))+|\S")
        self._word_end = re.compile(f"[{letters}]")
        self._numeric = frozenset(moses.NUMERIC_ONLY_PREFIXES)
        self._kept = frozenset(moses.NONBREAKING_PREFIXES) - self._numeric

    def tokens(self, piece: str, before: str, after: str) -> list[str] | None:
        """Return the tokens of a piece; None: its rules are not here."""
        dot = piece[-1] == "." and len(piece) > 1
        stem = piece[:-1] if dot else piece
        if "'" in piece or "." in stem or ",," in piece or (piece[0] == "," and not before):
            return None
        found: list[str] = self._token.findall(stem)
        if dot and self._word_end.match(stem[-1]) and self._abbreviates(found[-1], after):
            found[-1] += "."
        elif dot:
            found.append(".")
        return found

    def _abbreviates(self, word: str, after: str) -> bool:
        return word in self._kept or after == " a" or (word in self._numeric and after == " 1")


# What is written in several ways without being another word. Accents stay: they tell words apart.
_SAME = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032\u00b4\u0060\u05f3\uff07"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\u05f4"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u05be"), "-"),
    **dict.fromkeys(map(ord, _JOINERS), None),
    # Vowel signs that Hebrew and Arabic mostly leave out, and the stroke that only lengthens an Arabic word.
    **dict.fromkeys([*range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7], None),
    **dict.fromkeys([0x0640, *range(0x064B, 0x0653), 0x0670, *range(0x06D6, 0x06DD)], None),
}
_DIGIT = re.compile(r"\d")


@functools.lru_cache(_REMEMBERED)
def normalised(word: str) -> str:
    """Return a word as the statistics count it: what is written in several ways is one word.

    Case and compatibility forms (Unicode's NFKC) do not count, nor do joiners and soft hyphens, kinds of apostrophes, quotation
    marks and dashes, Hebrew and Arabic vowel signs; every digit is a 0. Never empty, never with white space.
    """
    same = unicodedata.normalize("NFKC", word.translate(_SAME)).casefold()
    same = unicodedata.normalize("NFKC", same).translate(_SAME)
    return _DIGIT.sub("0", "".join(same.split())) or word


def _finished(text: str, spans: Iterable[Span]) -> list[Span]:
    return [span for span in _joined(text, spans) if _visible(text, span)]


def _joined(text: str, spans: Iterable[Span]) -> Iterator[Span]:
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
    word = text[slice(*span)]
    return word.isprintable() or any(unicodedata.category(character) not in {"Cc", "Cf"} for character in word)
