"""Content-addressed cache of scores, shared by runs: each entry is named by a digest of everything that it depends on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.core.files import discard
from mlctl.core.workspace import Workspace

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores

#: Excludes other processes while an entry is computed; takes the entry's name.
Lock = Callable[[str], AbstractContextManager[None]]

_log = logging.getLogger(__name__)


class ScoreCache:
    """Scores and fine-tuned models in one folder.

    An entry's identity holds everything that can change it: weights, task and the task's revision, data, settings, seed. Runs with
    equal identities share one entry. An entry is renamed into place when it is complete, so that a killed run resumes behind it.

    Args:
        root: folder of the entries; runs may share it.
        lock: see `Lock`; None if only one process uses the folder.
    """

    def __init__(self, root: Path, lock: Lock | None = None) -> None:
        self._entries = Workspace(root)
        self._lock = lock or contextlib.nullcontext

    def get_or_compute(self, identity: Mapping[str, Any], compute: Callable[[], Sequence[ItemScores]]) -> list[ItemScores]:
        """Return the scores of an identity, computed if they are not cached; a damaged file is computed again."""
        from mlctl.evaluation.metrics.item_scores import read_scores, write_scores

        name = f"{entry_name(identity)}.parquet"
        with self._lock(name):
            scores = self._read(name)
            if scores is None:
                computed = compute()
                with self._entries.part(name) as path:
                    write_scores(computed, path)
                scores = read_scores(self._entries.path(name))  # bit for bit what a later run reads
            self._touch(name)
        return scores

    def get_or_create_folder(self, identity: Mapping[str, Any], create: Callable[[Path, Path], object]) -> Path:
        """Return the folder of an identity (a fine-tuned model), filled by `create(folder, scratch)` if it is not cached.

        The folder `scratch` survives a crash; it is removed when the other one is complete.
        """
        name = f"{entry_name(identity)}.folder"
        scratch = self._entries.scratch / name
        with self._lock(name):
            if not self._entries.has(name):
                with self._entries.part(name) as path:
                    path.mkdir()
                    create(path, scratch)
                discard(scratch)
            self._touch(name)
        return self._entries.path(name)

    def _touch(self, name: str) -> None:
        """Set the modification time to now: garbage collection removes the entries that were not used for longest."""
        os.utime(self._entries.path(name))

    def _read(self, name: str) -> list[ItemScores] | None:
        from mlctl.evaluation.metrics.item_scores import read_scores

        if not self._entries.has(name):
            return None
        try:
            return read_scores(self._entries.path(name))
        except (OSError, ValueError, KeyError) as error:
            _log.warning("%s is damaged (%s): computing it again", self._entries.path(name), error)
            discard(self._entries.path(name))
            return None


def entry_name(identity: Mapping[str, Any]) -> str:
    """Return the task's name and a digest of the identity (`task` and other JSON values)."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{identity['task']}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
