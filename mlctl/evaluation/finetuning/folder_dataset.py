"""Examples of a fine-tuned benchmark in a folder of its published files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.finetuning.examples import LEARNED, Example, Set
from mlctl.evaluation.tasks.base import complaint

_TRAIN = "train-en.tsv"
_FILE = re.compile(r"(?:.*/)?(?P<split>dev|test)-(?P<language>\w+)\.(tsv|conllu)")
_LABELS = "labels/"

#: Reads a file of examples and the file of their labels, where there is one.
Read = Callable[[Path, Path | None], list[Example]]


class _Files(NamedTuple):
    examples: Path
    labels: Path | None

    @property
    def there(self) -> list[Path]:
        return [file for file in self if file]


class FolderSets(Generic[Example]):
    """See `examples.Sets`.

    Args:
        source: the folder.
        train: file of the English examples that are learned; empty: `train-en.tsv`.
        title: of the benchmark, for messages.
        read: reads one file.

    Raises:
        InputError: there is no such folder, or no file to learn from.
    """

    def __init__(self, source: BenchmarkFolder, train: str, title: str, read: Read[Example]) -> None:
        self.place, self._read, train = source.path, read, train or _TRAIN
        files = sources.files_of(source)
        self._labels = {name.removeprefix(_LABELS): path for name, path in files.items() if name.startswith(_LABELS)}
        self._splits = self._found(files)
        if train not in files:
            raise InputError(
                f"evaluate.benchmarks, {title}: no {train} in {self.place}", "set `train` to the file of English examples"
            )
        self._train = self._with_labels(files[train])
        if not self._splits:
            raise InputError(f"evaluate.benchmarks, {title}: no test-xx.tsv in {self.place}", complaint(title))

    @property
    def languages(self) -> list[str]:
        """See `examples.Sets`."""
        return sorted({language for _, language in self._splits})

    def learned(self) -> list[Example]:
        """See `examples.Sets`."""
        return self._read(*self._train)

    def dev(self) -> list[Example] | None:
        """See `examples.Sets`; None, too, where dev is what is learned."""
        return self._read(*self._dev) if self._dev else None

    def judged(self, language: str) -> Set[Example]:
        """See `examples.Sets`."""
        files = self._judged(language)
        return Set(self._read(*files), files.examples.name)

    def digest(self, language: str | None = None) -> str:
        """See `examples.Sets`."""
        both = [*self._train.there, *(self._dev.there if self._dev else ())]
        return sources.digest_of(both + (self._judged(language).there if language else []))

    @property
    def _dev(self) -> _Files | None:
        found = self._splits.get(("dev", LEARNED))
        return None if found is None or found.examples == self._train.examples else found

    def _judged(self, language: str) -> _Files:
        return self._splits.get(("test", language)) or self._splits["dev", language]

    def _found(self, files: dict[str, Path]) -> dict[tuple[str, str], _Files]:
        splits = {}
        for name, path in files.items():
            match = None if name.startswith(_LABELS) else _FILE.fullmatch(name)
            if match and codes.is_language(match["language"]):
                splits[match["split"], codes.canonical(match["language"])] = self._with_labels(path)
        return splits

    def _with_labels(self, file: Path) -> _Files:
        return _Files(file, self._labels.get(file.name.removesuffix(".gz")))
