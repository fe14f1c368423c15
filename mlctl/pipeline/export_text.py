"""Text that an export counts its vocabulary on, and compares ONNX files with: of a run, or of the user's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mlctl import languages as codes
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError

#: Sentences by language.
Texts = Mapping[str, Sequence[str]]

_MOST = 300_000  # sentences of a language, evenly spaced over the text of a file
_PLACE = "{language}"


def text_of_pairs(cleaned: Path, wanted: Sequence[str]) -> Texts:
    """Return the text of a clean result in some languages; all that it has if none are named.

    Args:
        cleaned: folder of the result, with `pairs/<target>.parquet`.
        wanted: canonical tags.

    Raises:
        InputError: it has no text in one of them.
    """
    found: dict[str, list[str]] = {}
    for file in sorted((cleaned / "pairs").glob("*.parquet")):
        for language, texts in _sides(file, wanted):
            found.setdefault(language, []).extend(texts)
    if missing := [language for language in wanted if language not in found]:
        available = ", ".join(sorted(_languages(cleaned)))
        raise InputError(
            f"--languages: the run has no text in {', '.join(missing)}, only in {available}", "name text with --text"
        )
    return {language: _sample(found[language]) for language in wanted or sorted(found)}


def text_of_files(patterns: Sequence[str], wanted: Sequence[str]) -> Texts:
    """Return the lines of files, plain or `.gz`, by language.

    Args:
        patterns: paths; `{language}` stands for the language.
        wanted: canonical tags; empty: the text is of no particular language, and named "".

    Raises:
        InputError: a file is missing or no text, or the language of a file is not known.
    """
    if len(wanted) != 1 and (unnamed := [pattern for pattern in patterns if (_PLACE in pattern) is not bool(wanted)]):
        problem = (
            f"--text {unnamed[0]}: the language of the file is not known" if wanted else f"--text {unnamed[0]} stands for no file"
        )
        raise InputError(problem, "write {language} in its path" if wanted else "name the languages with --languages")
    texts = {language: _lines([pattern.replace(_PLACE, language) for pattern in patterns]) for language in wanted or ("",)}
    if empty := [language for language, of_language in texts.items() if not of_language]:
        raise InputError(f"--text: there is no text{f' in {empty[0]}' if empty[0] else ''}", "name a file with a sentence a line")
    return texts


def parse_languages(text: str) -> tuple[str, ...]:
    """Return the canonical tags of languages that are separated by commas.

    Raises:
        InputError: one is no language.
    """
    return tuple(dict.fromkeys(codes.canonical(code.strip()) for code in text.split(",") if code.strip()))


def _lines(paths: Sequence[str]) -> Sequence[str]:
    lines = (line.strip() for path in paths for _, line in numbered_lines(Path(path).expanduser()))
    return _sample(list(lines))


def _sides(file: Path, wanted: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    parquet = pq.ParquetFile(file)
    if not parquet.metadata.num_rows:
        return
    first = next(parquet.iter_batches(1, columns=["source_language", "target_language"])).to_pylist()[0]
    for side in ("source", "target"):
        language = first[f"{side}_language"]
        if not wanted or language in wanted:
            column = parquet.read(columns=[side])[side]
            yield language, [text for text in column.take(list(_evenly(len(column)))).to_pylist() if text]


def _languages(cleaned: Path) -> set[str]:
    files = sorted((cleaned / "pairs").glob("*.parquet"))
    return {language for file in files for language, _ in _sides(file, ())}


def _sample(texts: Sequence[str]) -> Sequence[str]:
    """Return the different texts that are not empty, at most `_MOST`."""
    different = list(dict.fromkeys(filter(None, texts)))
    return [different[index] for index in _evenly(len(different))]


def _evenly(count: int) -> range:
    """Return at most `_MOST` of so many indices."""
    return range(0, count, -(-count // _MOST) or 1)
