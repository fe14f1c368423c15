"""Text in files on disk, described so that another process can read it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_serializer

from mlctl.config import FileFormat, Side
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import open_pairs


class TextFiles(BaseModel):
    """The text of one language pair in a file, or in a file a side; see `mlctl.corpora.readers.open_pairs`."""

    model_config = ConfigDict(frozen=True)

    paths: tuple[Path, ...]
    format: FileFormat
    source: str
    target: str
    columns: tuple[str, ...] = ()
    member: str = ""
    side: Side = "source"
    scores: dict[str, str] = {}

    @field_serializer("paths")
    def _absolute(self, paths: tuple[Path, ...]) -> list[str]:
        """Return the paths for JSON: a worker may run in another folder. Messages of this process keep those of the recipe."""
        return [str(path.absolute()) for path in paths]

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the order of the file."""
        path, *others = self.paths
        return open_pairs(
            (path, others[0]) if others else path,
            self.format,
            self.source,
            self.target,
            columns=self.columns,
            member=self.member,
            side=self.side,
            scores=self.scores,
        )


class TextFilesCorpus(ABC):
    """A corpus whose text is in files on disk once it is opened; see `mlctl.corpora.corpus.Corpus`."""

    @abstractmethod
    def texts(self, target: str) -> Sequence[TextFiles]:
        """Return the files with the text of one target language, in order."""

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in the order of the files."""
        return itertools.chain.from_iterable(text.rows() for text in self.texts(target))
