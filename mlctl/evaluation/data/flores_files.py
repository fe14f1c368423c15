"""FLORES+ and FLORES-200: the same sentences in many languages, and altered English ones with their categories (xSIM++)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.json_files import describe, read_json, text_of
from mlctl.evaluation.data.language_names import by_language

TITLE = "FLORES+"

_CODE = r"[a-z]{3}_[A-Z][a-z]{3}(?:_\w+)?"
_FILES = (r"(?:.*/)?(?P<code>{code})\.{split}", r"(?:.*/)?{split}\.(?P<code>{code})")
_ALTERED = r"(?:.*/)?(?P<code>{code})_augmented\.{split}"
_COLUMNS = ("text", "sentence")  # of FLORES+ and FLORES-200


class Altered(NamedTuple):
    """A sentence that was altered.

    Attributes:
        text: of the altered sentence.
        origin: the sentence that it was made of, without white space around it.
        category: what was altered.
    """

    text: str
    origin: str
    category: str


class FloresData(Protocol):
    """The sentences of a split."""

    location: str

    @property
    def languages(self) -> list[str]:
        """Languages with sentences."""

    def sentences(self, language: str) -> list[str]:
        """Return the sentences of a language, row i of every language a translation of the others."""

    @property
    def altered_languages(self) -> list[str]:
        """Languages with altered sentences."""

    def altered(self, language: str) -> list[Altered]:
        """Return the altered sentences of a language; empty: there are none."""

    def digest(self, languages: Sequence[str]) -> str:
        """Return a digest of the data of languages."""


class FloresFolder:
    """See `FloresData`: `deu_Latn.devtest` (FLORES-200) or `devtest.deu_Latn` (FLORES+), and xSIM++'s `eng_Latn_augmented.devtest` with
    `eng_Latn_errtype.devtest.json`.

    Raises:
        InputError: the folder does not exist.
    """

    def __init__(self, source: BenchmarkFolder, split: str) -> None:
        self.location, self._split = source.path, split
        self._files = sources.benchmark_files(source)
        self._sentences = self._named(_FILES)
        self._altered = self._named([_ALTERED])

    @property
    def languages(self) -> list[str]:
        """See `FloresData`."""
        return list(self._sentences)

    def sentences(self, language: str) -> list[str]:
        """See `FloresData`."""
        return _texts(self._sentences[language])

    @property
    def altered_languages(self) -> list[str]:
        """See `FloresData`."""
        return list(self._altered)

    def altered(self, language: str) -> list[Altered]:
        """See `FloresData`."""
        if language not in self._altered:
            return []
        return read_altered(self._altered[language], self._categories(language), self.sentences(language))

    def digest(self, languages: Sequence[str]) -> str:
        """See `FloresData`."""
        files = [self._sentences[language] for language in languages]
        with_altered = [language for language in languages if language in self._altered]
        return sources.files_digest(
            [*files, *(file for name in with_altered for file in (self._altered[name], self._categories(name)))]
        )

    def _categories(self, language: str) -> Path:
        name = next(name for name, path in self._files.items() if path == self._altered[language])
        expected = f"{name.removesuffix(f'_augmented.{self._split}')}_errtype.{self._split}.json"
        if expected not in self._files:
            raise InputError(f"{self.location} has {name} but not {expected}", sources.data_remedy(TITLE))
        return self._files[expected]

    def _named(self, patterns: Sequence[str]) -> dict[str, Path]:
        """Return the file of each language whose name is of one of the patterns."""
        files: dict[str, Path] = {}
        for pattern in patterns:
            expression = re.compile(pattern.format(code=_CODE, split=self._split))
            matches = [(match["code"], path) for name, path in self._files.items() if (match := expression.fullmatch(name))]
            files |= dict(matches)
        return {language: files[code] for language, code in by_language(files).items()}


class FloresHub:
    """See `FloresData`: a data set in the hub's format, with a subset for each language (`deu_Latn`) or rows of all in one."""

    def __init__(self, source: BenchmarkDataset, split: str) -> None:
        self.location, self._source, self._split = source.dataset, source, split
        names = sources.dataset_subsets(source)
        self._subsets = by_language(name for name in names if re.fullmatch(_CODE, name))
        self._all = "" if self._subsets else names[0]

    @property
    def languages(self) -> list[str]:
        """See `FloresData`."""
        return list(self._subsets or self._by_language)

    def sentences(self, language: str) -> list[str]:
        """See `FloresData`."""
        if not self._subsets:
            rows = self._by_language[language]
        else:
            rows = sources.dataset_rows(self._source, self._subsets[language], self._split)
        return [_text(row) for row in _in_order(rows, f"{self.location}, {language}")]

    @property
    def altered_languages(self) -> list[str]:
        """See `FloresData`; data sets have none."""
        return []

    def altered(self, language: str) -> list[Altered]:
        """See `FloresData`; data sets have none."""
        del language
        return []

    def digest(self, languages: Sequence[str]) -> str:
        """See `FloresData`."""
        return sources.json_digest([self._identity, self._split, *languages])

    @cached_property
    def _identity(self) -> str:  # the hub is asked once for a branch's commit
        return sources.dataset_identity(self._source)

    @cached_property
    def _by_language(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each language of a subset of all."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in sources.dataset_rows(self._source, self._all, self._split):
            rows.setdefault(f"{row.get('iso_639_3')}_{row.get('iso_15924')}", []).append(row)
        return {language: rows[code] for language, code in by_language(rows).items()}


def open_flores(source: BenchmarkFolder | BenchmarkDataset, split: str) -> FloresData:
    """Return the data at a source.

    Raises:
        InputError: there are none.
    """
    return FloresFolder(source, split) if isinstance(source, BenchmarkFolder) else FloresHub(source, split)


def read_altered(file: Path, categories: Path, sentences: Sequence[str]) -> list[Altered]:
    """Return the altered sentences of a file.

    Args:
        file: a sentence a line.
        categories: JSON: altered sentence → `src`, the sentence that it was made of, and `errtype`, the category.
        sentences: those that they are made of.

    Raises:
        InputError: the files have another form, or a sentence has no category, or is made of none of the sentences; the message names file and line.
    """
    entries, known = read_json(categories, TITLE), {text.strip() for text in sentences}
    if not isinstance(entries, Mapping):
        raise InputError(f"{categories} is not a JSON object", sources.data_remedy(TITLE))
    altered = []
    for number, text in enumerate(_texts(file), 1):
        where = f"{file}, line {number}"
        if text.strip() not in entries:
            raise InputError(f"{where}: {categories.name} has no such sentence", sources.data_remedy(TITLE))
        origin, category = _entry(entries[text.strip()], f"{categories}, entry of line {number}")
        if origin not in known:
            raise InputError(f"{where} is made of a sentence that the language does not have", sources.data_remedy(TITLE))
        altered.append(Altered(text, origin, category))
    return altered


def _entry(entry: Any, where: str) -> tuple[str, str]:
    """Return `src` and the category, in lower case with underscores: it becomes the name of a metric."""
    try:
        return text_of(entry["src"]).strip(), re.sub(r"\W+", "_", text_of(entry["errtype"]).strip()).lower()
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {describe(error)}", sources.data_remedy(TITLE)) from None


def _texts(file: Path) -> list[str]:
    texts = []
    for number, line in numbered_lines(file):
        if not line.strip():
            raise InputError(f"{file}, line {number} has no text", sources.data_remedy(TITLE))
        texts.append(line)
    if not texts:
        raise InputError(f"{file} has no sentences", sources.data_remedy(TITLE))
    return texts


def _in_order(rows: Sequence[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Return rows by their ids, which are the same in all languages; as they are if they have none."""
    if not all("id" in row for row in rows):
        return list(rows)
    by_id = {str(row["id"]): row for row in rows}
    if len(by_id) < len(rows):
        raise InputError(f"{where}: an id occurs twice", sources.data_remedy(TITLE))
    return [by_id[name] for name in sorted(by_id, key=lambda name: (len(name), name))]


def _text(row: Mapping[str, Any]) -> str:
    text = next((row[name] for name in _COLUMNS if name in row), None)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{TITLE}: a row has no text: {str(row)[:120]}", sources.data_remedy(TITLE))
    return text
