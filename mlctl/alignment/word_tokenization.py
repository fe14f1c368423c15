"""Word tokenisation with exact character ranges: Moses tokens in scripts with spaces, ICU's dictionaries in those without."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from icu4py.breakers import WordBreaker
from sacremoses import MosesTokenizer

from mlctl.core.unicode_scripts import UNSPACED, has_unspaced

#: The character range of a word in its text: [start, end).
Span = tuple[int, int]

_RUN = re.compile(f"([{UNSPACED}]+)|[^{UNSPACED}]+")
_PLAIN_WORD = re.compile(r"\w+|[^\w\s]")
# Characters that the tokenizer removes, joining their neighbours, and a word that it uses as a marker.
_UNSAFE = re.compile(r"[\x00-\x08\x0e-\x1b]|MULTI")
_JOINERS = "\u00ad\u200c\u200d\u2060"  # soft hyphen, zero-width (non-)joiner, word joiner: they occur inside words
_CACHE_SIZE = 1 << 17  # pieces and words: most of a text consists of some ten thousand


class WordTokenizer:
    """Splits texts of one language into words.

    Every visible character of a text is in exactly one word. White space, and control and format characters next to no other, are
    in none.

    What the Moses tokenizer does to a piece of text between white space depends on the piece and on the first character of the next
    one. So each distinct piece is tokenised once, with a stand-in for its neighbours, and cached; a text for which this does not
    hold is tokenised whole.
    """

    def __init__(self, language: str) -> None:
        self._language = language.partition("-")[0]
        self._moses = MosesTokenizer(self._language)
        self._rules = _FastMosesRules(self._moses)
        self._cached_piece = functools.lru_cache(_CACHE_SIZE)(self._tokenize_piece)
        self._cached_final_piece = functools.lru_cache(_CACHE_SIZE)(self._tokenize_final_piece)
        self._lower = frozenset(self._moses.IsLower)

    def spans(self, text: str) -> list[Span]:
        """Return the character ranges of the words of `text`, in order, not overlapping."""
        if not has_unspaced(text):
            spans = self._by_pieces(text, self._cached_final_piece)
            if spans is not None:
                return spans
        raw_spans = itertools.chain.from_iterable(self._run_spans(match) for match in _RUN.finditer(text))
        return _finalise(text, raw_spans)

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
        for index, piece in enumerate(pieces):
            start = run.index(piece, end)
            end = start + len(piece)
            if piece.isalpha() and piece.isascii():  # most pieces: one word
                spans.append((start, end))
                continue
            piece_spans = tokenize(piece, *self._context(pieces, index))
            if piece_spans is None:
                return None
            spans += [(start + first, start + last) for first, last in piece_spans]
        return spans

    def _context(self, pieces: Sequence[str], index: int) -> tuple[str, str]:
        """Return stand-ins for a piece's neighbours, where they matter to the tokenizer: at apostrophes, commas and full stops."""
        piece, before, after = pieces[index], "x ", " A"
        if piece[0] in "',":
            before = "x " if index else ""
            if index and piece[0] == "'" and pieces[index - 1][-1] == "'":
                before = "x' "  # such a piece cannot be tokenised by itself
        if piece[-1] == "'" or "." in piece:
            after = self._stand_in(pieces[index + 1][0]) if index + 1 < len(pieces) else ""
        return before, after

    def _stand_in(self, character: str) -> str:
        if character in self._lower:
            return " a"
        return " 1" if character in "0123456789" else " A"

    def _tokenize_piece(self, piece: str, before: str, after: str) -> tuple[Span, ...] | None:
        """Return the ranges of a piece's tokens; None if they depend on its neighbours or the tokenizer changes the text."""
        if before == "x' ":
            return None
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


class _FastMosesRules:
    """The Moses tokenizer's rules for pieces without apostrophes and without full stops except a last one, in a tenth of its time."""

    def __init__(self, moses: MosesTokenizer) -> None:
        letters, number = rf"{moses.IsAlnum}`\-", moses.IsN
        self._token = re.compile(rf"(?:[{letters}]|(?<=[{number}]),(?=[{number}]))+|\S")
        self._word_end = re.compile(f"[{letters}]")
        self._numeric = frozenset(moses.NUMERIC_ONLY_PREFIXES)
        self._abbreviations = frozenset(moses.NONBREAKING_PREFIXES) - self._numeric

    def tokens(self, piece: str, before: str, after: str) -> list[str] | None:
        """Return the tokens of a piece; None if these rules do not cover it."""
        ends_with_stop = piece[-1] == "." and len(piece) > 1
        stem = piece[:-1] if ends_with_stop else piece
        if "'" in piece or "." in stem or ",," in piece or (piece[0] == "," and not before):
            return None
        tokens: list[str] = self._token.findall(stem)
        if ends_with_stop and self._word_end.match(stem[-1]) and self._is_abbreviation(tokens[-1], after):
            tokens[-1] += "."
        elif ends_with_stop:
            tokens.append(".")
        return tokens

    def _is_abbreviation(self, word: str, after: str) -> bool:
        return word in self._abbreviations or after == " a" or (word in self._numeric and after == " 1")


# Characters that are written in several ways in the same word. Accents are not among them: they distinguish words.
_VARIANTS = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032\u00b4\u0060\u05f3\uff07"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\u05f4"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u05be"), "-"),
    **dict.fromkeys(map(ord, _JOINERS), None),
    # Vowel signs that Hebrew and Arabic text mostly omits, and the tatweel, which only lengthens an Arabic word.
    **dict.fromkeys([*range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7], None),
    **dict.fromkeys([0x0640, *range(0x064B, 0x0653), 0x0670, *range(0x06D6, 0x06DD)], None),
}
_DIGIT = re.compile(r"\d")


@functools.lru_cache(_CACHE_SIZE)
def normalise_word(word: str) -> str:
    """Return the normal form of a word, in which the statistics count it: spelling variants of a word share it.

    Case, compatibility forms (Unicode's NFKC), joiners and soft hyphens, kinds of apostrophes, quotation marks and dashes, and
    Hebrew and Arabic vowel signs are normalised; every digit becomes 0. The result is never empty and contains no white space.
    """
    form = unicodedata.normalize("NFKC", word.translate(_VARIANTS)).casefold()
    form = unicodedata.normalize("NFKC", form).translate(_VARIANTS)
    return _DIGIT.sub("0", "".join(form.split())) or word


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
    return character > "\x7f" and (character in _JOINERS or unicodedata.category(character)[0] == "M")


def _is_visible(text: str, span: Span) -> bool:
    word = text[slice(*span)]
    return word.isprintable() or any(unicodedata.category(character) not in {"Cc", "Cf"} for character in word)
