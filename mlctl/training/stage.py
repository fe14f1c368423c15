"""The train stage: from shards and settings to a model folder."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mlctl.config import Model, ModelKind, ResolvedTrain, Train, key_settings, resolve_train
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.devices import resolve_devices
from mlctl.modeling.encoders import load_encoder, load_masked_lm, load_tokenizer, same_vocabulary, scratch_model
from mlctl.modeling.model_export import save_model
from mlctl.modeling.model_kind import model_kind
from mlctl.modeling.pooling_choice import PoolingChoice, choose_pooling, read_dev_pairs, search_pooling
from mlctl.modeling.sentence_config import Pooling, describe_pooling, encoder_depth
from mlctl.modeling.sentence_module_layers import load_sentence_modules
from mlctl.modeling.sparse_embeddings import train_embedding_rows
from mlctl.modeling.training_checkpoint import CheckpointFolder
from mlctl.schema import STEPS
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import ShardReader
from mlctl.training.determinism import deterministic
from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.interruption import StopRequest, stopping_on_sigterm
from mlctl.training.launcher import launch
from mlctl.training.loop import TrainingLoop
from mlctl.training.loss_fall import not_fallen
from mlctl.training.masking import MaskingRule
from mlctl.training.multinode import check_size, host_training
from mlctl.training.objective import Objective
from mlctl.training.sampler import Sampler
from mlctl.training.state import TrainingState
from mlctl.training.step_metrics import StepMetrics
from mlctl.training.temperature import learned_temperatures
from mlctl.training.throughput import ThroughputMeter
from mlctl.training.trackers import NO_TRACKERS, Trackers, check, tensorboard, tracking
from mlctl.training.translation_lm import report_joined, translation_lm

#: The pooling of sentence vectors, where it comes from, and the accuracies of a search for it.
POOLING_FILE = "pooling.json"

_log = logging.getLogger(__name__)

Metrics = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Job:
    """A training: settings, model and its kind, seed, input and output, and how sentence vectors are pooled."""

    settings: ResolvedTrain
    model: Model
    kind: ModelKind
    seed: int
    sharded: Path
    workspace: Workspace
    pooling: PoolingChoice

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer that made the shards."""
        return self.sharded / "tokenizer"

    @property
    def source(self) -> Path | None:
        """The folder of the encoder that is trained; None: a model from scratch."""
        return model_sources.resolve(self.model) if self.model.name else None

    @property
    def start(self) -> Path | None:
        """The folder of the encoder whose weights training starts from: that of `model.start`, or `source`."""
        return _start_folder(self.model)

    @property
    def masks(self) -> bool:
        """Whether tokens are masked: then any token of the vocabulary may be read or predicted, else only those of the rows."""
        return self.settings.mlm_weight > 0 or self.settings.contrast_on_masked

    @property
    def speed_file(self) -> Path:
        """Where throughput is written while training."""
        return self.workspace.scratch / "speed.jsonl"

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON, for another process."""
        sections = {"settings": self.settings.model_dump(mode="json"), "model": self.model.model_dump(mode="json")}
        folders = {"sharded": str(self.sharded), "workspace": str(self.workspace.root)}
        return {**sections, **folders, "kind": self.kind, "seed": self.seed, "pooling": self.pooling.as_json()}

    @classmethod
    def from_json(cls, job: dict[str, Any]) -> Job:
        """Read a job that `to_json` returned."""
        settings, model = ResolvedTrain.model_validate(job["settings"]), Model.model_validate(job["model"])
        workspace, pooling = Workspace(Path(job["workspace"])), PoolingChoice.from_json(job["pooling"])
        return cls(settings, model, job["kind"], job["seed"], Path(job["sharded"]), workspace, pooling)


def train(settings: Train, model: Model, seed: int, sharded: Path, workspace: Workspace, progress: Progress = silent) -> Metrics:
    """Train the recipe's encoder on the shards in `sharded` and write it to the workspace.

    Settings that are null get the defaults of its kind of model (`config.train_defaults`).

    Writes `model/` (Hugging Face folder with tokenizer), `base/` (the untrained model, where the recipe names none), `pooling.json`,
    `steps.parquet` (schema STEPS), `settings.json` (the settings without nulls), `speed.jsonl` (pairs and tokens a second) and
    `tensorboard/`; the last two differ from run to run. Resumes from the newest checkpoint in the workspace's scratch folder, if there is one. With several devices, one process is
    started for each.

    Returns:
        steps, loss (mean of the last tenth of the steps), pairs (seen, repeats counted), parameters, rows, device, processes, pooling;
        where temperatures are learned, the last temperature and, of the objective separate, word_temperature; and of a training
        that learned nothing `not_fallen`, a sentence that says so.

    Raises:
        InputError: too few rows for a batch, a model or tokenizer that does not fit, modules that mlctl cannot reproduce, a device that
            does not exist, a loss that is not finite or has risen for good, full memory, a full disk, a process ended by a signal, a
            tracker that is not installed.
        TrainingInterrupted: SIGTERM arrived in a process of the training; its checkpoint is saved.
    """
    check(settings)
    devices, kind = resolve_devices(settings.devices), model_kind(model)
    pooling = _pooling(settings, model, sharded, workspace, devices[0])
    job = Job(resolve_train(settings, kind), model, kind, seed, sharded, workspace, pooling)
    if settings.nodes > 1:
        with host_training(job.to_json(), job.settings, len(devices)) as assignment:
            return launch(job.to_json(), devices, progress, assignment)
    if len(devices) == 1:
        return train_in_process(job, devices[0], SINGLE, progress)
    check_size(len(devices), job.settings)
    return launch(job.to_json(), devices, progress)


def _pooling(settings: Train, model: Model, sharded: Path, workspace: Workspace, device: torch.device) -> PoolingChoice:
    """Return the pooling of sentence vectors: chosen once, then read from the workspace."""
    if not workspace.has(POOLING_FILE):
        folder = _start_folder(model)
        depth = encoder_depth(folder) if folder else model.scratch.layers

        def search(folder: Path) -> tuple[Pooling, Mapping[str, float]]:
            with deterministic(device, settings.threads):
                pad_id = load_tokenizer(sharded / "tokenizer").pad_token_id
                return search_pooling(load_encoder(folder).to(device), pad_id, read_dev_pairs(sharded))

        choice = choose_pooling(settings.layers, folder, depth, search, model.allow_pickle)
        with workspace.part(POOLING_FILE) as path:
            path.write_text(json.dumps(choice.as_json(), indent=1) + "\n", encoding="utf-8")
    choice = PoolingChoice.from_json(json.loads(workspace.path(POOLING_FILE).read_text(encoding="utf-8")))
    _log.info("sentence vectors: %s (%s)", describe_pooling(choice.pooling), choice.reason)
    return choice


def _start_folder(model: Model) -> Path | None:
    """Return the folder of the encoder whose weights training starts from; None: it starts from random ones."""
    if start := model_sources.start_model(model):
        return model_sources.resolve(start, "model.start")
    return model_sources.resolve(model) if model.name else None


def train_in_process(
    job: Job, device: torch.device, group: ProcessGroup, progress: Progress, stop: StopRequest | None = None
) -> Metrics:
    """Train as one process of a group; the main process writes the results. Returns what `train` returns.

    SIGTERM stops the training after a step, unless the caller handles it and passes a `stop` request.
    """
    settings, tokenizer = job.settings, load_tokenizer(job.tokenizer)
    shards = ShardReader(job.sharded, sample_unit=settings.sample_unit)
    with deterministic(device, settings.threads, group.local_size):
        objective = _objective(job, group).to(device)
        batch_of = _batches(job, shards, tokenizer, objective, group)
        with _trainable_embeddings(job, shards, tokenizer, objective):
            checkpoints = CheckpointFolder(
                job.workspace.scratch / "checkpoints", _fingerprint(job, shards), settings.keep_checkpoints
            )
            state = _resume(TrainingState(objective, settings), group, checkpoints)
            _log.info(
                "training on %d × %s with %d rows, from step %d of %d",
                group.size,
                device.type,
                shards.num_rows,
                state.step,
                settings.steps,
            )
            with (
                nullcontext(stop) if stop else stopping_on_sigterm() as request,
                _tracking(job, state) if group.is_main else nullcontext(NO_TRACKERS) as trackers,
            ):
                throughput = ThroughputMeter(job.speed_file)
                args = (checkpoints, throughput, progress, trackers, request)
                TrainingLoop(state, batch_of, settings, job.seed, group, *args).run()
        if group.is_main:
            _write_results(job, state)
    return _metrics(job, state, shards, device, group)


def _batches(job: Job, shards: ShardReader, tokenizer: Any, objective: Objective, group: ProcessGroup) -> Callable[[int], Batch]:
    """Return the function from a step to its batch."""
    settings, device = job.settings, next(objective.parameters()).device
    masking = MaskingRule.from_tokenizer(tokenizer, settings.mlm_probability) if job.masks else None
    tlm = translation_lm(settings, objective.model, tokenizer, masking, job.seed) if masking else None
    if tlm and group.is_main:
        report_joined(tlm, shards)
    collator = Collator(settings, job.seed, tokenizer.pad_token_id, None if tlm else masking, group, tlm)
    language_sampler = shards.language_sampler(settings.language_alpha, job.seed) if settings.language_alpha < 1 else None
    sampler = Sampler(shards.shard_samples, settings.batch_size, job.seed, language_sampler)

    def batch_of(step: int) -> Batch:
        return collator.collate(shards.read(sampler.batch(step)), sampler.position(step)[0], step).to(device)

    return batch_of


def _objective(job: Job, group: ProcessGroup) -> Objective:
    """Return the untrained model with its objective; a model from scratch is saved as the base to compare with."""
    network = _network(job)
    if group.is_main and not job.model.name:
        _write_model(job, "base", network)
    pooling = job.pooling.pooling
    modules = load_sentence_modules(job.start, pooling, network.config.hidden_size)
    return Objective(_start_weights(job, network), job.settings, job.seed, pooling, modules)


def _trainable_embeddings(job: Job, shards: ShardReader, tokenizer: Any, objective: Objective) -> AbstractContextManager[None]:
    """Exclude the embeddings of tokens that no row has from the training, if nothing is masked and they are trained at all."""
    if job.masks or job.settings.frozen_embeddings:
        return nullcontext()
    return train_embedding_rows(objective.model, {tokenizer.pad_token_id, *shards.vocabulary()})


def _resume(state: TrainingState, group: ProcessGroup, checkpoints: CheckpointFolder) -> TrainingState:
    """Restore the newest checkpoint, if there is one."""
    checkpoint = checkpoints.newest() if group.is_main else None
    step = group.broadcast(checkpoint.step if checkpoint else 0)
    if step:
        checkpoint = checkpoint or checkpoints.at(step)
        state.restore(checkpoint.step, checkpoint.tensors)
        _log.info("resuming from step %d", checkpoint.step)
    return state


def _tracking(job: Job, state: TrainingState) -> AbstractContextManager[Trackers]:
    """Return the trackers of the training; they receive the steps before this start that they do not have yet."""
    config = {"train": key_settings(job.settings), "model": {**key_settings(job.model), "name": job.model.name}, "seed": job.seed}
    past = state.history[: state.step].tolist()
    return tracking(job.settings, config, job.workspace.root, job.workspace.scratch, StepMetrics._fields, past)


def _network(job: Job) -> Any:
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


def _start_weights(job: Job, network: Any) -> Any:
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


def _fingerprint(job: Job, shards: ShardReader) -> str:
    """Return a digest of everything that decides about the weights, so that no checkpoint of another training is restored."""
    start = model_sources.start_model(job.model)
    parts = {
        "settings": key_settings(job.settings),
        "model": key_settings(job.model),
        "weights": model_sources.identity(job.model, "weights"),
        "start": model_sources.identity(start, "weights", "model.start") if start else "",
        "seed": job.seed,
        "pooling": job.pooling.as_json(),
        "rows": shards.shard_rows,
        "embeddings": "all" if job.masks else "of the rows",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write_results(job: Job, state: TrainingState) -> None:
    _write_model(job, "model", state.objective.model)
    with job.workspace.part("steps.parquet") as path:
        pq.write_table(_steps_table(state), path, compression="zstd")
    with job.workspace.part("settings.json") as path:
        resolved = {"kind": job.kind, "train": key_settings(job.settings), "seed": job.seed}
        path.write_text(json.dumps(resolved, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with job.workspace.part("speed.jsonl") as path:
        job.speed_file.touch()
        shutil.copyfile(job.speed_file, path)
    if job.workspace.path(tensorboard.FILE).is_file():
        job.workspace.finish(tensorboard.FILE)


def _write_model(job: Job, name: str, network: Any) -> None:
    if not job.workspace.has(name):
        with job.workspace.part(name) as folder:
            save_model(network, job.tokenizer, folder, job.pooling.pooling, job.source, job.start, job.model.allow_pickle)


def _steps_table(state: TrainingState) -> pa.Table:
    """Return the history in schema STEPS; steps count from 1."""
    columns = [pa.array(column, from_pandas=True) for column in state.history.numpy().T]  # NaN becomes null
    return pa.table([pa.array(range(1, state.step + 1)), *columns], names=["step", *StepMetrics._fields]).cast(STEPS)


def _metrics(job: Job, state: TrainingState, shards: ShardReader, device: torch.device, group: ProcessGroup) -> Metrics:
    last_tenth = math.ceil(state.step / 10)
    reason = not_fallen(state.losses, state.contrastive_losses, job.settings)
    if reason and group.is_main:
        _log.warning("THIS TRAINING HAS LEARNED NOTHING: %s", reason)
    temperatures = [log_temperature.exp().item() for log_temperature in learned_temperatures(state.objective.contrastive)]
    return {
        "steps": state.step,
        "loss": float(state.history[-last_tenth:, 0].mean()),
        "pairs": state.step * job.settings.batch_size,
        "parameters": sum(weight.numel() for weight in state.objective.model.parameters()),
        "rows": shards.num_rows,
        "device": device.type,
        "processes": group.size,
        "pooling": describe_pooling(job.pooling.pooling),
        **dict(zip(("temperature", "word_temperature"), temperatures, strict=False)),
        **({"not_fallen": reason} if reason else {}),
    }
