"""Training: an encoder learns from shards; interrupted and resumed, it gives the same result.

Importing this package is cheap: torch is loaded at the first use of `train`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlctl.training.trackers import check

if TYPE_CHECKING:
    from mlctl.training.stage import train

__all__ = ["check", "train"]


def __getattr__(name: str) -> Any:
    """Import the exported name on first use."""
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlctl.training import stage

    return stage.train
