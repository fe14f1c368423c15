"""Checkpoints: folders of tensors and JSON that are written atomically and verified by their digest before they are used.

The tensors are a file of safetensors, or, of weights that processes hold in shares, a folder of torch's distributed checkpoints.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlctl.core.files import commit, discard, temporary_path
from mlctl.core.hashing import file_digest, tree_digest
from mlctl.core.write_errors import explain_write_errors
from mlctl.modeling.sharded_checkpoint import SharesReader, has_shares, is_first_process, wait_for_all, write_shares

_log = logging.getLogger(__name__)

_TENSORS, _SHARES, _STATE = "tensors.safetensors", "shares", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A training state: the number of steps done, and the tensors by name."""

    step: int
    tensors: Mapping[str, Tensor]


class CheckpointFolder:
    """The checkpoints of one training, `step-NNNNNNN` each.

    Args:
        folder: where they are stored.
        fingerprint: digest of settings, data and model; a checkpoint with another fingerprint is not restored.
        keep: number of newest checkpoints that are kept; the one with the lowest loss is kept as well.
    """

    def __init__(self, folder: Path, fingerprint: str, keep: int) -> None:
        self.folder, self._fingerprint, self._keep = folder, fingerprint, keep
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, tensors: Mapping[str, Tensor], loss: float) -> None:
        """Write a checkpoint, then remove the oldest beyond `keep`, except the one with the lowest `loss`.

        If tensors are held in shares, all processes call this together.

        Raises:
            DiskFullError: the disk is full; the existing checkpoints stay.
        """
        final = self._path(step)
        temporary = temporary_path(final)
        with explain_write_errors(final), _discard_on_error(temporary):
            if has_shares(tensors):
                self._write_shares(temporary, tensors)
                if not is_first_process():
                    return
            else:
                discard(temporary)
                temporary.mkdir()
                save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary / _TENSORS)
            self._write_state(temporary, step, loss)
            commit(temporary, final)
        best = self.best_name()
        for old in self._all()[self._keep :]:
            if old.name != best:
                discard(old)

    def at(self, step: int) -> Checkpoint:
        """Return the checkpoint of a step that `newest` has verified."""
        return self._read(self._path(step))

    def newest(self) -> Checkpoint | None:
        """Return the newest intact checkpoint; damaged ones are removed with a warning."""
        for path in self._all():
            try:
                return self._read(path)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
                _log.warning("checkpoint %s cannot be used (%s); using the previous one", path.name, error)
                discard(path)
        return None

    def newest_name(self) -> str:
        """Return the name of the newest checkpoint, or "none"."""
        return next((path.name for path in self._all()), "none")

    def best_name(self) -> str:
        """Return the name of the checkpoint with the lowest loss, of equal ones the newest, or "none"."""
        return min(self._all(), key=_loss, default=Path("none")).name

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:07d}"

    def _all(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        steps = {path: path.name.removeprefix("step-") for path in self.folder.glob("step-*")}
        return sorted((path for path in steps if steps[path].isdecimal()), key=lambda path: int(steps[path]), reverse=True)

    def _write_shares(self, folder: Path, tensors: Mapping[str, Tensor]) -> None:
        if is_first_process():
            discard(folder)
            folder.mkdir()
        wait_for_all()
        write_shares(tensors, folder / _SHARES)

    def _write_state(self, folder: Path, step: int, loss: float) -> None:
        state = {"step": step, "loss": loss, "fingerprint": self._fingerprint, "sha256": _tensor_digest(folder)}
        text = json.dumps({**state, "digest": _digest(state)}, indent=1)
        (folder / _STATE).write_text(text + "\n", encoding="utf-8")

    def _read(self, path: Path) -> Checkpoint:
        state = _read_state(path)
        if state["fingerprint"] != self._fingerprint:
            raise ValueError("it belongs to other settings, data or model")
        if _tensor_digest(path) != state["sha256"]:
            raise ValueError("its digest does not match")
        shares = path / _SHARES
        return Checkpoint(int(state["step"]), SharesReader(shares) if shares.is_dir() else load_file(path / _TENSORS))


def _tensor_digest(checkpoint: Path) -> str:
    shares = checkpoint / _SHARES
    return tree_digest(shares) if shares.is_dir() else file_digest(checkpoint / _TENSORS)


def _read_state(checkpoint: Path) -> dict[str, Any]:
    """Return the content of a checkpoint's JSON file.

    Raises:
        OSError, ValueError, KeyError, TypeError: it is missing, unreadable or changed.
    """
    state = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
    values = {name: value for name, value in state.items() if name != "digest"}
    if state["digest"] != _digest(values):
        raise ValueError("its state was changed")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()  # a loss may be infinite: no canonical JSON


def _loss(checkpoint: Path) -> float:
    """Return the loss that a checkpoint was saved with; infinite for a damaged one."""
    try:
        return float(_read_state(checkpoint)["loss"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return math.inf


@contextlib.contextmanager
def _discard_on_error(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if is_first_process():
            discard(temporary)
        raise
