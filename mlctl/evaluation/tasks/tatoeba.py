"""Tatoeba: retrieval of the English translation of each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder, Tatoeba
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.parallel_files import read_parallel
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

# XTREME's 36 languages by the codes of LASER's files.
_XTREME_CODES = (
    "ara heb vie ind jav tgl eus mal tam tel afr nld deu ell ben hin mar urd pes fra ita por spa bul rus jpn kat kor tha swh cmn kaz "
    "tur est fin hun"
).split()

_TITLE = "Tatoeba"
_FILE = re.compile(r"(?:.*/)?tatoeba\.(\w+)-eng\.eng")
_SUBSET = re.compile(r"tatoeba\.(\w+)")


class _Pairs(NamedTuple):
    """Sentences of a language and their English translations, in the same order."""

    texts: list[str]
    english: list[str]


class TatoebaTask(PublishedTask):
    """See `PublishedTask`."""

    metadata = TaskMetadata(
        task="tatoeba",
        title=_TITLE,
        citation="Artetxe and Schwenk 2019 (arXiv 1812.10464); Hu et al. 2020 (XTREME, arXiv 2003.11080)",
        licence="CC BY 2.0 FR",
        languages=tuple(codes.canonical(code) for code in _XTREME_CODES),
        metric="accuracy",
        revision=1,
        protocol="Nearest neighbour by cosine among up to 1,000 sentences; the correct answer has to be nearer than every wrong "
        "one by more than 0.000001. XTREME's paper retrieves the English translation (xx→en); its script retrieves in the "
        "other direction. MTEB's figures (F1 of a match without threshold) follow another protocol.",
    )

    def __init__(self, entry: Tatoeba) -> None:
        self._direction = entry.direction
        source = entry.source
        self._data: _HubData | _FolderData = _HubData(source) if isinstance(source, BenchmarkDataset) else _FolderData(source)
        super().__init__(entry, sorted(self._data.codes), self._data.location, "tatoeba.XXX-eng.eng")

    @property
    def default_languages(self) -> list[str]:
        """XTREME's."""
        return [language for language in self.metadata.languages if language in self._data.codes]

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {"direction": self._direction}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`."""
        return self._data.digest(language)

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return self._data.pairs(language).texts[:SAMPLE_SIZE]

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        pairs = self._data.pairs(language)
        return pairs.texts + pairs.english

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: sentence and English translation."""
        pairs = self._data.pairs(language)
        return {str(row): f"{text}\n{english}" for row, (text, english) in enumerate(zip(*pairs, strict=True))}

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        from mlctl.evaluation.tasks.translation_retrieval import translation_retrieval

        del seed
        texts, english = self._data.pairs(language)
        scores = translation_retrieval(self.metadata.task, model, english, texts, "en", language)
        return {"to-english": scores[1:], "from-english": scores[:1], "both": scores}[self._direction]


class _FolderData:
    """LASER's files."""

    def __init__(self, source: BenchmarkFolder) -> None:
        self.location = source.path
        self._files = sources.benchmark_files(source)
        self._stems = {match[1]: name.removesuffix("eng") for name in self._files if (match := _FILE.fullmatch(name))}
        self.codes = _codes_by_language(self._stems)

    def digest(self, language: str) -> str:
        return sources.files_digest(self._side_files(language))

    def pairs(self, language: str) -> _Pairs:
        files = self._side_files(language)
        return _Pairs(*read_parallel(files[0], files[1], sources.data_remedy(_TITLE)))

    def _side_files(self, language: str) -> list[Path]:
        stem = self._stems[self.codes[language]]
        names = [stem + self.codes[language], f"{stem}eng"]
        if names[0] not in self._files:
            raise InputError(f"{self.location} has {names[1]} but not {names[0]}", sources.data_remedy(_TITLE))
        return [self._files[name] for name in names]


class _HubData:
    """XTREME's subsets of a data set in the hub's format."""

    def __init__(self, source: BenchmarkDataset) -> None:
        self.location = source.dataset
        self._source = source
        names = sources.dataset_subsets(source)
        self.codes = _codes_by_language(match[1] for name in names if (match := _SUBSET.fullmatch(name)))

    def digest(self, language: str) -> str:
        return sources.json_digest([self._identity, self.codes[language]])

    @cached_property
    def _identity(self) -> str:  # the hub is asked once for a branch's commit
        return sources.dataset_identity(self._source)

    def pairs(self, language: str) -> _Pairs:
        """Read XTREME's columns; `source_lang` says which side is English."""
        rows = sources.dataset_rows(self._source, f"tatoeba.{self.codes[language]}", "validation")
        orders = [("target", "source") if row["source_lang"] == "eng" else ("source", "target") for row in rows]
        pairs = [[row[f"{side}_sentence"] for side in order] for row, order in zip(rows, orders, strict=True)]
        return _Pairs([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _codes_by_language(file_codes: Iterable[str]) -> dict[str, str]:
    """Return the file's code of each language; of two codes for one language XTREME's."""
    known = sorted(filter(codes.is_language, file_codes), key=lambda code: (code in _XTREME_CODES, code))
    return {codes.canonical(code): code for code in known}
