"""Examples of a fine-tuned benchmark in a folder of its published files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE, Example, NamedExamples

_TRAIN = "train-en.tsv"
_FILE = re.compile(r"(?:.*/)?(?P<split>dev|test)-(?P<language>\w+)\.(tsv|conllu)")
_LABELS = "labels/"

#: Reads a file of examples and the file of their labels, if there is one.
Reader = Callable[[Path, Path | None], list[Example]]


class _SplitFiles(NamedTuple):
    examples: Path
    labels: Path | None

    @property
    def existing(self) -> list[Path]:
        return [file for file in self if file]


class FolderSets(Generic[Example]):
    """See `ExampleSets`.

    Args:
        source: the folder.
        train: file of the English training examples; empty: `train-en.tsv`.
        title: of the benchmark, for messages.
        read: reads one file.

    Raises:
        InputError: the folder or its training file does not exist.
    """

    def __init__(self, source: BenchmarkFolder, train: str, title: str, read: Reader[Example]) -> None:
        self.location, self._read, train = source.path, read, (train or _TRAIN).removesuffix(".gz")
        files = sources.benchmark_files(source)
        self._labels = {name.removeprefix(_LABELS): path for name, path in files.items() if name.startswith(_LABELS)}
        self._splits = self._find_splits(files)
        if train not in files:
            raise InputError(
                f"evaluate.benchmarks, {title}: no {train} in {self.location}", "set `train` to the file of English examples"
            )
        self._train = self._with_labels(files[train])
        if not self._splits:
            raise InputError(f"evaluate.benchmarks, {title}: no test-xx.tsv in {self.location}", sources.data_remedy(title))

    @property
    def languages(self) -> list[str]:
        """See `ExampleSets`."""
        return sorted({language for _, language in self._splits})

    def train(self) -> list[Example]:
        """See `ExampleSets`."""
        return self._read(*self._train)

    def dev(self) -> list[Example] | None:
        """See `ExampleSets`; None, too, if the dev file is the training file."""
        return self._read(*self._dev) if self._dev else None

    def test(self, language: str) -> NamedExamples[Example]:
        """See `ExampleSets`."""
        files = self._test(language)
        return NamedExamples(self._read(*files), files.examples.name)

    def digest(self, language: str | None = None) -> str:
        """See `ExampleSets`."""
        files = [*self._train.existing, *(self._dev.existing if self._dev else ())]
        return sources.files_digest(files + (self._test(language).existing if language else []))

    @property
    def _dev(self) -> _SplitFiles | None:
        dev = self._splits.get(("dev", TRAINING_LANGUAGE))
        return None if dev is None or dev.examples == self._train.examples else dev

    def _test(self, language: str) -> _SplitFiles:
        return self._splits.get(("test", language)) or self._splits["dev", language]

    def _find_splits(self, files: Mapping[str, Path]) -> dict[tuple[str, str], _SplitFiles]:
        splits = {}
        for name, path in files.items():
            match = None if name.startswith(_LABELS) else _FILE.fullmatch(name)
            if match and codes.is_language(match["language"]):
                splits[match["split"], codes.canonical(match["language"])] = self._with_labels(path)
        return splits

    def _with_labels(self, file: Path) -> _SplitFiles:
        return _SplitFiles(file, self._labels.get(file.name.removesuffix(".gz")))
