"""The licence that the notes (LICENSE, README) in an OPUS archive state."""

from __future__ import annotations

import re
from pathlib import Path

from mlctl.core.unpack_limits import UnpackLimits
from mlctl.corpora.archives import unpack
from mlctl.corpora.licences import UNKNOWN, spdx

_NOTES = ("LICENSE", "README")
_MAX_NOTE_BYTES = 2**16
_LICENCE_LINE = re.compile(r"^\W*licen[sc]e\s*:(.+)$", re.IGNORECASE | re.MULTILINE)
# Names of the Creative Commons licences in notes, and the elements of the SPDX id in its order.
_CREATIVE_COMMONS = re.compile(
    r"(?:creative commons|\bCC)[\s_-]*(?P<kind>(?:(?:attribution|by|non-?commercial|nc|share-?alike|sa|no-?deriv\w*|nd)[\s_,-]*)+)"
    r"(?:license|international|generic|unported|version|v\.?|\s)*(?P<version>[1-4]\.\d)",
    re.IGNORECASE,
)
_ELEMENTS = (
    ("BY", r"attribution|\bby\b"),
    ("NC", r"non-?commercial|\bnc\b"),
    ("ND", r"no-?deriv|\bnd\b"),
    ("SA", r"share-?alike|\bsa\b"),
)
_OTHERS = (
    (r"\bCC0\b|creative commons zero", "CC0-1.0"),
    (r"\bapache licen[sc]e,? (?:version )?2\.0|\bapache-2\.0\b", "Apache-2.0"),
    (r"\bMIT licen[sc]e\b", "MIT"),
)


def licence_in_text(text: str) -> str:
    """Return the SPDX id of the licence in a line `License: …`, else of the first one mentioned; empty: none is recognised."""
    if (line := _LICENCE_LINE.search(text)) and (licence := spdx(line[1].strip())) != UNKNOWN:
        return licence
    mentions = [(match.start(), _creative_commons_id(match)) for match in _CREATIVE_COMMONS.finditer(text)]
    for expression, identifier in _OTHERS:
        if match := re.search(expression, text, re.IGNORECASE):
            mentions.append((match.start(), identifier))
    return min(mentions)[1] if mentions else ""


def licence_in_archive(path: Path, name: str, limits: UnpackLimits) -> str:
    """Return the SPDX id of the licence in the notes of an archive; empty: none is recognised. `name`: see `unpack.kind_of`."""
    for note in _NOTES:
        text = unpack.read(path, note, _MAX_NOTE_BYTES, name, limits).decode("utf-8", errors="replace")
        if licence := licence_in_text(text):
            return licence
    return ""


def _creative_commons_id(match: re.Match[str]) -> str:
    kind = match["kind"].replace("_", "-")
    elements = [name for name, expression in _ELEMENTS if re.search(expression, kind, re.IGNORECASE)]
    return f"CC-{'-'.join(elements)}-{match['version']}"
