"""Tatoeba: whose translation is nearest?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder, Tatoeba
from mlctl.core.text_lines import lines
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.tasks.base import SAMPLE, complaint
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest

# XTREME's 36 languages by the codes of LASER's files.
_XTREME = (
    "ara heb vie ind jav tgl eus mal tam tel afr nld deu ell ben hin mar urd pes fra ita por spa bul rus jpn kat kor tha swh cmn kaz "
    "tur est fin hun"
).split()

METADATA = TaskMetadata(
    task="tatoeba",
    title="Tatoeba",
    citation="Artetxe and Schwenk 2019 (arXiv 1812.10464); Hu et al. 2020 (XTREME, arXiv 2003.11080)",
    licence="CC BY 2.0 FR",
    languages=tuple(codes.canonical(code) for code in _XTREME),
    metric="accuracy",
    revision=1,
    protocol="Nearest neighbour by cosine among up to 1,000 sentences; a right answer has to be nearer than every wrong one by 0.000001. "
    "XTREME's paper asks for the English translation (xx→en); its script looks the other way. Figures of MTEB (F1 over a "
    "thresholdless match) are another protocol.",
)

_FILE = re.compile(r"(?:.*/)?tatoeba\.(\w+)-eng\.eng")
_SUBSET = re.compile(r"tatoeba\.(\w+)")


class Pairs(NamedTuple):
    """Sentences of a language and their English translations, in the same order."""

    texts: list[str]
    english: list[str]


class TatoebaTask:
    """The benchmark with its data; see `task.Task`.

    Raises:
        InputError: there is none of it at the entry's source, or not the languages that the entry names.
    """

    metadata = METADATA

    def __init__(self, entry: Tatoeba) -> None:
        source = entry.source
        self._entry = entry
        self._data: _Dataset | _Folder = _Dataset(source) if isinstance(source, BenchmarkDataset) else _Folder(source)
        missing = [language for language in entry.languages if language not in self._data.codes]
        if missing or not self._data.codes:
            what = f"no {', '.join(missing)}" if missing else "no tatoeba.XXX-eng.eng"
            raise InputError(f"evaluate.benchmarks, tatoeba: {what} in {self._data.place}", complaint("Tatoeba"))

    @property
    def languages(self) -> list[str]:
        """See `Task`."""
        return list(self._entry.languages) or [language for language in METADATA.languages if language in self._data.codes]

    @property
    def there(self) -> list[str]:
        """See `Task`."""
        return sorted(self._data.codes)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Task`."""
        return {"direction": self._entry.direction}

    def data(self, language: str) -> str:
        """See `Task`."""
        return self._data.digest(language)

    def sample(self, language: str) -> list[str]:
        """See `Task`."""
        return self._data.pairs(language).texts[:SAMPLE]

    def texts(self, language: str) -> list[str]:
        """See `Task`."""
        pairs = self._data.pairs(language)
        return pairs.texts + pairs.english

    def judge(self, subject: ModelUnderTest, language: str, seed: int | None) -> list[Outcome]:
        """See `Task`."""
        from mlctl.evaluation.tasks.heldout_retrieval import translations

        del seed
        texts, english = self._data.pairs(language)
        outcomes = translations(METADATA.task, subject, english, texts, "en", language)
        wanted = {"to-english": outcomes[1:], "from-english": outcomes[:1], "both": outcomes}
        return wanted[self._entry.direction]


class _Folder:
    """LASER's files."""

    def __init__(self, source: BenchmarkFolder) -> None:
        self.place = source.path
        self._files = sources.files_of(source)
        self._stems = {match[1]: name.removesuffix("eng") for name in self._files if (match := _FILE.fullmatch(name))}
        self.codes = _codes(self._stems)

    def digest(self, language: str) -> str:
        return sources.digest_of(self._sides(language))

    def pairs(self, language: str) -> Pairs:
        files = self._sides(language)
        pairs = Pairs(*(lines(file) for file in files))
        if len(pairs.texts) != len(pairs.english) or not pairs.texts:
            said = f"{files[0]} has {len(pairs.texts)} lines, {files[1].name} {len(pairs.english)}"
            raise InputError(said, complaint("Tatoeba"))
        return pairs

    def _sides(self, language: str) -> list[Path]:
        stem = self._stems[self.codes[language]]
        names = [stem + self.codes[language], f"{stem}eng"]
        if names[0] not in self._files:
            raise InputError(f"{self.place} has {names[1]} but not {names[0]}", complaint("Tatoeba"))
        return [self._files[name] for name in names]


class _Dataset:
    """XTREME's subsets of a data set in the hub's format."""

    def __init__(self, source: BenchmarkDataset) -> None:
        self.place = source.dataset
        self._source = source
        self.codes = _codes(match[1] for name in sources.dataset_subsets(source) if (match := _SUBSET.fullmatch(name)))

    def digest(self, language: str) -> str:
        return sources.digest_of_values([self._identity, self.codes[language]])

    @cached_property
    def _identity(self) -> str:  # of a branch's commit the hub is asked once
        return sources.dataset_identity(self._source)

    def pairs(self, language: str) -> Pairs:
        """Read XTREME's columns; they say themselves which side is English."""
        rows = sources.dataset_rows(self._source, f"tatoeba.{self.codes[language]}", "validation")
        sides = [("target", "source") if row["source_lang"] == "eng" else ("source", "target") for row in rows]
        both = [[row[f"{side}_sentence"] for side in order] for row, order in zip(rows, sides, strict=True)]
        return Pairs([pair[0] for pair in both], [pair[1] for pair in both])


def _codes(found: Iterable[str]) -> dict[str, str]:
    """Return the file's code of each language; of two codes for one language XTREME's."""
    known = sorted(filter(codes.is_language, found), key=lambda code: (code in _XTREME, code))
    return {codes.canonical(code): code for code in known}
