"""Content-addressed cache of scores, shared by runs: each entry is named by a digest of everything that it depends on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlctl.core.files import discard
from mlctl.core.workspace import Workspace

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores

_SCORES, _FOLDER = ".parquet", ".folder"

_log = logging.getLogger(__name__)


class Lock(Protocol):
    """Excludes other processes while an entry is computed."""

    def __call__(self, name: str, cancelled: Callable[[], bool] = ...) -> AbstractContextManager[None]:
        """Hold the lock of an entry, by its name; raise a TimeoutError if `cancelled` returns true while it waits."""


class ScoreCache:
    """Scores and fine-tuned models in one folder.

    An entry's identity holds everything that can change it: weights, task and the task's revision, data, settings, seed. Runs with
    equal identities share one entry. An entry is renamed into place when it is complete, so that a killed run resumes behind it.

    Args:
        root: folder of the entries; runs may share it.
        lock: see `Lock`; None if only one process uses the folder, or another one holds the lock of what this one computes.
    """

    def __init__(self, root: Path, lock: Lock | None = None) -> None:
        self.root = root
        self._entries = Workspace(root)
        self._lock = lock or _no_lock

    def find(self, name: str) -> list[ItemScores] | None:
        """Return the scores of an entry, None if it is not cached; a damaged file is removed."""
        if (scores := self._read(name)) is not None:
            self._touch(name)
        return scores

    def has(self, name: str) -> bool:
        """Return whether an entry of any kind is cached; one that is damaged is removed."""
        if name.endswith(_SCORES):
            return self.find(name) is not None
        if complete := self._entries.has(name):
            self._touch(name)
        return complete

    def path(self, name: str) -> Path:
        """Return the path of an entry, whether or not it exists."""
        return self._entries.path(name)

    @contextlib.contextmanager
    def exclusive(self, name: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Hold the lock of an entry; yield whether it has to be computed still.

        Raises:
            TimeoutError: `cancelled` returned true while another process held the lock.
        """
        with self._lock(name, cancelled):
            yield not self.has(name)

    def write(self, name: str, scores: Sequence[ItemScores]) -> None:
        """Write an entry whose lock this or another process holds for it."""
        from mlctl.evaluation.metrics.item_scores import write_scores

        with self._entries.part(name) as path:
            write_scores(scores, path)

    def get_or_compute(self, identity: Mapping[str, Any], compute: Callable[[], Sequence[ItemScores]]) -> list[ItemScores]:
        """Return the scores of an identity, computed if they are not cached; a damaged file is computed again."""
        from mlctl.evaluation.metrics.item_scores import read_scores

        name = scores_name(identity)
        with self._lock(name):
            scores = self.find(name)
            if scores is None:
                self.write(name, compute())
                scores = read_scores(self.path(name))  # bit for bit what a later run reads
        return scores

    def get_or_create_folder(self, identity: Mapping[str, Any], create: Callable[[Path, Path], object]) -> Path:
        """Return the folder of an identity (a fine-tuned model), filled by `create(folder, scratch)` if it is not cached.

        The folder `scratch` survives a crash; it is removed when the other one is complete.
        """
        name = folder_name(identity)
        scratch = self._entries.scratch / name
        with self._lock(name):
            if not self.has(name):
                with self._entries.part(name) as path:
                    path.mkdir()
                    create(path, scratch)
                discard(scratch)
        return self.path(name)

    def _touch(self, name: str) -> None:
        """Set the modification time to now: garbage collection removes the entries that were not used for longest."""
        os.utime(self.path(name))

    def _read(self, name: str) -> list[ItemScores] | None:
        from mlctl.evaluation.metrics.item_scores import read_scores

        if not self._entries.has(name):
            return None
        try:
            return read_scores(self.path(name))
        except (OSError, ValueError, KeyError) as error:
            _log.warning("%s is damaged (%s): computing it again", self.path(name), error)
            discard(self.path(name))
            return None


def scores_name(identity: Mapping[str, Any]) -> str:
    """Return the name of the entry with the scores of an identity (`task` and other JSON values)."""
    return _entry_name(identity) + _SCORES


def folder_name(identity: Mapping[str, Any]) -> str:
    """Return the name of the entry with the folder of an identity."""
    return _entry_name(identity) + _FOLDER


def _entry_name(identity: Mapping[str, Any]) -> str:
    """Return the task's name and a digest of the identity."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{identity['task']}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@contextlib.contextmanager
def _no_lock(name: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
    del name, cancelled
    yield
