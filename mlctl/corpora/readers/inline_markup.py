"""Text of XML elements with inline markup, decided element by element for all formats (`mlctl.core.inline_elements`)."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from mlctl.core.inline_elements import CODES, HTML, HTML_BLOCK, TEXT, is_break
from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.readers.xml import local
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_MAX_DEPTH = 64
_MAX_NAMES = 100  # a file may contain any number of names
_MAX_LISTED = 8


class InlineText:
    """Extracts the text of the elements of one file, and counts what its readers should know about."""

    def __init__(self, location: FileLocation) -> None:
        self._location = location
        self._unknown: Counter[str] = Counter()
        self._subflows = 0

    def text(self, element: Any, depth: int = 0) -> str:
        """Return the text of an element: codes go with their content, the content of other markup stays.

        Raises:
            InputError: markup is nested too deep, an entity is unknown, or a `cp` has no code point.
        """
        if depth > _MAX_DEPTH:
            problem = f"{self._location}, line {element.sourceline}: markup nested over {_MAX_DEPTH} deep"
            raise InputError(problem, "flatten it")
        pieces = [element.text or ""]
        for child in element:
            if not isinstance(child.tag, str):
                raise _entity(self._location, child)
            pieces += (self._content(child, depth), child.tail or "")
        return "".join(pieces)

    def log_warnings(self) -> None:
        """Log, once at the end of a file, the elements that no standard names and the text inside codes that was left out."""
        if self._unknown:
            listed = ", ".join(f"{name} {count}" for name, count in self._unknown.most_common(_MAX_LISTED))
            total = sum(self._unknown.values())
            log.warning("%s: %d unknown elements inside text, whose text was kept: %s", self._location.name, total, listed)
        if self._subflows:
            log.warning(
                "%s: %d texts inside codes (<sub>) are no part of a sentence: left out", self._location.name, self._subflows
            )

    def _content(self, child: Any, depth: int) -> str:
        name = local(child)
        if name == "cp":  # XLIFF 2: characters that XML does not allow, by their number
            return _code_point(child, self._location)
        lower = name.lower()
        if lower in CODES:
            self._subflows += sum(1 for part in child.iter() if isinstance(part.tag, str) and local(part) == "sub")
            return " " if is_break(dict(child.attrib)) else ""
        if lower not in TEXT and lower not in HTML and (name in self._unknown or len(self._unknown) < _MAX_NAMES):
            self._unknown[name] += 1
        text = self.text(child, depth + 1)
        return f" {text} " if lower in HTML_BLOCK else text


def _entity(location: FileLocation, child: Any) -> InputError:
    problem = f"{location}, line {child.sourceline}: unknown entity: {child.text or ''}"
    return InputError(problem, "replace it by the character")


def _code_point(child: Any, location: FileLocation) -> str:
    try:
        text = chr(int(child.get("hex", ""), 16))
        text.encode("utf-8")
    except (ValueError, OverflowError):
        raise InputError(f"{location}, line {child.sourceline}: <cp> without a code point", 'write hex="..."') from None
    return text
