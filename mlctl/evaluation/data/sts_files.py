"""Pairs of texts with similarities of people: files of STS 2017 and SemEval 2022, and rows of data sets."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlctl import languages as codes
from mlctl.core.text_lines import lines, numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data.json_files import read_json
from mlctl.evaluation.data.sources import data_remedy
from mlctl.evaluation.data.tables import table_rows

_log = logging.getLogger(__name__)

_COLUMNS = ("url1_lang", "url2_lang", "pair_id", "Overall")

#: `ar-en`, or `en` for a set in one language (STS22 on the hub).
_LANGUAGES = re.compile(r"([a-z]{2,3})(?:-([a-z]{2,3}))?")


class ScoredPair(NamedTuple):
    """Two texts and their similarity, more for more similar ones."""

    first: str
    second: str
    similarity: float


def languages_of(text: str) -> tuple[str, str] | None:
    """Return the languages of a set by its published name such as `en-de`; None: it names none."""
    match = _LANGUAGES.fullmatch(text)
    parts = (match[1], match[2] or match[1]) if match else ("", "")
    return (codes.canonical(parts[0]), codes.canonical(parts[1])) if all(map(codes.is_language, parts)) else None


def read_table(file: Path, title: str) -> list[ScoredPair]:
    """Return the pairs of a file `first TAB second TAB similarity`.

    Raises:
        InputError: a line has another form; the message names file and line.
    """
    return [_pair(line.split("\t"), f"{file}, line {number}", title) for number, line in numbered_lines(file) if line.strip()]


def read_with_gold(file: Path, gold: Path, title: str) -> list[ScoredPair]:
    """Return the pairs of a file `first TAB second`, with the similarities of another file, one a line.

    Raises:
        InputError: the files have not equally many lines, or a line has another form; the message names file and line.
    """
    texts, values = lines(file), lines(gold)
    if len(texts) != len(values) or not texts:
        raise InputError(f"{file} has {len(texts)} lines, {gold.name} {len(values)}", data_remedy(title))
    rows = zip(texts, values, strict=True)
    return [
        _pair([*text.split("\t")[:2], value], f"{file}, line {number}", title) for number, (text, value) in enumerate(rows, 1)
    ]


def read_rows(rows: list[dict[str, Any]], where: str, title: str) -> list[ScoredPair]:
    """Return the pairs of rows of a data set with `sentence1`, `sentence2` and `score`.

    Raises:
        InputError: columns are missing, or a row has another form.
    """
    columns = ("sentence1", "sentence2", "score")
    return [_pair([row.get(name) for name in columns], f"{where}, row {number}", title) for number, row in enumerate(rows)]


def read_articles(table: Path, articles: Mapping[str, Path], title: str) -> Iterator[tuple[tuple[str, str], ScoredPair]]:
    """Yield languages and pair for each row of SemEval 2022's table; the texts are articles that were fetched with its downloader.

    `Overall` counts from 1 (very similar) to 4 (very dissimilar): the similarity is its negative. An article is its title and its text. Pairs
    of which an article could not be fetched are left out; a warning counts them.

    Args:
        table: CSV with `url1_lang`, `url2_lang`, `pair_id` and `Overall`.
        articles: id → JSON file with `title` and `text`.
        title: of the benchmark, for messages.

    Raises:
        InputError: the table has other columns, an unknown language, or an id twice; the message names file and row.
    """
    missing, count, names = 0, 0, set[str]()
    for where, row in table_rows(table, title, _COLUMNS, ","):
        if row["pair_id"] in names:
            raise InputError(f"{where}: the pair {row['pair_id']} occurs twice", data_remedy(title))
        names.add(row["pair_id"])
        languages = languages_of(f"{row['url1_lang']}-{row['url2_lang']}")
        if languages is None:
            raise InputError(f"{where}: no language {row['url1_lang']}-{row['url2_lang']}", data_remedy(title))
        files = [articles.get(name) for name in row["pair_id"].split("_")]
        count += 1
        if len(files) != 2 or None in files:
            missing += 1
            continue
        texts = [_article(file, title) for file in files if file]
        yield languages, _pair([*texts, f"-{row['Overall']}"], where, title)
    if missing:
        _log.warning("%s: no article for %d of %d pairs", table, missing, count)


def _article(file: Path, title: str) -> str:
    content = read_json(file, title)
    parts = [content.get(name) for name in ("title", "text")] if isinstance(content, dict) else []
    text = "\n".join(part for part in parts if isinstance(part, str) and part.strip())
    if not text:
        raise InputError(f"{file} has no title and no text", data_remedy(title))
    return text


def _pair(cells: list[Any], where: str, title: str) -> ScoredPair:
    if len(cells) != 3 or not all(isinstance(cell, str) and cell.strip() for cell in cells[:2]):
        raise InputError(f"{where} is not two texts and their similarity", data_remedy(title))
    try:
        similarity = float(cells[2])
    except (TypeError, ValueError):
        similarity = math.nan
    if not math.isfinite(similarity):
        raise InputError(f"{where}: {cells[2]!r} is not a number", data_remedy(title))
    return ScoredPair(cells[0], cells[1], similarity)
