"""The train stage: from shards and settings to a model folder."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mlctl.config import Model, Train, key_settings
from mlctl.core.workspace import Progress, Workspace
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.checkpoint import CheckpointFolder, room_for
from mlctl.modeling.encoders import load_masked_lm, load_tokenizer, same_vocabulary, save_model, scratch_model
from mlctl.modeling.pooling import places_of
from mlctl.modeling.sparse_embeddings import narrowed
from mlctl.schema import STEPS
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Corpus
from mlctl.training.device import devices_of, repeatable
from mlctl.training.distributed import ALONE, Team
from mlctl.training.launcher import launch
from mlctl.training.loop import train_steps
from mlctl.training.masking import MaskingRule
from mlctl.training.multinode import check_size, lead
from mlctl.training.objective import Objective
from mlctl.training.sampler import Sampler
from mlctl.training.state import FIGURES, TrainingState
from mlctl.training.temperature import learned
from mlctl.training.throughput import Speed
from mlctl.training.trackers import NOBODY, Trackers, tracking

_log = logging.getLogger(__name__)

Metrics = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and where to."""

    settings: Train
    model: Model
    seed: int
    sharded: Path
    workspace: Workspace

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer that made the shards."""
        return self.sharded / "tokenizer"

    @property
    def masks(self) -> bool:
        """Tell whether tokens are masked: then any of the vocabulary may be read or predicted, else only what the rows have."""
        return self.settings.mlm_weight > 0 or self.settings.contrast_on_masked

    @property
    def speed_file(self) -> Path:
        """Where speed is noted while training."""
        return self.workspace.scratch / "speed.jsonl"

    def plain(self) -> dict[str, Any]:
        """Return the job as JSON, for another process."""
        sections = {"settings": self.settings.model_dump(mode="json"), "model": self.model.model_dump(mode="json")}
        return {**sections, "seed": self.seed, "sharded": str(self.sharded), "workspace": str(self.workspace.root)}

    @classmethod
    def of_plain(cls, job: dict[str, Any]) -> Job:
        """Read what `plain` returned."""
        settings, model = Train.model_validate(job["settings"]), Model.model_validate(job["model"])
        return cls(settings, model, job["seed"], Path(job["sharded"]), Workspace(Path(job["workspace"])))


def run(settings: Train, model: Model, seed: int, sharded: Path, workspace: Workspace, progress: Progress) -> Metrics:
    """Do what `mlctl.training.train` says."""
    job, devices = Job(settings, model, seed, sharded, workspace), devices_of(settings.devices)
    if settings.nodes > 1:
        with lead(job.plain(), settings, len(devices)) as share:
            return launch(job.plain(), devices, progress, share)
    if len(devices) == 1:
        return work(job, devices[0], ALONE, progress)
    check_size(len(devices), settings)
    return launch(job.plain(), devices, progress)


def work(job: Job, device: torch.device, team: Team, progress: Progress) -> Metrics:
    """Do a process's share of the training; the leading one writes the results and returns what there is to say of them."""
    settings, corpus, tokenizer = job.settings, Corpus(job.sharded), load_tokenizer(job.tokenizer)
    batch_of = _batches(job, corpus, tokenizer, device, team)
    with repeatable(device, settings.threads, team.here):
        objective = _objective(job, team).to(device)
        with _embeddings(job, corpus, tokenizer, objective):
            checkpoints = CheckpointFolder(
                job.workspace.scratch / "checkpoints", _subject(job, corpus), settings.keep_checkpoints
            )
            state = _resumed(TrainingState(objective, settings), team, checkpoints)
            _log.info(
                "training on %d × %s with %d rows, from step %d of %d",
                team.size,
                device.type,
                corpus.size,
                state.step,
                settings.steps,
            )
            with _tracking(job, state) if team.leads else nullcontext(NOBODY) as trackers:
                train_steps(state, batch_of, settings, job.seed, team, checkpoints, Speed(job.speed_file), progress, trackers)
        if team.leads:
            _write_results(job, state)
    return _metrics(job, state, corpus, device, team)


def _batches(job: Job, corpus: Corpus, tokenizer: Any, device: torch.device, team: Team) -> Callable[[int], Batch]:
    """Return the function from a step to its batch."""
    settings = job.settings
    rule = MaskingRule.of(tokenizer, settings.mlm_probability) if job.masks else None
    collator = Collator(settings, job.seed, tokenizer.pad_token_id, rule, team)
    mixture = corpus.mixture(settings.language_alpha, job.seed) if settings.language_alpha < 1 else None
    sampler = Sampler(corpus.shard_rows, settings.batch_size, job.seed, mixture)

    def batch_of(step: int) -> Batch:
        return collator.collate(corpus.rows(sampler.batch(step)), sampler.position(step)[0], step).to(device)

    return batch_of


