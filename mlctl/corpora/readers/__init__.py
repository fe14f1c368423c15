"""Readers of text files: one module for each format, all yielding the same rows, in constant memory (except `po`).

`open_pairs` is the entry point. Readers do not change the text. Invalid files raise an InputError with the file and the line (or the
number of the unit).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast, get_args

from mlctl.config import FileFormat, Side
from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import moses
from mlctl.corpora.readers.scores import warn_of_missing
from mlctl.corpora.readers.selection import PairSelection
from mlctl.errors import InputError

#: Modules by format, imported when a file of the format is read: some need heavy libraries (lxml, pyarrow, polib).
_MODULES = {
    "jsonl": "jsonl",
    "lines": "text",
    "parquet": "parquet",
    "po": "po",
    "tmx": "tmx",
    "tsv": "tsv",
    "xliff": "xliff",
}
FORMATS: tuple[str, ...] = get_args(FileFormat)


class _Reader(Protocol):
    """A module that reads one format."""

    def read(self, location: FileLocation, selection: PairSelection) -> Iterator[Row]:
        """Yield the rows of a file."""


def open_pairs(
    path: Path | tuple[Path, Path],
    format: str,  # noqa: A002 - the name of the setting
    source: str,
    target: str,
    *,
    columns: Sequence[str] = (),
    member: str = "",
    side: Side = "source",
    scores: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """Yield the rows of one language pair of a file, in the order of the file.

    Args:
        path: The file, plain or .gz, .xz, .zst, .zip; for `moses` two files (source side, target side), or one zip with both.
        format: One of `FORMATS`.
        source: Canonical tag of the language on the source side.
        target: Canonical tag of the language on the target side.
        columns: Names (JSONL, Parquet) or numbers from 1 (TSV) of the two columns; see the readers.
        member: Which file of a zip is read; `{language}` in it stands for a side's code.
        side: Language of monolingual text (lines, one column): the source language or the target language.
        scores: Columns (TMX: types of <prop>) of quality scores, by the score's name.

    Raises:
        InputError: while reading: the file is missing, damaged, not of this format, or lacks the languages.
    """
    if format not in FORMATS:
        raise InputError(f"there is no format {format!r}", f"use one of {', '.join(FORMATS)}")
    selection = PairSelection(source, target, tuple(columns), side, scores or {})
    if format == "moses":
        return moses.read(_sides(path, member, selection))
    if isinstance(path, tuple):
        raise InputError(f"format {format} reads one file, given {len(path)}", "use the format `moses`")
    reader = cast(_Reader, import_module(f"{__name__}.{_MODULES[format]}"))
    location = FileLocation(path, member)
    return warn_of_missing(reader.read(location, selection), selection.scores, str(location))


def _sides(path: Path | tuple[Path, Path], member: str, selection: PairSelection) -> tuple[FileLocation, FileLocation]:
    if isinstance(path, tuple):
        return FileLocation(path[0], member), FileLocation(path[1], member)
    return moses.sides_of_archive(path, member, selection)
