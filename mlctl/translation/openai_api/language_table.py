"""Glossary and examples of a prompt: a TSV file whose first row has language codes, and each other row one text in each language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlctl.core.hashing import file_digest
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.languages import canonical


@dataclass(frozen=True)
class LanguageTable:
    """Rows of texts that translate each other; "" where a row has none for a language."""

    languages: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def pairs(self, source: str, target: str) -> list[tuple[str, str]]:
        """Return the texts of the rows that have both languages."""
        if source not in self.languages or target not in self.languages:
            return []
        columns = self.languages.index(source), self.languages.index(target)
        return [(row[columns[0]], row[columns[1]]) for row in self.rows if row[columns[0]] and row[columns[1]]]


NO_TABLE = LanguageTable((), ())


def read(name: str, setting: str) -> LanguageTable:
    """Return the table of a file; "": an empty one.

    Raises:
        InputError: the file is missing or no such table; the message names the setting, the file and the line.
    """
    if not name:
        return NO_TABLE
    path = _path(name, setting)
    stat = path.stat()
    return _read(path, setting, stat.st_size, stat.st_mtime_ns)


def digest(name: str, setting: str) -> str:
    """Return the SHA-256 of a table's file; "" without one.

    Raises:
        InputError: the file is missing.
    """
    return file_digest(_path(name, setting)) if name else ""


def _path(name: str, setting: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(f"{setting}: no file {path}", "give the path of a TSV file whose first row has language codes")
    return path


@lru_cache(maxsize=8)
def _read(path: Path, setting: str, size: int, modified: int) -> LanguageTable:
    del size, modified  # a changed file is another cache entry
    try:
        rows = [
            (number, tuple(cell.strip() for cell in line.split("\t"))) for number, line in numbered_lines(path) if line.strip()
        ]
        languages = tuple(map(canonical, rows[0][1])) if rows else ()
    except InputError as error:
        raise InputError(f"{setting}: {path}: {error.problem}", f"{error.remedy}; the first row has language codes") from None
    if len(languages) < 2 or len(set(languages)) < len(languages):
        raise InputError(
            f"{setting}: {path} has no two languages in its first row", "write codes such as en and fr, separated by tabs"
        )
    for number, cells in rows[1:]:
        if len(cells) > len(languages):
            problem = f"{setting}: {path}, line {number} has {len(cells)} cells for {len(languages)} languages"
            raise InputError(problem, "separate the cells by tabs, one for each language of the first row")
    padded = tuple(cells + ("",) * (len(languages) - len(cells)) for _, cells in rows[1:])
    return LanguageTable(languages, padded)
