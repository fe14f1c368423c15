"""Training and test questions of a benchmark: in a folder of its published files, or in data sets in the hub's format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE, NamedExamples
from mlctl.evaluation.finetuning.hub_dataset import find_subsets
from mlctl.evaluation.finetuning.qa_files import Question, question_of_row, read_questions

#: Returns the language of a question (canonical tag), from its id; for files with the questions of all languages.
LanguageOf = Callable[[Question], str]


class FolderLayout(NamedTuple):
    """The published files of a benchmark.

    Attributes:
        test: names of test files; the group `language` is its code, without it a file has the questions of all languages.
        train: possible names of the file with the English training questions, the first that exists counts.
    """

    test: re.Pattern[str]
    train: Sequence[str]


class FolderQuestions:
    """See `ExampleSets`; there is no dev set: the last epoch is evaluated.

    Args:
        source: the folder.
        train: file of the English training questions; empty: the layout's.
        title: of the benchmark, for messages.
        layout: the benchmark's files.
        language_of: for files with questions of all languages.

    Raises:
        InputError: the folder, its training file or test files do not exist.
    """

    def __init__(
        self, source: BenchmarkFolder, train: str, title: str, layout: FolderLayout, language_of: LanguageOf | None = None
    ) -> None:
        self.location, self._title, self._language_of = source.path, title, language_of
        files = {name.rpartition("/")[2]: path for name, path in sources.benchmark_files(source).items()}
        by_path = sources.benchmark_files(source)
        names = [train.removesuffix(".gz")] if train else list(layout.train)
        found = next((path for name in names if (path := by_path.get(name) or files.get(name))), None)
        if found is None:
            raise InputError(
                f"evaluate.benchmarks, {title}: no {' or '.join(names)} in {self.location}",
                "set `train` to the file of English questions",
            )
        self._train = found
        self._tests = self._find_tests(files, layout)
        if not self._tests:
            raise InputError(f"evaluate.benchmarks, {title}: no test files in {self.location}", sources.data_remedy(title))

    @property
    def languages(self) -> list[str]:
        """See `ExampleSets`."""
        return sorted(self._tests)

    def train(self) -> list[Question]:
        """See `ExampleSets`."""
        return self._of_language(self._train, TRAINING_LANGUAGE)

    def dev(self) -> None:
        """See `ExampleSets`."""
        return

    def test(self, language: str) -> NamedExamples[Question]:
        """See `ExampleSets`."""
        file = self._tests[language]
        return NamedExamples(self._of_language(file, language), file.name)

    def digest(self, language: str | None = None) -> str:
        """See `ExampleSets`."""
        return sources.files_digest([self._train, *([self._tests[language]] if language else [])])

    def _of_language(self, file: Path, language: str) -> list[Question]:
        questions = read_questions(file, self._title)
        if self._language_of is None:
            return questions
        chosen = [question for question in questions if self._language_of(question) == language]
        return chosen or questions  # a file of one language may have other ids

    def _find_tests(self, files: Mapping[str, Path], layout: FolderLayout) -> dict[str, Path]:
        tests: dict[str, Path] = {}
        for name, path in sorted(files.items()):
            match = layout.test.fullmatch(name)
            code = match.groupdict().get("language") if match else None
            if code and codes.is_language(code):
                tests[codes.canonical(code)] = path
            elif match and not code and self._language_of:
                found = {self._language_of(question) for question in read_questions(path, self._title)}
                tests = {**dict.fromkeys(sorted(found - {""}), path), **tests}
        return tests


class HubQuestions:
    """See `ExampleSets`; there is no dev set.

    Args:
        source: the data set.
        train: data set whose split `train` is learned from; empty: `default_train`.
        title: of the benchmark, for messages.
        subsets: possible names of each language's subset.
        split: name of the split with the test questions.
        default_train: subset of `source` with the training questions or, if it has none of that name, a data set.
        language_of: for subsets with the questions of all languages.

    Raises:
        InputError: the data set has no such subset, or it or the network fails.
    """

    def __init__(
        self,
        source: BenchmarkDataset,
        train: str,
        title: str,
        subsets: Mapping[str, Sequence[str]],
        split: str,
        default_train: str,
        language_of: LanguageOf | None = None,
    ) -> None:
        self.location, self._source, self._title, self._split = source.dataset, source, title, split
        self._language_of = language_of
        self._subsets = find_subsets(source, title, subsets)
        own = default_train in sources.dataset_subsets(source)
        self._train = BenchmarkDataset(kind="huggingface", dataset=train or default_train) if train or not own else None
        self._train_subset = default_train

    @property
    def languages(self) -> list[str]:
        """See `ExampleSets`."""
        return sorted(self._subsets)

    def train(self) -> list[Question]:
        """See `ExampleSets`."""
        if self._train is None:
            return self._questions(self._source, self._train_subset, "train", TRAINING_LANGUAGE)
        return self._questions(self._train, sources.dataset_subsets(self._train)[0], "train", TRAINING_LANGUAGE)

    def dev(self) -> None:
        """See `ExampleSets`."""
        return

    def test(self, language: str) -> NamedExamples[Question]:
        """See `ExampleSets`."""
        subset = self._subsets[language]
        return NamedExamples(self._questions(self._source, subset, self._split, language), f"{subset}, {self._split}")

    def digest(self, language: str | None = None) -> str:
        """See `ExampleSets`."""
        train = sources.dataset_identity(self._train) if self._train else ""
        return sources.json_digest([self._identity, train, self._subsets.get(language or "", ""), language])

    @cached_property
    def _identity(self) -> str:  # the hub is asked once for a branch's commit
        return sources.dataset_identity(self._source)

    def _questions(self, source: BenchmarkDataset, subset: str, split: str, language: str) -> list[Question]:
        questions = [question_of_row(row, self._title) for row in sources.dataset_rows(source, subset, split)]
        if self._language_of is None:
            return questions
        return [question for question in questions if self._language_of(question) == language] or questions
