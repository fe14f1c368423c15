"""Mining of one corpus: which steps there are, and where their results are stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from mlctl.config import MineSource
from mlctl.core.workspace import Workspace
from mlctl.mining.sentence_files import TextFile
from mlctl.mining.vectors import VectorParts

Phase = Literal["split", "gather", "plant", "embed", "index", "search", "select"]
Direction = Literal["forward", "backward"]

#: Bytes of files that one step splits. A larger file is not a document, but a corpus: an error in it stops the run.
GROUP_BYTES = 8 * 2**20
_MAX_EXACT = 10**11  # comparisons in each direction up to which `index: auto` is exact
_SIDES = ("source", "target")


class TextSide(BaseModel):
    """Text in one language: all files of a side, for one target language or for all."""

    model_config = ConfigDict(frozen=True)

    name: str
    language: str
    files: tuple[TextFile, ...]

    @cached_property
    def groups(self) -> list[tuple[TextFile, ...]]:
        """The files in groups, of about 8 MiB, that are split by one step each."""
        groups: list[list[TextFile]] = []
        size = 0
        for file in self.files:
            if not groups or size >= GROUP_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(file)
            size += file.path.stat().st_size
        return [tuple(group) for group in groups]


class TargetText(BaseModel):
    """The text that pairs in one target language are mined from.

    Attributes:
        target: the language.
        source_side: name of the side in the source language.
        target_side: name of the side in the target language.
        dev: files of the sentences to plant, source and target; empty: none.
    """

    model_config = ConfigDict(frozen=True)

    target: str
    source_side: str
    target_side: str
    dev: tuple[Path, ...] = ()


class Embedding(NamedTuple):
    """A part of the sentences and its vectors, by their names in the workspace."""

    sentences: str
    vectors: str


class MiningJob(BaseModel):
    """All steps of one corpus. Workers get it as JSON; what was finished is read from the workspace at `root`.

    Attributes:
        settings: of the source.
        encoder: folder of the encoder.
        sides: the text, each side once.
        targets: one for each target language.
        root: folder of the workspace.
    """

    model_config = ConfigDict(frozen=True)

    settings: MineSource
    encoder: Path
    sides: tuple[TextSide, ...]
    targets: tuple[TargetText, ...]
    root: Path

    phases: tuple[Phase, ...] = ("split", "gather", "plant", "embed", "index", "search", "select")
    preparation: tuple[Phase, ...] = ()

    @property
    def workspace(self) -> Workspace:
        """The folder with the results of the steps."""
        return Workspace(self.root)

    @property
    def finished(self) -> bool:
        """Whether the pairs of all target languages are selected, and their sentences are there."""
        selected = all(self.workspace.has(pairs_name(text.target)) for text in self.targets)
        return selected and all(self.workspace.has(sentences_name(side.name)) for side in self.sides)

    def unfinished(self, phase: Phase) -> Sequence[int]:
        """Return the numbers of a phase's steps that are not done yet."""
        return [number for number, name in enumerate(self.results(phase)) if name and not self.workspace.has(name)]

    def results(self, phase: Phase) -> Sequence[str]:
        """Return the part of the workspace that each step of a phase writes; empty: the step has nothing to do."""
        return _RESULTS[phase](self)

    def _split_results(self) -> Sequence[str]:
        return [
            "" if self.workspace.has(sentences_name(side.name)) else split_name(side.name, number)
            for side, number in self.split_steps
        ]

    def _index_results(self) -> Sequence[str]:
        return [index_name(text.target, direction) if self.uses_ivf(text) else "" for text, direction in self.directions]

    @cached_property
    def split_steps(self) -> list[tuple[TextSide, int]]:
        """The side and the number of the group of files of each splitting step."""
        return [(side, number) for side in self.sides for number in range(len(side.groups))]

    @property
    def embeddings(self) -> list[Embedding]:
        """The parts of all sides and of the planted sentences; known once the sentences are gathered."""
        listed = [embedding for side in self.sides for embedding in self._side_embeddings(side.name)]
        planted = [self._planted(text.target, side) for text in self.targets if text.dev for side in _SIDES]
        return listed + planted

    @property
    def directions(self) -> list[tuple[TargetText, Direction]]:
        """Both directions of search of each target language."""
        return [(text, direction) for text in self.targets for direction in ("forward", "backward")]

    @property
    def search_steps(self) -> list[tuple[TargetText, Direction, int]]:
        """The direction and the part of the queries of each search step; known once the sentences are gathered."""
        return [
            (text, direction, part)
            for text, direction in self.directions
            for part in range(len(self.pool(text, query_side(direction))))
        ]

    def pool(self, text: TargetText, side: str) -> list[Embedding]:
        """Return the parts of a side (source, target) in which a target language's pairs are mined; planted sentences are the last."""
        parts = self._side_embeddings(text.source_side if side == "source" else text.target_side)
        return [*parts, self._planted(text.target, side)] if text.dev else parts

    def vectors(self, text: TargetText, side: str) -> VectorParts:
        """Return the vectors of a pool."""
        return VectorParts([self.workspace.path(part.vectors) for part in self.pool(text, side)])

    def rows(self, text: TargetText) -> tuple[int, int]:
        """Return the numbers of sentences of both sides, without planted ones."""
        names = (text.source_side, text.target_side)
        source, target = (int(self.info(sentences_name(name))["sentences"]) for name in names)
        return source, target

    def uses_ivf(self, text: TargetText) -> bool:
        """Return whether a target language's text is searched with an inverted file."""
        source, target = self.rows(text)
        return self.settings.index == "ivf" or (self.settings.index == "auto" and source * target > _MAX_EXACT)

    def info(self, name: str) -> dict[str, Any]:
        """Return what a step recorded in the folder that it wrote."""
        found: dict[str, Any] = json.loads((self.workspace.path(name) / INFO).read_text(encoding="utf-8"))
        return found

    def _side_embeddings(self, side: str) -> list[Embedding]:
        parts = self.info(sentences_name(side))["parts"]
        return [Embedding(f"{sentences_name(side)}/{part}.arrow", f"vectors/{side}/{part}.npy") for part in range(parts)]

    def _planted(self, target: str, side: str) -> Embedding:
        return Embedding(f"{dev_name(target)}/{side}.arrow", f"vectors/dev-{target}/{side}.npy")

    def text(self, target: str) -> TargetText:
        """Return the text of a target language."""
        return next(text for text in self.targets if text.target == target)

    def side(self, name: str) -> TextSide:
        """Return a side by its name."""
        return next(side for side in self.sides if side.name == name)


