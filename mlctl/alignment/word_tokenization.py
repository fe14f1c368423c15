"""Word tokenisation with exact character ranges: Moses tokens in scripts with spaces, ICU's dictionaries in those without."""

from __future__ import annotations

import bisect
import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import regex  # type: ignore[import-untyped]
from icu4py.breakers import WordBreaker
from sacremoses import MosesTokenizer
from sacremoses.tokenize import nonbreaking_prefixes

from mlctl.alignment import in_word_marks
from mlctl.core.unicode_scripts import UNSPACED, has_unspaced
from mlctl.core.word_forms import JOINERS

#: The character range of a word in its text: [start, end).
Span = tuple[int, int]

_RUN = re.compile(f"([{UNSPACED}]+)|[^{UNSPACED}]+")
_CLUSTER = regex.compile(r"\s|\X")  # no two of them are composed with each other
_PLAIN_WORD = re.compile(r"\w+|[^\w\s]")
# Characters that the tokenizer removes, joining their neighbours, and a word that it uses as a marker.
_UNSAFE = re.compile(r"[\x00-\x08\x0e-\x1b]|MULTI")
_NO_CONTEXT = "x ", " A"  # stand-ins for the neighbours of a piece, where they do not matter
_SLOW = {"zh", "ja"}  # for Han and kana, which it never gets, the tokenizer compiles tables for seconds
_CACHE_SIZE = 1 << 17  # pieces and words: most of a text consists of some ten thousand


class WordTokenizer:
    """Splits texts of one language into words.

    Every visible character of a text is in exactly one word. White space, and control and format characters next to no other, are
    in none. Punctuation that is spelling (`Ng'ombe`, `il·lusió`, `EU:ssa`) is masked from the Moses tokenizer (`in_word_marks`).

    What the Moses tokenizer does to a piece of text between white space depends on the piece and on the first character of the next
    one. So each distinct piece is tokenised once, with a stand-in for its neighbours, and cached; a text for which this does not
    hold is tokenised whole.
    """

    def __init__(self, language: str) -> None:
        self._language = language.partition("-")[0]
        self._moses = _moses(self._language)
        self._marks = in_word_marks.InWordMarks(self._language, self._moses.IsAlnum)
        self._rules = _FastMosesRules(self._moses)
        self._cached_piece = functools.lru_cache(_CACHE_SIZE)(self._tokenize_piece)
        self._cached_final_piece = functools.lru_cache(_CACHE_SIZE)(self._tokenize_final_piece)

    def spans(self, text: str) -> list[Span]:
        """Return the character ranges of the words of `text`, in order, not overlapping."""
        if unicodedata.is_normalized("NFC", text):
            return self._masked_spans(self._marks.mask(text))
        composed, units = _compose(text)
        spans: list[Span] = []
        for start, end in self._masked_spans(self._marks.mask(composed)):
            first, last = units[start][0], units[end - 1][1]
            shares_unit = bool(spans) and first < spans[-1][1]
            spans[-1:] = [(spans[-1][0], last)] if shares_unit else [*spans[-1:], (first, last)]
        return spans

    def _masked_spans(self, text: str) -> list[Span]:
        spans = None if has_unspaced(text) else self._by_pieces(text, self._cached_final_piece)
        if spans is None:
            spans = _finalise(text, itertools.chain.from_iterable(map(self._run_spans, _RUN.finditer(text))))
        cuts = in_word_marks.cuts(text)
        return list(_cut(spans, cuts)) if cuts else spans

    def _run_spans(self, match: re.Match[str]) -> Iterator[Span]:
        pieces = self._unspaced(match[0]) if match[1] else self._spaced(match[0])
        return ((match.start() + start, match.start() + end) for start, end in pieces)

    def _unspaced(self, run: str) -> Iterable[Span]:
        # The breaker's positions count UTF-16 code units; the lengths of its pieces count characters.
        ends = itertools.accumulate(map(len, WordBreaker(run, self._language)), initial=0)
        return itertools.pairwise(ends)

    def _spaced(self, run: str) -> Iterable[Span]:
        spans = self._by_pieces(run, self._cached_piece)
        return self._tokenize_run(run) if spans is None else spans

    def _by_pieces(self, run: str, tokenize: functools._lru_cache_wrapper[tuple[Span, ...] | None]) -> list[Span] | None:
        """Return the spans of a run, piece by piece; None if a piece cannot be tokenised by itself."""
        if _UNSAFE.search(run):
            return None
        spans: list[Span] = []
        end, pieces = 0, run.split()
        single = " ".join(pieces) == run  # nearly always: each piece begins one character after the one before
        for index, piece in enumerate(pieces):
            start = end + (index > 0) if single else run.index(piece, end)
            end = start + len(piece)
            if piece.isalpha() and piece.isascii():  # most pieces: one word
                spans.append((start, end))
                continue
            has_context = "." in piece or (piece[0] == "," and not index)
            piece_spans = tokenize(piece, *(self._context(pieces, index) if has_context else _NO_CONTEXT))
            if piece_spans is None:
                return None
            spans += [(start + first, start + last) for first, last in piece_spans]
        return spans

    def _context(self, pieces: Sequence[str], index: int) -> tuple[str, str]:
        """Return stand-ins for a piece's neighbours, where they matter to the tokenizer: at commas and full stops."""
        piece, (before, after) = pieces[index], _NO_CONTEXT
        if piece[0] == "," and not index:
            before = ""
        if "." in piece:
            next_piece = pieces[index + 1] if index + 1 < len(pieces) else ""
            after = " 1" if next_piece[:1] in set("0123456789") else " A" if next_piece else ""
        return before, after

    def _tokenize_piece(self, piece: str, before: str, after: str) -> tuple[Span, ...] | None:
        """Return the ranges of a piece's tokens; None if they depend on its neighbours or the tokenizer changes the text."""
        tokens = self._rules.tokens(piece, before, after)
        if tokens is None:
            tokens = self._moses.tokenize(before + piece + after, escape=False)
            tokens = tokens[bool(before) : len(tokens) - bool(after)]
            if "".join(tokens) != piece:
                return None
        return tuple(itertools.pairwise(itertools.accumulate(map(len, tokens), initial=0)))

    def _tokenize_final_piece(self, piece: str, before: str, after: str) -> tuple[Span, ...] | None:
        spans = self._cached_piece(piece, before, after)
        return None if spans is None else tuple(_finalise(piece, spans))

    def _tokenize_run(self, run: str) -> Iterator[Span]:
        """Tokenise a run in one call; if the tokenizer changes its text, split it into words of letters and digits."""
        tokens = self._moses.tokenize(run, escape=False)
        visible = [index for index, character in enumerate(run) if not character.isspace() and character >= " "]
        if "".join(tokens) != "".join([run[index] for index in visible]):
            # The tokenizer marks runs of full stops with words such as DOTMULTI, and takes such words in the text for marks.
            return (match.span() for match in _PLAIN_WORD.finditer(run))
        ends = itertools.accumulate(map(len, tokens), initial=0)
        return ((visible[start], visible[end - 1] + 1) for start, end in itertools.pairwise(ends))


