"""Alignment of the documents of one corpus in one target language: which steps there are, and where their results are stored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlctl.config import DocumentsSource
from mlctl.core.workspace import Workspace
from mlctl.mining.sentence_files import TextFile

_GROUP_BYTES = 2**18  # of text that one step aligns; a longer document is a step of its own
_GROUP_DOCUMENTS = 64


class DocumentText(BaseModel):
    """A document: a file, or the text itself with the `name` of its place."""

    model_config = ConfigDict(frozen=True)

    name: str
    path: Path | None = None
    text: str = ""

    @property
    def bytes(self) -> int:
        """Size on disk, or characters of the text."""
        return self.path.stat().st_size if self.path else len(self.text)

    @property
    def file(self) -> TextFile | None:
        """The file of the document, if it is one."""
        return TextFile(path=self.path, name=self.name) if self.path else None


class DocumentPair(BaseModel):
    """A document and its translation."""

    model_config = ConfigDict(frozen=True)

    source: DocumentText
    target: DocumentText


class DocumentJob(BaseModel):
    """The alignment of a corpus in one target language.

    Attributes:
        settings: of the source.
        encoder: folder of the encoder.
        source: language of the source side.
        target: language of the target side.
        pairs: the documents.
        root: folder of the workspace.
    """

    model_config = ConfigDict(frozen=True)

    settings: DocumentsSource
    encoder: Path
    source: str
    target: str
    pairs: tuple[DocumentPair, ...]
    root: Path

    @property
    def workspace(self) -> Workspace:
        """The folder with the results of the steps."""
        return Workspace(self.root)

    @cached_property
    def groups(self) -> list[tuple[DocumentPair, ...]]:
        """The documents in groups that are aligned by one step each."""
        groups: list[list[DocumentPair]] = []
        size = 0
        for pair in self.pairs:
            if not groups or size >= _GROUP_BYTES or len(groups[-1]) == _GROUP_DOCUMENTS:
                groups.append([])
                size = 0
            groups[-1].append(pair)
            size += pair.source.bytes + pair.target.bytes
        return [tuple(group) for group in groups]

    @property
    def results(self) -> list[str]:
        """The part of the workspace that each step writes."""
        return [aligned_name(self.target, number) for number in range(len(self.groups))]

    @property
    def unfinished(self) -> Sequence[int]:
        """The numbers of the steps that are not done yet."""
        return [number for number, name in enumerate(self.results) if not self.workspace.has(name)]


def aligned_name(target: str, group: int) -> str:
    """Return the folder of the aligned sentences of a group of documents."""
    return f"aligned/{target}/{group}"
