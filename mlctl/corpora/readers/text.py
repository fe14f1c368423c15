"""Format `lines`: monolingual text, one sentence per line, to be translated."""

from __future__ import annotations

from collections.abc import Iterator

from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.selection import PairSelection


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield every line as a text without translation."""
    for number, line in read_lines(location):
        yield selection.monolingual_row(line, f"{location.name}:{number}")
