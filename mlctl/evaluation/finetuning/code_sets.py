"""Examples of a benchmark whose published files and subsets are named by language and script: `eng_Latn`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.language_names import by_language
from mlctl.evaluation.finetuning.examples import Example, NamedExamples

#: Reads the examples of a file.
Reader = Callable[[Path], list[Example]]

CODE = r"[a-z]{3}_[A-Z][a-z]{3}"


class CodeFolder(Generic[Example]):
    """See `ExampleSets`.

    Args:
        source: the folder.
        title: of the benchmark, for messages.
        test: names of test files; the group `code` is the language's.
        train: name of the file with the English training examples.
        dev: name of the file with the English dev examples, if there is one; the training file's: its dev part.
        read: reads test examples.
        read_train: reads training examples.
        read_dev: reads dev examples.

    Raises:
        InputError: the folder or its training file does not exist.
    """

    def __init__(
        self,
        source: BenchmarkFolder,
        title: str,
        test: re.Pattern[str],
        train: str,
        dev: str,
        read: Reader[Example],
        read_train: Reader[Example],
        read_dev: Reader[Example],
    ) -> None:
        self.location, self._read, self._read_train, self._read_dev = source.path, read, read_train, read_dev
        files = sources.benchmark_files(source)
        self._tests = _tests(files, test)
        found, self._dev = (_file(files, name) for name in (train, dev))
        if found is None:
            raise InputError(
                f"evaluate.benchmarks, {title}: no {train} in {self.location}", "set `train` to the file of English examples"
            )
        self._train = found

    @property
    def languages(self) -> list[str]:
        """See `ExampleSets`."""
        return list(self._tests)

    def train(self) -> list[Example]:
        """See `ExampleSets`."""
        return self._read_train(self._train)

    def dev(self) -> list[Example] | None:
        """See `ExampleSets`."""
        return (self._read_dev(self._dev) or None) if self._dev else None

    def test(self, language: str) -> NamedExamples[Example]:
        """See `ExampleSets`."""
        file = self._tests[language]
        return NamedExamples(self._read(file), f"{file.parent.name}/{file.name}")

    def digest(self, language: str | None = None) -> str:
        """See `ExampleSets`."""
        files = [self._train, *([self._dev] if self._dev else []), *([self._tests[language]] if language else [])]
        return sources.files_digest(files)


def _tests(files: Mapping[str, Path], test: re.Pattern[str]) -> dict[str, Path]:
    matches = {match["code"]: path for name, path in files.items() if (match := test.fullmatch(name))}
    return {language: matches[code] for language, code in by_language(matches).items()}


def _file(files: Mapping[str, Path], name: str) -> Path | None:
    """Return the file of a name, wherever it is in the folder."""
    name = name.removesuffix(".gz")
    return files.get(name) or next((path for other, path in files.items() if name and other.endswith(f"/{name}")), None)


def code_subsets(source: BenchmarkDataset) -> dict[str, tuple[str]]:
    """Return the subset of each language of a data set.

    Raises:
        InputError: the data set or the network fails.
    """
    names = by_language(name for name in sources.dataset_subsets(source) if re.fullmatch(CODE, name))
    return {language: (name,) for language, name in names.items()}


class HubTestSets(Generic[Example]):
    """See `ExampleSets`: a data set of test sets alone, and another one with the splits train and validation.

    Args:
        source: the data set.
        title: of the benchmark, for messages.
        train: the other data set.
        make_test: returns the example of a row of a language.
        make_train: returns the example of a row of the other data set.

    Raises:
        InputError: the data set has no subset of a language, or it or the network fails.
    """

    def __init__(
        self,
        source: BenchmarkDataset,
        title: str,
        train: str,
        make_test: Callable[[dict[str, Any]], Example],
        make_train: Callable[[dict[str, Any]], Example],
    ) -> None:
        self.location, self._source, self._make_test, self._make_train = source.dataset, source, make_test, make_train
        self._subsets = {language: names[0] for language, names in code_subsets(source).items()}
        self._train = BenchmarkDataset(kind="huggingface", dataset=train)
        if not self._subsets:
            raise InputError(f"evaluate.benchmarks, {title}: no subset eng_Latn in {source.dataset}", sources.data_remedy(title))

    @property
    def languages(self) -> list[str]:
        """See `ExampleSets`."""
        return list(self._subsets)

    def train(self) -> list[Example]:
        """See `ExampleSets`."""
        return self._learned("train")

    def dev(self) -> list[Example] | None:
        """See `ExampleSets`."""
        return self._learned("validation")

    def test(self, language: str) -> NamedExamples[Example]:
        """See `ExampleSets`."""
        rows = sources.dataset_rows(self._source, self._subsets[language], "test")
        return NamedExamples([self._make_test(row) for row in rows], f"{self._subsets[language]}, test")

    def digest(self, language: str | None = None) -> str:
        """See `ExampleSets`."""
        return sources.json_digest([*self._identities, self._subsets.get(language or "", "")])

    @cached_property
    def _identities(self) -> list[str]:  # the hub is asked once for a branch's commit
        return [sources.dataset_identity(source) for source in (self._source, self._train)]

    def _learned(self, split: str) -> list[Example]:
        rows = sources.dataset_rows(self._train, sources.dataset_subsets(self._train)[0], split)
        return list(map(self._make_train, rows))
