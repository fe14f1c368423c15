"""Geometry, in pixels, of the drawing of an aligned pair: two lines of words with the links between them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FONT = 16  # pixels; page.css sets the same
_WIDE, _NARROW = 1.0, 0.58  # width of a character in units of the font size
_GAP = 12
_MARGIN = 6


@dataclass(frozen=True)
class Word:
    """A word: centre `x` and whether it has a link."""

    text: str
    x: float
    linked: bool


@dataclass(frozen=True)
class Drawing:
    """Words of both sides, links as (x in the upper line, x in the lower line, words, confidence), and the width."""

    source: Sequence[Word]
    target: Sequence[Word]
    links: Sequence[tuple[float, float, str, float]]
    width: int


def draw(row: Mapping[str, Any]) -> Drawing:
    """Lay out one row of `schema.ALIGNED`; a right-to-left side runs from right to left."""
    source, source_width = _line(_words(row["source"], row["source_words"]), {link["source"] for link in row["links"]})
    target, target_width = _line(_words(row["target"], row["target_words"]), {link["target"] for link in row["links"]})
    links = [
        _link(source[link["source"]], target[link["target"]], confidence)
        for link, confidence in zip(row["links"], row["confidences"], strict=True)
    ]
    return Drawing(source, target, links, round(max(source_width, target_width)))


def _link(source: Word, target: Word, confidence: float) -> tuple[float, float, str, float]:
    return source.x, target.x, f"{source.text} – {target.text}", round(confidence, 2)


def _words(text: str, spans: Sequence[Mapping[str, int]]) -> list[str]:
    return [text[span["start"] : span["end"]] for span in spans]


def _line(words: Sequence[str], linked: set[int]) -> tuple[list[Word], float]:
    centres, x = [], float(_MARGIN)
    for word in words:
        width = _width(word)
        centres.append(x + width / 2)
        x += width + _GAP
    total = x - _GAP + _MARGIN
    if _is_right_to_left("".join(words)):
        centres = [total - centre for centre in centres]
    return [
        Word(word, round(centre, 1), index in linked) for index, (word, centre) in enumerate(zip(words, centres, strict=True))
    ], total


def _width(word: str) -> float:
    """Estimate the width of a word, as no font is available to measure it."""
    visible = [character for character in word if not unicodedata.combining(character)]
    return _FONT * sum(_WIDE if unicodedata.east_asian_width(character) in "WF" else _NARROW for character in visible)


def _is_right_to_left(text: str) -> bool:
    directions = [unicodedata.bidirectional(character) for character in text]
    return sum(direction in {"R", "AL"} for direction in directions) > directions.count("L")
