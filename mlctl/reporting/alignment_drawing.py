"""An aligned pair as two lines of words with lines between them: the geometry of the picture, in pixels."""

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
    """A word of the picture: centre `x` and whether something is linked to it."""

    text: str
    x: float
    linked: bool


@dataclass(frozen=True)
class Drawing:
    """Words of both sides, links as (x in the upper line, x in the lower line, words, confidence), and the picture's width."""

    source: Sequence[Word]
    target: Sequence[Word]
    links: Sequence[tuple[float, float, str, float]]
    width: int


def draw(row: Mapping[str, Any]) -> Drawing:
    """Lay out one row of `schema.ALIGNED`; a side written from right to left runs from right to left."""
    source, source_width = _line(_cut(row["source"], row["source_words"]), {link["source"] for link in row["links"]})
    target, target_width = _line(_cut(row["target"], row["target_words"]), {link["target"] for link in row["links"]})
    links = [
        _link(source[link["source"]], target[link["target"]], sure)
        for link, sure in zip(row["links"], row["confidences"], strict=True)
    ]
    return Drawing(source, target, links, round(max(source_width, target_width)))


def _link(left: Word, right: Word, sure: float) -> tuple[float, float, str, float]:
    return left.x, right.x, f"{left.text} – {right.text}", round(sure, 2)


def _cut(text: str, spans: Sequence[Mapping[str, int]]) -> list[str]:
    return [text[span["start"] : span["end"]] for span in spans]


def _line(words: Sequence[str], linked: set[int]) -> tuple[list[Word], float]:
    places, x = [], float(_MARGIN)
    for word in words:
        width = _width(word)
        places.append(x + width / 2)
        x += width + _GAP
    total = x - _GAP + _MARGIN
    if _right_to_left("".join(words)):
        places = [total - place for place in places]
    return [
        Word(word, round(place, 1), index in linked) for index, (word, place) in enumerate(zip(words, places, strict=True))
    ], total


def _width(word: str) -> float:
    """Estimate how wide a word is drawn: there is no font here to ask."""
    visible = [character for character in word if not unicodedata.combining(character)]
    return _FONT * sum(_WIDE if unicodedata.east_asian_width(character) in "WF" else _NARROW for character in visible)


def _right_to_left(text: str) -> bool:
    directions = [unicodedata.bidirectional(character) for character in text]
    return sum(direction in {"R", "AL"} for direction in directions) > directions.count("L")
