"""Format `lines`: text in one language, a sentence a line, to be translated."""

from __future__ import annotations

from collections.abc import Iterator

from mlctl.corpora.archives.compression import Place
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.wanted import Wanted


def read(place: Place, wanted: Wanted) -> Iterator[Row]:
    """Yield every line as a text without translation."""
    for number, line in read_lines(place):
        yield wanted.alone(line, f"{place.name}:{number}")
