"""Examples of a fine-tuned benchmark in a data set of the hub's format: google/xtreme, or the original it was taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic

from mlctl.config.evaluate import BenchmarkDataset
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.finetuning.examples import LEARNED, Example, Set

#: Makes an example of a row whose class labels are spelt out; None: nobody labelled it.
Make = Callable[[dict[str, Any]], Example | None]


class DatasetSets(Generic[Example]):
    """See `examples.Sets`.

    Args:
        source: the data set.
        train: data set whose split `train` is learned; empty: the English subset's own.
        title: of the benchmark, for messages.
        subsets: what the subset of each language may be called; one subset of all languages has a column `language`.
        make: makes an example of a row.
        without: what is learned from when the data set has no English examples and `train` is empty.

    Raises:
        InputError: it has no such subset, or whatever is wrong with the data set or the network.
    """

    def __init__(
        self,
        source: BenchmarkDataset,
        train: str,
        title: str,
        subsets: Mapping[str, Sequence[str]],
        make: Make[Example],
        without: str = "",
    ) -> None:
        self.place, self._source, self._make = source.dataset, source, make
        there = set(sources.dataset_subsets(source))
        found = {language: next((name for name in names if name in there), None) for language, names in subsets.items()}
        self._subsets = {language: name for language, name in found.items() if name}
        if not self._subsets:
            raise InputError(
                f"evaluate.benchmarks, {title}: no subset {' or '.join(subsets[LEARNED])} in {self.place}",
                "name google/xtreme, the original, or a folder with such subsets",
            )
        one_for_all = len(set(self._subsets.values())) < len(self._subsets)
        self._train = train or (without if one_for_all else "")
        if one_for_all:
            told = {row["language"] for row in sources.dataset_rows(source, self._subsets[LEARNED], "test")}
            self._subsets = {language: name for language, name in self._subsets.items() if language in told}

    @property
    def languages(self) -> list[str]:
        """See `examples.Sets`."""
        return sorted(self._subsets)

    def learned(self) -> list[Example]:
        """See `examples.Sets`."""
        if not self._train:
            return self._rows(LEARNED, "train")
        return self._made(sources.dataset_rows(self._other, sources.dataset_subsets(self._other)[0], "train"))

    def dev(self) -> list[Example] | None:
        """See `examples.Sets`."""
        return self._rows(LEARNED, "validation")

    def judged(self, language: str) -> Set[Example]:
        """See `examples.Sets`."""
        return Set(self._rows(language, "test"), f"{self._subsets[language]}, test")

    def digest(self, language: str | None = None) -> str:
        """See `examples.Sets`."""
        learned = sources.dataset_identity(self._other) if self._train else ""
        return sources.digest_of_values([self._identity, learned, self._subsets.get(language or "", "")])

    @cached_property
    def _identity(self) -> str:  # of a branch's commit the hub is asked once
        return sources.dataset_identity(self._source)

    @cached_property
    def _other(self) -> BenchmarkDataset:
        return BenchmarkDataset(kind="huggingface", dataset=self._train)

    def _rows(self, language: str, split: str) -> list[Example]:
        rows = sources.dataset_rows(self._source, self._subsets[language], split)
        return self._made(row for row in rows if row.get("language", language) == language)

    def _made(self, rows: Iterable[dict[str, Any]]) -> list[Example]:
        return [example for example in map(self._make, rows) if example is not None]
