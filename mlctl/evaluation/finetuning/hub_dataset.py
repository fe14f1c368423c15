"""Examples of a fine-tuned benchmark in a data set in the hub's format: google/xtreme, or the original one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic

from mlctl.config.evaluate import BenchmarkDataset
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE, Example, NamedExamples

#: Returns the example of a row with the names of its class labels; None if the row has no label.
MakeExample = Callable[[dict[str, Any]], Example | None]


class HubSets(Generic[Example]):
    """See `ExampleSets`.

    Args:
        source: the data set.
        train: data set whose split `train` is trained on; empty: the English subset's own.
        title: of the benchmark, for messages.
        subsets: possible names of each language's subset; a subset of all languages has a column `language`.
        make_example: returns the example of a row.
        default_train: data set to train on if this one has no English training examples and `train` is empty.

    Raises:
        InputError: the data set has no such subset, or it or the network fails.
    """

    def __init__(
        self,
        source: BenchmarkDataset,
        train: str,
        title: str,
        subsets: Mapping[str, Sequence[str]],
        make_example: MakeExample[Example],
        default_train: str = "",
    ) -> None:
        self.location, self._source, self._make_example = source.dataset, source, make_example
        self._subsets = find_subsets(source, title, subsets)
        one_for_all = len(set(self._subsets.values())) < len(self._subsets)
        self._train = train or (default_train if one_for_all else "")
        if one_for_all:
            rows = sources.dataset_rows(source, self._subsets[TRAINING_LANGUAGE], "test")
            in_rows = {row["language"] for row in rows}
            self._subsets = {language: name for language, name in self._subsets.items() if language in in_rows}

    @property
    def languages(self) -> list[str]:
        """See `ExampleSets`."""
        return sorted(self._subsets)

    def train(self) -> list[Example]:
        """See `ExampleSets`."""
        if not self._train:
            return self._examples(TRAINING_LANGUAGE, "train")
        rows = sources.dataset_rows(self._train_source, sources.dataset_subsets(self._train_source)[0], "train")
        return self._make_examples(rows)

    def dev(self) -> list[Example] | None:
        """See `ExampleSets`."""
        return self._examples(TRAINING_LANGUAGE, "validation")

    def test(self, language: str) -> NamedExamples[Example]:
        """See `ExampleSets`."""
        return NamedExamples(self._examples(language, "test"), f"{self._subsets[language]}, test")

    def digest(self, language: str | None = None) -> str:
        """See `ExampleSets`."""
        train = sources.dataset_identity(self._train_source) if self._train else ""
        return sources.json_digest([self._identity, train, self._subsets.get(language or "", "")])

    @cached_property
    def _identity(self) -> str:  # the hub is asked once for a branch's commit
        return sources.dataset_identity(self._source)

    @cached_property
    def _train_source(self) -> BenchmarkDataset:
        return BenchmarkDataset(kind="huggingface", dataset=self._train)

    def _examples(self, language: str, split: str) -> list[Example]:
        rows = sources.dataset_rows(self._source, self._subsets[language], split)
        return self._make_examples(row for row in rows if row.get("language", language) == language)

    def _make_examples(self, rows: Iterable[dict[str, Any]]) -> list[Example]:
        return [example for example in map(self._make_example, rows) if example is not None]


def find_subsets(source: BenchmarkDataset, title: str, subsets: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the subset of each language that a data set has: the first of its possible names.

    Raises:
        InputError: it has none.
    """
    available = set(sources.dataset_subsets(source))
    names = {language: next((name for name in names if name in available), "") for language, names in subsets.items()}
    if found := {language: name for language, name in names.items() if name}:
        return found
    expected = " or ".join(subsets[TRAINING_LANGUAGE])
    problem = f"evaluate.benchmarks, {title}: no subset {expected} in {source.dataset}"
    raise InputError(problem, "name google/xtreme, the original, or a folder with such subsets")
