"""Scores that outlive the run: each lies under a name made of all that it depends on, so that no run computes it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mlctl.core.files import discard
from mlctl.core.workspace import Workspace
from mlctl.evaluation.metrics.item_scores import Outcome, read, write

#: Holds other processes off while a part is made, by the part's name.
Lock = Callable[[str], AbstractContextManager[None]]

_log = logging.getLogger(__name__)


class ScoreCache:
    """Finished pieces of judging in one folder.

    A part's identity says all that can change it: weights, task and revision of its card, data, settings, seed. Equal identities
    are one part, whichever run made it; a part is renamed into place when it is whole.

    Args:
        root: where parts lie; it may be shared by runs.
        lock: see `Lock`; None where one process works alone.
    """

    def __init__(self, root: Path, lock: Lock | None = None) -> None:
        self._place = Workspace(root)
        self._lock = lock or contextlib.nullcontext

    def outcomes(self, identity: Mapping[str, Any], make: Callable[[], Sequence[Outcome]]) -> list[Outcome]:
        """Return the outcomes of an identity, made now unless they are there; a damaged file is made anew."""
        name = f"{name_of(identity)}.parquet"
        with self._lock(name):
            found = self._read(name)
            if found is None:
                made = make()
                with self._place.part(name) as path:
                    write(made, path)
                found = read(self._place.path(name))  # the same to the last bit and order, made now or before
            self._used(name)
        return found

    def folder(self, identity: Mapping[str, Any], make: Callable[[Path, Path], object]) -> Path:
        """Return the folder of an identity (a fine-tuned model), filled now by `make(folder, scratch)` unless it is there.

        The folder `scratch` outlives a crash, and is removed when the other one is whole.
        """
        name = f"{name_of(identity)}.folder"
        scratch = self._place.scratch / name
        with self._lock(name):
            if not self._place.has(name):
                with self._place.part(name) as path:
                    path.mkdir()
                    make(path, scratch)
                discard(scratch)
            self._used(name)
        return self._place.path(name)

    def _used(self, name: str) -> None:
        """Note when a part was last used: who tidies up goes by that."""
        os.utime(self._place.path(name))

    def _read(self, name: str) -> list[Outcome] | None:
        if not self._place.has(name):
            return None
        try:
            return read(self._place.path(name))
        except (OSError, ValueError, KeyError) as error:
            _log.warning("%s is damaged (%s): made anew", self._place.path(name), error)
            discard(self._place.path(name))
            return None


def name_of(identity: Mapping[str, Any]) -> str:
    """Return the task's name and a digest of the identity (its `task` and whatever else, as JSON values)."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{identity['task']}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