def _objective(job: Job, team: Team) -> Objective:
    """Return the untrained model with its objective; a new model is written as the base to compare with."""
    network = _network(job)
    if team.leads and not job.model.name:
        _write_model(job, "base", network)
    return Objective(_started(job, network), job.settings, job.seed)


def _embeddings(job: Job, corpus: Corpus, tokenizer: Any, objective: Objective) -> AbstractContextManager[None]:
    """Leave the embeddings that no row has out of the training, where nothing is masked."""
    return nullcontext() if job.masks else narrowed(objective.model, {tokenizer.pad_token_id, *corpus.subwords()})


def _resumed(state: TrainingState, team: Team, checkpoints: CheckpointFolder) -> TrainingState:
    """Return the state to go on from: the newest checkpoint's, or as it is."""
    checkpoint = checkpoints.newest() if team.leads else None
    step = team.agreed(checkpoint.step if checkpoint else 0)
    if step:
        checkpoint = checkpoint or checkpoints.at(step)
        state.restore(checkpoint.step, checkpoint.tensors)
        _log.info("going on from step %d", checkpoint.step)
    return state


def _tracking(job: Job, state: TrainingState) -> AbstractContextManager[Trackers]:
    """Return who follows the training; steps that were done before this start are told where they are not on record."""
    config = {"train": key_settings(job.settings), "model": {**key_settings(job.model), "name": job.model.name}, "seed": job.seed}
    past = state.history[: state.step].tolist()
    return tracking(job.settings, config, job.workspace.root, job.workspace.scratch, FIGURES, past)


def _network(job: Job) -> Any:
    """Return the masked-language model to train.

    Raises:
        InputError: the tokenizer that made the shards has more types than the model.
    """
    if not job.model.name:
        return scratch_model(job.model.scratch, job.tokenizer, max_length=0, seed=job.seed)
    network = load_masked_lm(model_sources.resolve(job.model), job.seed)
    types, room = len(load_tokenizer(job.tokenizer)), network.get_input_embeddings().num_embeddings
    if types > room:
        raise InputError(
            f"the shards' tokenizer has {types} types, but {job.model.name} has room for {room}",
            "shard with the tokenizer of the same model: leave model.name as it was, or delete the shard stage's result",
        )
    return network


def _started(job: Job, network: Any) -> Any:
    """Return the model with the weights to start from: its own, or those of the encoder that the recipe goes on from.

    Raises:
        InputError: that encoder has another tokenizer than the shards.
    """
    start = model_sources.start_of(job.model)
    if start is None:
        return network
    folder = model_sources.resolve(start)
    if not same_vocabulary(folder, job.tokenizer):
        raise InputError(
            f"model.start: {start.name} has another tokenizer than the shards",
            "name an encoder that was trained from the same model",
        )
    return load_masked_lm(folder, job.seed)


def _subject(job: Job, corpus: Corpus) -> str:
    """Return a digest of all that decides about the weights, so that no checkpoint of another training is taken."""
    parts = {
        "settings": key_settings(job.settings),
        "model": key_settings(job.model),
        "weights": model_sources.identity(job.model, "weights"),
        "start": model_sources.identity(start, "weights") if (start := model_sources.start_of(job.model)) else "",
        "seed": job.seed,
        "rows": corpus.shard_rows,
        "embeddings": "all" if job.masks else "of the rows",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write_results(job: Job, state: TrainingState) -> None:
    _write_model(job, "model", state.objective.model)
    with room_for(job.workspace.root), job.workspace.part("steps.parquet") as path:
        pq.write_table(_steps_table(state), path, compression="zstd")
    with room_for(job.workspace.root), job.workspace.part("speed.jsonl") as path:
        job.speed_file.touch()
        shutil.copyfile(job.speed_file, path)


def _write_model(job: Job, name: str, network: Any) -> None:
    if not job.workspace.has(name):
        with room_for(job.workspace.root), job.workspace.part(name) as folder:
            save_model(network, job.tokenizer, folder, places_of(job.settings.layers, network.config.num_hidden_layers))


def _steps_table(state: TrainingState) -> pa.Table:
    """Return the history in schema STEPS; steps count from 1."""
    columns = [pa.array(column, from_pandas=True) for column in state.history.numpy().T]  # NaN becomes null
    return pa.table([pa.array(range(1, state.step + 1)), *columns], names=["step", *FIGURES]).cast(STEPS)


def _metrics(job: Job, state: TrainingState, corpus: Corpus, device: torch.device, team: Team) -> Metrics:
    last = math.ceil(state.step / 10)
    temperatures = [logarithm.exp().item() for logarithm in learned(state.objective.wiring)]
    return {
        "steps": state.step,
        "loss": float(state.history[-last:, 0].mean()),
        "pairs": state.step * job.settings.batch_size,
        "parameters": sum(weight.numel() for weight in state.objective.model.parameters()),
        "rows": corpus.size,
        "device": device.type,
        "processes": team.size,
        **dict(zip(("temperature", "word_temperature"), temperatures, strict=False)),
    }
