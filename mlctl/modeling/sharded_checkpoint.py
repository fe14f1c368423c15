"""Tensors that processes hold in shares, as files: torch's distributed checkpoints, which any number of processes can read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, distributed

from mlctl.modeling.fully_sharded import is_sharded


def has_shares(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether some tensors are held in shares; their files are then written by all processes together."""
    return any(map(is_sharded, tensors.values()))


def is_first_process() -> bool:
    """Return whether this process is the first, or the only one."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def wait_for_all() -> None:
    """Wait until all processes are here."""
    if distributed.is_initialized():
        distributed.barrier()


def write_shares(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write the shares of all processes into a folder that all see; all processes call this together.

    Raises:
        OSError: a process cannot write.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        save(dict(tensors), checkpoint_id=str(folder))
    except CheckpointException as error:
        causes = [cause for cause, _ in error.failures.values() if isinstance(cause, OSError)]
        raise causes[0] if causes else error from None


class SharesReader(Mapping[str, Tensor]):
    """The tensors in a folder that `write_shares` has written, each in full; a tensor is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        from torch.distributed.checkpoint.filesystem import FileSystemReader
        from torch.distributed.checkpoint.metadata import TensorStorageMetadata

        self._folder = str(folder)
        content = FileSystemReader(self._folder).read_metadata().state_dict_metadata
        self._tensors = {name: item for name, item in content.items() if isinstance(item, TensorStorageMetadata)}

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor in main memory."""
        from torch.distributed.checkpoint.state_dict_loader import load

        stored = self._tensors[name]
        tensor = torch.empty(stored.size, dtype=stored.properties.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            load({name: tensor}, checkpoint_id=self._folder, no_dist=True)
        return tensor

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._tensors)
