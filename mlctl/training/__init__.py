"""Training: an encoder learns from shards; interrupted and resumed, it gives the same result.

`ParallelDataset`, `ParallelIterableDataset` and `ParallelCollator` serve the shards to other training loops. Importing this package
is cheap: torch is loaded at the first use of a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlctl.training.trackers import check

if TYPE_CHECKING:
    from mlctl.training.stage import train
    from mlctl.training.torch_dataset import ParallelCollator, ParallelDataset, ParallelIterableDataset

__all__ = ["ParallelCollator", "ParallelDataset", "ParallelIterableDataset", "check", "train"]


def __getattr__(name: str) -> Any:
    """Import the exported name on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "train":
        from mlctl.training import stage

        return stage.train
    from mlctl.training import torch_dataset

    return getattr(torch_dataset, name)