#: Name of the file with the counts of a step, in the folder that it writes.
INFO = "info.json"


def query_side(direction: Direction) -> str:
    """Return the side whose sentences are the queries."""
    return "source" if direction == "forward" else "target"


def candidate_side(direction: Direction) -> str:
    """Return the side that is searched."""
    return "target" if direction == "forward" else "source"


def split_name(side: str, group: int) -> str:
    """Return the folder of the sentences of a group of files."""
    return f"split/{side}/{group}"


def sentences_name(side: str) -> str:
    """Return the folder of the distinct sentences of a side."""
    return f"sentences/{side}"


def dev_name(target: str) -> str:
    """Return the folder of the planted sentences."""
    return f"dev/{target}"


def index_name(target: str, direction: Direction) -> str:
    """Return the file of an inverted file."""
    return f"index/{target}-{direction}.faiss"


def neighbours_name(target: str, direction: Direction, part: int) -> str:
    """Return the file of the neighbours of a part of the queries."""
    return f"neighbours/{target}-{direction}/{part}.npy"


def pairs_name(target: str) -> str:
    """Return the folder of the selected pairs."""
    return f"pairs/{target}"


_RESULTS: dict[Phase, Callable[[MiningJob], Sequence[str]]] = {
    "split": MiningJob._split_results,
    "gather": lambda job: [sentences_name(side.name) for side in job.sides],
    "plant": lambda job: [dev_name(text.target) if text.dev else "" for text in job.targets],
    "embed": lambda job: [embedding.vectors for embedding in job.embeddings],
    "index": MiningJob._index_results,
    "search": lambda job: [neighbours_name(text.target, direction, part) for text, direction, part in job.search_steps],
    "select": lambda job: [pairs_name(text.target) for text in job.targets],
}
