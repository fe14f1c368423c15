"""The experiment trackers by name; their libraries are imported only when a recipe names them."""

from __future__ import annotations

import importlib
import importlib.util

from mlctl.config import Train
from mlctl.core.distribution import install_extras
from mlctl.errors import InputError
from mlctl.training.trackers.guard import BackgroundTracker, GuardedTracker

#: Module and class of each tracker. The module of a library has the library's name.
TRACKERS = {
    "tensorboard": ("mlctl.training.trackers.tensorboard", "TensorBoard"),
    "mlflow": ("mlctl.training.trackers.mlflow", "MLflow"),
    "wandb": ("mlctl.training.trackers.wandb", "WandB"),
    "trackio": ("mlctl.training.trackers.trackio", "Trackio"),
}
_BUILT_IN = "tensorboard"  # needs no library and no network


def create_tracker(name: str) -> GuardedTracker | BackgroundTracker:
    """Return the tracker of a name; those that may use a network run in a background thread."""
    module, implementation = TRACKERS[name]
    tracker = GuardedTracker(name, getattr(importlib.import_module(module), implementation)())
    return tracker if name == _BUILT_IN else BackgroundTracker(tracker)


def check(settings: Train) -> None:
    """Check that the libraries of the recipe's trackers are installed.

    Raises:
        InputError: one is not.
    """
    missing = [name for name in settings.trackers if name != _BUILT_IN and importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"train.trackers names {', '.join(missing)}, which is not installed here",
            f"run `{install_extras(*missing)}`, or remove it from train.trackers",
        )
