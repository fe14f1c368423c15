"""Training: the encoder learns from shards, several times interrupted or not, with the same result.

Importing this package is cheap: torch is loaded when `train` is called.
"""

from __future__ import annotations

from pathlib import Path

from mlctl.config import Model, Train
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.training.trackers import check

__all__ = ["check", "train"]


def train(
    settings: Train, model: Model, seed: int, sharded: Path, workspace: Workspace, progress: Progress = silent
) -> dict[str, str | int | float | None]:
    """Train the recipe's encoder on the shards in `sharded` and write it to the workspace.

    Writes `model/` (Hugging Face folder with tokenizer), `base/` (the untrained model, where the recipe names none),
    `steps.parquet` (schema STEPS), `speed.jsonl` (pairs and tokens a second) and `tensorboard/`; the last two differ from run to
    run. Goes on from the newest checkpoint in the workspace's scratch folder, where there is one. With several devices a process
    is started for each.

    Returns:
        steps, loss (mean of the last tenth of the steps), pairs (seen, repeats counted), parameters, rows, device, processes; and
        where temperatures are learned, the last temperature and, of separate terms, word_temperature.

    Raises:
        InputError: too few rows for a batch, a model or tokenizer that does not fit, a device that is not there, a loss that is
            no number or has risen for good, full memory, a full disk, a process that a signal ended, a tracker that is not
            installed.
    """
    check(settings)
    from mlctl.training.stage import run

    return run(settings, model, seed, sharded, workspace, progress)
