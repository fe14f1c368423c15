"""Checks of the section `train` against what the training reads: dev pairs, and the weights before training."""

from __future__ import annotations

import importlib.util

from mlctl.config.model import Model
from mlctl.config.train import Train
from mlctl.config.train_defaults import ResolvedTrain
from mlctl.core.distribution import install_extras
from mlctl.errors import InputError


def check_dev_pairs(train: Train, dev_pairs: int) -> None:
    """Check that there is something to judge on if the recipe asks for judgements; without, a default does no harm.

    Args:
        train: settings.
        dev_pairs: number of dev pairs: `shard.dev_pairs`, or those of a shard result.

    Raises:
        InputError: there are no dev pairs.
    """
    asked = [*([f"train.judge_every={train.judge_every}"] if train.judge_every else []), *train.needs_judgements]
    if asked and not dev_pairs:
        raise InputError(
            f"{', '.join(asked)} needs dev pairs, but there are none",
            "set shard.dev_pairs to 100 or so (a language with fewer than 40 aligned pairs has none), or remove these settings",
        )


def check_interpolation(train: Train, model: Model) -> None:
    """Check that there are weights before training to interpolate with.

    Raises:
        InputError: the model is trained from scratch.
    """
    if train.interpolate != 1 and not (model.name or model.start):
        raise InputError(
            f"train.interpolate={train.interpolate}: a model from scratch has random weights before training, which are of no use",
            "name an encoder in model.name, or set train.interpolate=1",
        )


def check_fsdp(train: ResolvedTrain) -> None:
    """Check that no setting needs the whole of the weights while training, if they are sharded.

    Raises:
        InputError: one does.
    """
    if not train.fsdp:
        return
    needing = {
        f"mlm_weight={train.mlm_weight}": ("mlm_weight=0", train.mlm_weight > 0),
        f"lora_rank={train.lora_rank}": ("lora_rank=0", train.lora_rank > 0),
        "load_best_model_at_end=true": ("load_best_model_at_end=false", train.load_best_model_at_end),
        f"average_steps={train.average_steps}": ("average_steps=1", train.average_steps > 1),
        f"interpolate={train.interpolate}": ("interpolate=1", train.interpolate != 1),
    }
    for setting, (remedy, is_set) in needing.items():
        if is_set:
            raise InputError(
                f"train.{setting} needs whole weights, but train.fsdp=true shards them",
                f"set train.{remedy}, or train.fsdp=false",
            )


def check_lora(train: Train) -> None:
    """Check that the library is installed, if adapters are trained.

    Raises:
        InputError: it is not.
    """
    if train.lora_rank and importlib.util.find_spec("peft") is None:
        raise InputError(
            f"train.lora_rank={train.lora_rank} needs peft, which is not installed here",
            f"run `{install_extras('lora')}`, or set train.lora_rank=0",
        )
