"""A corpus whose pairs are made with a sentence encoder by steps, before its parts are written."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mlctl.config import DocumentsSource, MineSource
from mlctl.core.hashing import file_digest
from mlctl.corpora.corpus import Row
from mlctl.corpora.file_info import joint_sha256


@dataclasses.dataclass(frozen=True)
class Encoder:
    """The encoder of a source: its folder, and its name in the provenance."""

    folder: Path
    name: str

    def identity(self) -> dict[str, str]:
        """Return name and digest of the weights."""
        from mlctl.modeling import model_sources

        return {"name": self.name, "weights": model_sources.weights_digest(self.folder)}


class EncodedCorpus(ABC):
    """See `mlctl.corpora.corpus.Corpus`.

    Args:
        source: its entry in the recipe.
        targets: its target languages.
        files: the files that are read.
        encoder: the encoder.
    """

    def __init__(
        self, source: MineSource | DocumentsSource, targets: tuple[str, ...], files: Sequence[Path], encoder: Encoder
    ) -> None:
        self.kind = source.kind
        self.name, self.version, self.licence, self.targets = source.name, source.version, source.licence, targets
        self._files, self._encoder = list(files), encoder

    @property
    def address(self) -> str:
        """File names, without folders; of many the first ones."""
        names = [path.name for path in self._files]
        return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

    @cached_property
    def _digests(self) -> list[str]:
        return [file_digest(path) for path in self._files]

    def sha256(self) -> str:
        """Return the digest of the digests of the files, one a line."""
        return joint_sha256(self._digests)

    def retrieved(self) -> Mapping[str, str]:
        """Return nothing: local files are not fetched."""
        return {}

    @abstractmethod
    def rows(self, target: str) -> Iterator[Row]:
        """Yield the pairs of one target language."""

    @abstractmethod
    def counts(self, target: str) -> dict[str, Any]:
        """Return how the pairs of one target language were found, for the provenance."""

    @abstractmethod
    def log(self) -> None:
        """Log what was found."""

    def details(self) -> dict[str, Any]:
        """Return the encoder, and how the pairs were found, for the provenance."""
        return {"encoder": self._encoder.identity(), "found": {target: self.counts(target) for target in self.targets}}
