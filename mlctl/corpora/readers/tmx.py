"""Format `tmx`: translation memories (TMX 1.1 to 1.4b), two languages or many in one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import xml
from mlctl.corpora.readers.inline_markup import InlineText
from mlctl.corpora.readers.scores import read_scores
from mlctl.corpora.readers.selection import PairSelection, Unit, language_of, select_rows

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield the units that have the source language; a unit without the target language has no translation yet.

    Of several variants in one language the first one is used. Raises InputError as `xml.elements` and `select_rows` do.
    """
    inline = InlineText(location)
    elements = enumerate((unit for _, unit in xml.elements(location, ("tu",))), 1)
    units = (Unit(number, _texts(unit, inline), _scores(unit, location, selection)) for number, unit in elements)
    yield from select_rows(units, location, selection)
    inline.log_warnings()


def _scores(unit: Any, location: FileLocation, selection: PairSelection) -> dict[str, float] | None:
    """Return the scores in the unit's <prop> elements, its own before those of its variants; of several of one type the first one."""
    if not selection.scores:
        return None
    properties: dict[str, str] = {}
    for element in (*unit, *(child for variant in unit for child in variant)):
        if isinstance(element.tag, str) and xml.local(element) == "prop":
            properties.setdefault(element.get("type") or "", element.text or "")
    return read_scores(selection.score_columns, properties.get, f"{location}, line {unit.sourceline}")


def _texts(unit: Any, inline: InlineText) -> dict[str, str]:
    texts: dict[str, str] = {}
    for variant in unit:
        if isinstance(variant.tag, str) and xml.local(variant) == "tuv":
            tag = language_of(variant.get(_LANGUAGE) or variant.get("lang") or "")
            segment = next((child for child in variant if isinstance(child.tag, str) and xml.local(child) == "seg"), None)
            if tag and segment is not None and not texts.get(tag):
                texts[tag] = inline.text(segment)
    return texts