def _moses(language: str) -> MosesTokenizer:
    """Return the Moses tokenizer of a language; a full stop before a small letter ends an abbreviation only if its list says so."""
    moses = MosesTokenizer("en" if language in _SLOW else language)
    if language in _SLOW:
        moses.NONBREAKING_PREFIXES = [prefix.strip() for prefix in nonbreaking_prefixes.words(language)]
        numeric = filter(moses.has_numeric_only, moses.NONBREAKING_PREFIXES)
        moses.NUMERIC_ONLY_PREFIXES = [prefix.rpartition(" ")[0] for prefix in numeric]
    moses.IsLower = ""  # else it takes every word before a small letter for an abbreviation, as there are no others in cased text
    return moses


class _FastMosesRules:
    """The Moses tokenizer's rules for pieces without full stops except a last one, in a tenth of its time."""

    def __init__(self, moses: MosesTokenizer) -> None:
        letters, number = rf"{moses.IsAlnum}`\-", moses.IsN
        digit = rf"(?=[{letters}])[{number}]"  # numbers that are no letters to it, such as ², are set apart before commas are
        self._token = re.compile(rf"(?:[{letters}]|(?<={digit}),(?={digit}))+|\S")
        self._word_end = re.compile(f"[{letters}]")
        self._numeric = frozenset(moses.NUMERIC_ONLY_PREFIXES)
        self._abbreviations = frozenset(moses.NONBREAKING_PREFIXES) - self._numeric

    def tokens(self, piece: str, before: str, after: str) -> list[str] | None:
        """Return the tokens of a piece; None if these rules do not cover it."""
        ends_with_stop = piece[-1] == "." and len(piece) > 1
        stem = piece[:-1] if ends_with_stop else piece
        if "." in stem or ",," in piece or (piece[0] == "," and not before):
            return None
        tokens: list[str] = self._token.findall(stem)
        if ends_with_stop and self._word_end.match(stem[-1]) and self._is_abbreviation(tokens[-1], after):
            tokens[-1] += "."
        elif ends_with_stop:
            tokens.append(".")
        return tokens

    def _is_abbreviation(self, word: str, after: str) -> bool:
        return word in self._abbreviations or (word in self._numeric and after == " 1")


def _compose(text: str) -> tuple[str, list[Span]]:
    """Return the composed form (NFC) of a text, and for each of its characters the range of the characters of `text` that it is of.

    The two forms of a letter and its marks are one word; without this, an abbreviation that ends with a mark would be none.
    """
    composed: list[str] = []
    units: list[Span] = []
    for match in _CLUSTER.finditer(text):
        form = unicodedata.normalize("NFC", match[0])
        if form == match[0]:
            units += [(index, index + 1) for index in range(*match.span())]
        else:
            units += [match.span()] * len(form)
        composed.append(form)
    return "".join(composed), units


def _cut(spans: Iterable[Span], cuts: Sequence[int]) -> Iterator[Span]:
    """Yield the spans, divided at each cut that is inside one."""
    for start, end in spans:
        inside = cuts[bisect.bisect_right(cuts, start) : bisect.bisect_left(cuts, end)]
        yield from itertools.pairwise((start, *inside, end))


def _finalise(text: str, spans: Iterable[Span]) -> list[Span]:
    return [span for span in _join_at_marks(text, spans) if _is_visible(text, span)]


def _join_at_marks(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Join spans that were split at a combining mark or a joiner: the tokenizer's table of letters lacks many marks."""
    last: Span | None = None
    open_end = False
    for start, end in spans:
        mark = _is_mark(text[start])
        if last and start == last[1] and (mark or (open_end and text[start].isalnum())):
            last = (last[0], end)
        else:
            if last:
                yield last
            last = (start, end)
        open_end = mark and end == start + 1
    if last:
        yield last


def _is_mark(character: str) -> bool:
    return character > "\x7f" and (character in JOINERS or unicodedata.category(character)[0] == "M")


def _is_visible(text: str, span: Span) -> bool:
    word = text[slice(*span)]
    return word.isprintable() or any(unicodedata.category(character) not in {"Cc", "Cf"} for character in word)
