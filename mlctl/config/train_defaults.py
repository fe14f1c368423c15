"""Settings of `train` that are null in a recipe: their values for each kind of model, in one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from mlctl.config.train import AnchorSide, Decay, LossName, ObjectiveName, Projection, Train

#: scratch: random weights. masked-lm: an encoder with its masked-LM head, such as BERT or XLM-RoBERTa. sentence-encoder: an encoder
#: that was trained for sentence embeddings (E5, LaBSE), or that has no masked-LM head.
ModelKind = Literal["scratch", "masked-lm", "sentence-encoder"]

#: The value of each setting that is null, by kind of model. When you change one, increase the version of the stage `train`: keys hold
#: the null and the kind. Sources: `scratch` and `sentence-encoder` are what the recipes demo and refine were tuned to (docs/results.md);
#: `masked-lm` has the rate of word realignment in arXiv 2306.02790 and BERT's warm-up and decay (arXiv 1810.04805).
DEFAULTS: Mapping[ModelKind, Mapping[str, Any]] = {
    "scratch": {
        "objective": "separate",
        "loss": "cz-nce",
        "projection": "mlp",
        "word_pairs": 3,
        "temperature": 0.07,
        "anchor_weight": 0.0,
        "anchor_side": "both",
        "mlm_weight": 0.1,
        "steps": 2000,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "lr_schedule": "linear",
    },
    "masked-lm": {
        "objective": "separate",
        "loss": "cz-nce",
        "projection": "mlp",
        "word_pairs": 3,
        "temperature": 0.07,
        "anchor_weight": 0.0,
        "anchor_side": "both",
        "mlm_weight": 0.1,
        "steps": 10000,
        "batch_size": 64,
        "learning_rate": 2e-5,
        "lr_schedule": "linear",
    },
    "sentence-encoder": {
        "objective": "separate",
        "loss": "info-nce",
        "projection": "none",
        "word_pairs": 16,
        "temperature": 0.03,
        "anchor_weight": 3.0,
        "anchor_side": "source",
        "mlm_weight": 0.0,
        "steps": 900,
        "batch_size": 32,
        "learning_rate": 3e-5,
        "lr_schedule": "linear",
    },
}
_WARMUP_SHARE = 10  # a tenth of the steps, for every kind

#: Dev pairs that are used at most, of all languages together: by the search for a pooling, and by each judgement of a training.
MAX_DEV_PAIRS = 512

_JUDGEMENTS = 10  # of a training, for every kind, unless they take more than this share of its time
_JUDGEMENT_SHARE = 0.05
_PASSES = 3  # a training step takes as long as so many encoder passes: forward, and backward twice that

#: Names of the settings that default by kind of model.
BY_KIND = (*DEFAULTS["scratch"], "warmup_steps", "judge_every")


class ResolvedTrain(Train):
    """The section `train` without nulls in the settings that default by kind of model."""

    objective: ObjectiveName
    loss: LossName
    projection: Projection
    word_pairs: int
    temperature: float
    anchor_weight: float
    anchor_side: AnchorSide
    mlm_weight: float
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    lr_schedule: Decay
    judge_every: int


def resolve_train(settings: Train, kind: ModelKind) -> ResolvedTrain:
    """Return the settings with the defaults of a kind of model where they are null."""
    values = settings.model_dump()
    if settings.sample_unit == "word-pair":
        values["word_pairs"] = 1
    if settings.objective == "words" and settings.projection is None:
        values["projection"] = "none"
    values |= {name: default for name, default in DEFAULTS[kind].items() if values[name] is None}
    if values["warmup_steps"] is None:
        values["warmup_steps"] = values["steps"] // _WARMUP_SHARE
    if values["judge_every"] is None:
        values["judge_every"] = _judge_every(values["steps"], values["batch_size"])
    return ResolvedTrain.model_validate(values)


def _judge_every(steps: int, batch_size: int) -> int:
    """Return a tenth of the steps, or more, so that a judgement takes at most a twentieth of the time of the steps before it."""
    affordable = MAX_DEV_PAIRS / (_PASSES * batch_size * _JUDGEMENT_SHARE)
    return min(steps, math.ceil(max(steps / _JUDGEMENTS, affordable)))
