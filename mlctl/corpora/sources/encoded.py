"""Shared by the kinds that make pairs with a sentence encoder: the encoder, the files on disk, the state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from mlctl.config import DocumentsSource, MineSource, Model
from mlctl.config.base import CHAMPION
from mlctl.corpora.corpus import select_targets
from mlctl.corpora.encoded_corpus import Encoder
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.source_kind import FetchContext, SourceKind
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.errors import InputError

S = TypeVar("S", MineSource, DocumentsSource)


class EncodedKind(SourceKind[S]):
    """A kind that makes pairs with a sentence encoder from text on disk."""

    @property
    def name(self) -> str:
        """Name of the corpus in the recipe."""
        return self.source.name

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Target languages of the corpus."""
        return select_targets(self.source.targets, self.languages)

    @abstractmethod
    def text_files(self) -> Mapping[str, Path]:
        """Return the files of text by a name that is the same on every machine. Raises InputError if there are none."""

    def validate(self) -> None:
        """Check that there are files, and the encoder if it is in a folder."""
        self.text_files()
        if Path(self.source.model).expanduser().is_dir():
            self._resolve()

    def local_files(self) -> Mapping[str, Path]:
        """Return the files of text and of the encoder; the digest of a champion becomes part of the key in another way."""
        if self.source.model == CHAMPION:
            return self.text_files()
        return {**self.text_files(), **self._encoder_files()}

    def pins(self, lock: Lockfile) -> None:
        """Return None: text on disk is not cached."""
        del lock

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the digests of the files of text, and of an encoder in a folder."""
        paths = list(self.text_files().values())
        if Path(self.source.model).expanduser().is_dir():
            paths += self._encoder_files().values()
        return SourceState([self.source], inspection.file_states(self.name, dict.fromkeys(paths)))

    def encoder(self, context: FetchContext) -> Encoder:
        """Return the encoder; one on the hub is downloaded.

        Raises:
            InputError: there is none.
        """
        if self.source.model != CHAMPION:
            folder = self._resolve()
            return Encoder(folder.absolute(), folder.name if Path(self.source.model).expanduser().is_dir() else self.source.model)
        if context.champion is None:
            problem = f"{self.name}: model is champion, but this recipe has no champion and no model.name"
            raise InputError(problem, "name an encoder in the source's model, or set model.name")
        return Encoder(context.champion.absolute(), CHAMPION)

    def _resolve(self) -> Path:
        from mlctl.modeling import model_sources

        model = Model(name=self.source.model, revision=self.source.revision)
        return model_sources.resolve(model, f"model of the source {self.name!r}")

    def _encoder_files(self) -> dict[str, Path]:
        from mlctl.modeling.model_files import CONFIG, weight_files
        from mlctl.modeling.model_sources import tokenizer_files
        from mlctl.modeling.sentence_config import sentence_files

        folder: Path = self._resolve()
        files = [folder / CONFIG, *weight_files(folder), *tokenizer_files(folder)]
        named = {file.name: file for file in files} | sentence_files(folder)
        return {f"encoder/{name}": named[name] for name in sorted(named)}
