"""Format `po`: a gettext catalogue (.po or .mo) whose keys are text in the source language."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlctl.core.unpack_limits import MAX_CATALOGUE_SIZE, check_catalogue_size
from mlctl.corpora.archives.compression import FileLocation, open_bytes
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.gettext import MO_MAGIC, CatalogueError, parse_catalogue
from mlctl.corpora.readers.selection import PairSelection
from mlctl.errors import InputError


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield the entries of a catalogue; those without a translation have no target. Fuzzy and obsolete ones are skipped.

    A catalogue is read into memory, so its size is limited to 32 MiB.

    Raises:
        InputError: also when the catalogue is larger, or invalid; the message has the line.
    """
    del selection  # a catalogue has one language, and its header often states a wrong one
    with open_bytes(location) as stream:
        data = stream.read(MAX_CATALOGUE_SIZE + 1)
    check_catalogue_size(str(location), len(data))
    suffix = ".mo" if location.suffix == ".mo" or data.startswith(MO_MAGIC) else ".po"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            messages = parse_catalogue(data, suffix, Path(scratch))
    except CatalogueError as error:
        raise InputError(f"{location} is damaged or not a gettext catalogue: {error}", "check it with `msgfmt -c`") from None
    for number, message in enumerate(messages, 1):
        yield Row(message.text, message.translation or None, f"{location.name}#{number}")
