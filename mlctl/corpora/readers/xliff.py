"""Format `xliff`: XLIFF 1.x (trans-unit) and 2.x (segment), in either direction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import xml
from mlctl.corpora.readers.inline_markup import InlineText
from mlctl.corpora.readers.selection import PairSelection, Unit, language_of, select_rows

_UNITS, _CONTAINERS = ("trans-unit", "segment"), ("xliff", "file")
# States of a target that is a copy of the source, or an unreviewed machine translation.
_UNTRANSLATED = ("new", "needs-translation", "initial")
_SOURCE, _TARGET = ("source-language", "srcLang"), ("target-language", "trgLang")


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield the units that have the source language, on either side of the file.

    A target in a state before translation (`new`, `needs-translation`, `initial`) counts as none. Raises InputError as
    `xml.elements` and `select_rows` do.
    """
    inline = InlineText(location)
    yield from select_rows(_units(location, inline), location, selection)
    inline.log_warnings()


def _units(location: FileLocation, inline: InlineText) -> Iterator[Unit]:
    root = languages = _languages(None)
    number = 0
    for name, element in xml.elements(location, _UNITS, _CONTAINERS):
        if name in _CONTAINERS:
            source, target = _languages(element)
            languages = source or root[0], target or root[1]
            root = languages if name == "xliff" else root
            continue
        number += 1
        sides = {xml.local(child): child for child in reversed(element) if isinstance(child.tag, str)}
        untranslated = element.get("state") in _UNTRANSLATED
        yield Unit(number, dict(_texts(sides, languages, untranslated, inline)))


def _texts(
    sides: dict[str, Any], languages: tuple[str | None, str | None], untranslated: bool, inline: InlineText
) -> Iterator[tuple[str, str]]:
    source, target = sides.get("source"), sides.get("target")
    if source is not None and languages[0]:
        yield languages[0], inline.text(source)
    if languages[1]:
        usable = target is not None and not untranslated and target.get("state") not in _UNTRANSLATED
        yield languages[1], inline.text(target) if usable else ""


def _languages(element: Any) -> tuple[str | None, str | None]:
    return (None, None) if element is None else (_language(element, _SOURCE), _language(element, _TARGET))


def _language(element: Any, names: tuple[str, ...]) -> str | None:
    return next((language_of(element.get(name)) for name in names if element.get(name)), None)
