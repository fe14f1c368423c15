"""NTREX-128: the same news in many languages; whose translation is nearest?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Ntrex
from mlctl.core.text_lines import lines
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.tasks.base import SAMPLE, complaint
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest

METADATA = TaskMetadata(
    task="ntrex",
    title="NTREX-128",
    citation="Federmann, Kocmi and Xin 2022 (NTREX-128)",
    licence="CC BY-SA 4.0",
    languages=(),
    metric="accuracy",
    revision=1,
    protocol="Nearest neighbour by cosine among 1,997 news sentences, asked from both sides; the same sentence twice counts each time. Of "
    "several texts in a language (fra, fra-CA) the one without a region is read, else the first by name.",
)

_FILE = re.compile(r"(?:.*/)?newstest2019-(?:src|ref)\.([\w-]+)\.txt")


class NtrexTask:
    """The benchmark with its data; see `task.Task`.

    Raises:
        InputError: there is none of it at the entry's source, or not the languages that the entry names.
    """

    metadata = METADATA

    def __init__(self, entry: Ntrex) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError("evaluate.benchmarks, ntrex: read from folders only", complaint("NTREX"))
        self._entry = entry
        self._files = self._found(entry.source)
        missing = [language for language in (entry.pivot, *entry.languages) if language not in self._files]
        if missing:
            raise InputError(f"evaluate.benchmarks, ntrex: no {', '.join(missing)} in {entry.source.path}", complaint("NTREX"))

    @property
    def languages(self) -> list[str]:
        """See `Task`."""
        return list(self._entry.languages) or [language for language in self._files if language != self._entry.pivot]

    @property
    def there(self) -> list[str]:
        """See `Task`."""
        return list(self._files)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Task`."""
        return {"pivot": self._entry.pivot}

    def data(self, language: str) -> str:
        """See `Task`."""
        return sources.digest_of(self._files[side] for side in (self._entry.pivot, language))

    def sample(self, language: str) -> list[str]:
        """See `Task`."""
        return lines(self._files[language])[:SAMPLE]

    def texts(self, language: str) -> list[str]:
        """See `Task`."""
        return lines(self._files[language])

    def judge(self, subject: ModelUnderTest, language: str, seed: int | None) -> list[Outcome]:
        """See `Task`."""
        from mlctl.evaluation.tasks.heldout_retrieval import translations

        del seed
        pivot = self._entry.pivot
        source, target = (lines(self._files[side]) for side in (pivot, language))
        if len(source) != len(target):
            said = f"{self._files[pivot]} has {len(source)} lines, {self._files[language].name} {len(target)}"
            raise InputError(said, complaint("NTREX"))
        return translations(METADATA.task, subject, source, target, pivot, language)

    @staticmethod
    def _found(source: BenchmarkFolder) -> dict[str, Path]:
        matches = [(match[1], path) for name, path in sources.files_of(source).items() if (match := _FILE.fullmatch(name))]
        known = [(code, path) for code, path in matches if codes.is_language(code)]
        ordered = sorted(known, key=lambda pair: ("-" in pair[0], pair[0]), reverse=True)  # the last one wins
        return dict(sorted({codes.canonical(code): path for code, path in ordered}.items()))
