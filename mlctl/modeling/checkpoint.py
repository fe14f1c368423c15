"""Checkpoints: folders of safetensors and JSON that are whole or not there, and are not trusted until their digest fits."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlctl.core.files import commit, discard, is_disk_full, temporary_path
from mlctl.core.hashing import file_digest
from mlctl.errors import InputError

_log = logging.getLogger(__name__)

_TENSORS, _STATE = "tensors.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A training state: how many steps were done, the tensors by name, and what was trained (`subject`)."""

    step: int
    tensors: Mapping[str, Tensor]
    subject: str


class CheckpointFolder:
    """The checkpoints of one training, `step-NNNNNNN` each.

    Args:
        folder: where they lie.
        subject: digest of settings, data and model; a checkpoint of another subject is not gone on from.
        keep: how many of the newest are kept; the one with the lowest loss is kept besides.
    """

    def __init__(self, folder: Path, subject: str, keep: int) -> None:
        self.folder, self._subject, self._keep = folder, subject, keep
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, tensors: Mapping[str, Tensor], loss: float) -> None:
        """Write a checkpoint, then remove the oldest ones that are too many, but not the one with the lowest `loss`.

        Raises:
            InputError: the disk has no room; the checkpoints that were there stay.
        """
        final = self._path(step)
        unfinished = temporary_path(final)
        discard(unfinished)
        with room_for(final), _discarding(unfinished):
            self._write(unfinished, step, tensors, loss)
            commit(unfinished, final)
        best = self.best_name()
        for old in self._all()[self._keep :]:
            if old.name != best:
                discard(old)

    def at(self, step: int) -> Checkpoint:
        """Return the checkpoint of a step that `newest` found whole."""
        return self._read(self._path(step))

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; damaged ones are removed, and the log says so."""
        for path in self._all():
            try:
                return self._read(path)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                _log.warning("checkpoint %s cannot be used (%s); taking the one before", path.name, error)
                discard(path)
        return None

    def newest_name(self) -> str:
        """Return the name of the newest checkpoint, or "none"."""
        return next((path.name for path in self._all()), "none")

    def best_name(self) -> str:
        """Return the name of the checkpoint with the lowest loss, the newest of several, or "none"."""
        return min(self._all(), key=_loss, default=Path("none")).name

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:07d}"

    def _all(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        return sorted(self.folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")), reverse=True)

    def _write(self, folder: Path, step: int, tensors: Mapping[str, Tensor], loss: float) -> None:
        folder.mkdir()
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, folder / _TENSORS)
        state = {"step": step, "loss": loss, "subject": self._subject, "sha256": file_digest(folder / _TENSORS)}
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")

    def _read(self, path: Path) -> Checkpoint:
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        if state["subject"] != self._subject:
            raise ValueError("it is of other settings, data or model")
        if file_digest(path / _TENSORS) != state["sha256"]:
            raise ValueError("its digest does not fit")
        return Checkpoint(int(state["step"]), load_file(path / _TENSORS), state["subject"])


def _loss(checkpoint: Path) -> float:
    """Return the loss that a checkpoint was saved with; a damaged one is no good."""
    try:
        return float(json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))["loss"])
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk inside the block into an InputError that names what was being written."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not is_disk_full(error):
            raise
        raise InputError(f"no room to write {path}", "make room and run again: training goes on where it was") from error


@contextlib.contextmanager
def _discarding(unfinished: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        discard(unfinished)
        raise
