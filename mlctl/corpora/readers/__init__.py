"""Readers: one module a format, all yielding the same rows, none holding more of a file than it is just reading.

`open_pairs` is the way in. A reader changes nothing of the text, and whatever is wrong with a file is an InputError that names the
file and the line (or the number of the unit).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from mlctl.config import FileFormat, Side
from mlctl.corpora.archives.compression import Place
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import jsonl, moses, parquet, po, text, tmx, tsv, xliff
from mlctl.corpora.readers.wanted import Wanted
from mlctl.errors import InputError

#: Each takes where the file lies and what is wanted of it.
_READERS: dict[str, Callable[[Place, Wanted], Iterator[Row]]] = {
    "jsonl": jsonl.read,
    "lines": text.read,
    "parquet": parquet.read,
    "po": po.read,
    "tmx": tmx.read,
    "tsv": tsv.read,
    "xliff": xliff.read,
}
FORMATS: tuple[str, ...] = get_args(FileFormat)


def open_pairs(
    path: Path | tuple[Path, Path],
    format: str,  # noqa: A002 - the name of the setting
    source: str,
    target: str,
    *,
    columns: Sequence[str] = (),
    member: str = "",
    side: Side = "source",
) -> Iterator[Row]:
    """Yield the rows of one language pair of a file, in the order of the file.

    Args:
        path: The file, plain or .gz, .xz, .zst, .zip; for `moses` two files (source side, target side), or one zip with both.
        format: One of `FORMATS`.
        source: Canonical tag of the language on the source side.
        target: Canonical tag of the language on the target side.
        columns: Names (JSONL, Parquet) or numbers from 1 (TSV) of the two columns; see the readers.
        member: Which file of a zip is read; `{language}` in it stands for a side's code.
        side: What a text is that stands alone (lines, one column): in the source language, or in the target language.

    Raises:
        InputError: while reading: the file is missing, damaged, not of this format, or lacks the languages.
    """
    if format not in FORMATS:
        raise InputError(f"there is no format {format!r}", f"use one of {', '.join(FORMATS)}")
    wanted = Wanted(source, target, tuple(columns), side)
    if format == "moses":
        return moses.read(_sides(path, member, wanted), wanted)
    if isinstance(path, tuple):
        raise InputError(f"format {format} reads one file, given {len(path)}", "use the format `moses`")
    return _READERS[format](Place(path, member), wanted)


def _sides(path: Path | tuple[Path, Path], member: str, wanted: Wanted) -> tuple[Place, Place]:
    if isinstance(path, tuple):
        return Place(path[0], member), Place(path[1], member)
    return moses.sides_of_archive(path, member, wanted)
