"""The model that a training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.encoders import load_encoder, load_masked_lm, load_tokenizer, same_vocabulary, scratch_model
from mlctl.training.job import Job


def initial_network(job: Job) -> Any:
    """Return the model to train: a masked-language model, or without masked-LM loss the encoder alone.

    Raises:
        InputError: the tokenizer that made the shards has more types than the model.
    """
    if not job.model.name:
        scratch = scratch_model(job.model.scratch, job.tokenizer, max_length=0, seed=job.seed)
        return scratch if job.settings.mlm_weight else scratch.base_model
    network = _load(job, model_sources.resolve(job.model))
    types, rows = len(load_tokenizer(job.tokenizer)), network.get_input_embeddings().num_embeddings
    if types > rows:
        raise InputError(
            f"the shards' tokenizer has {types} types, but {job.model.name} has room for {rows}",
            "shard with the tokenizer of the same model: leave model.name as it was, or delete the shard stage's result",
        )
    return network


def with_start_weights(job: Job, network: Any) -> Any:
    """Return the model with the weights to start from: its own, or those of `model.start`.

    Raises:
        InputError: that encoder has another tokenizer than the shards.
    """
    start = model_sources.start_model(job.model)
    if start is None:
        return network
    folder = model_sources.resolve(start, "model.start")
    if not same_vocabulary(folder, job.tokenizer):
        raise InputError(
            f"model.start: {start.name} has another tokenizer than the shards",
            "name an encoder that was trained from the same model",
        )
    return _load(job, folder)


def _load(job: Job, folder: Path) -> Any:
    """Return the model of a folder; a head that is not trained is not loaded, so that none is made where the folder has none."""
    return load_masked_lm(folder, job.seed) if job.settings.mlm_weight else load_encoder(folder)
