"""Format `po`: a gettext catalogue (.po or .mo); its keys are text in the source language."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlctl.corpora.archives.compression import Place, open_bytes
from mlctl.corpora.archives.limits import LARGEST_CATALOGUE, check_catalogue
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.wanted import Wanted
from mlctl.corpora.sources.gettext import CatalogueError, parse
from mlctl.errors import InputError


def read(place: Place, wanted: Wanted) -> Iterator[Row]:
    """Yield the entries of a catalogue; those without a translation have no target. Fuzzy and obsolete ones are left out.

    A catalogue is read as a whole, so it may have 32 MiB at most.

    Raises:
        InputError: also when the catalogue is larger, or broken; the message says in which line.
    """
    del wanted  # a catalogue has one language, and its header is often wrong about which
    with open_bytes(place) as stream:
        data = stream.read(LARGEST_CATALOGUE + 1)
    check_catalogue(str(place), len(data))
    suffix = ".mo" if place.suffix == ".mo" else ".po"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            messages = parse(data, suffix, Path(scratch))
    except CatalogueError as error:
        raise InputError(f"{place} is no catalogue, or broken: {error}", "check it with `msgfmt -c`") from None
    for number, message in enumerate(messages, 1):
        yield Row(message.text, message.translation or None, f"{place.name}#{number}")
