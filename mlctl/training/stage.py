"""The train stage: from shards and settings to a model folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from mlctl.config import Model, Train, key_settings, resolve_train
from mlctl.config.train_checks import check_dev_pairs, check_fsdp, check_interpolation, check_lora
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.modeling.dev_set import read_dev_pairs, read_dev_set
from mlctl.modeling.devices import resolve_devices, warn_of_slow_bf16
from mlctl.modeling.encoders import load_encoder, load_tokenizer
from mlctl.modeling.fully_sharded import full_weights
from mlctl.modeling.lora import merge_lora
from mlctl.modeling.model_export import save_model
from mlctl.modeling.model_kind import model_kind
from mlctl.modeling.pooling_choice import PoolingChoice, choose_pooling, search_pooling
from mlctl.modeling.sentence_config import Pooling, describe_pooling, encoder_depth
from mlctl.modeling.sentence_module_layers import load_sentence_modules
from mlctl.modeling.sparse_embeddings import train_embedding_rows
from mlctl.modeling.training_checkpoint import CheckpointFolder
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import ShardReader
from mlctl.training.determinism import deterministic
from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.group_setup import Ranks, check_size, joined_as_main
from mlctl.training.initial_model import initial_network, with_start_weights
from mlctl.training.interruption import StopRequest, stopping_on_sigterm
from mlctl.training.job import Job, fingerprint, start_folder
from mlctl.training.judge import Judge, open_judge
from mlctl.training.launcher import launch
from mlctl.training.loop import TrainingLoop
from mlctl.training.masking import MaskingRule
from mlctl.training.micro_batching import micro_batch_tokens
from mlctl.training.model_selection import ModelSelection
from mlctl.training.objective import Objective
from mlctl.training.results import Metrics, training_metrics, write_results
from mlctl.training.sampler import Sampler
from mlctl.training.state import TrainingState
from mlctl.training.step_metrics import StepMetrics
from mlctl.training.throughput import ThroughputMeter
from mlctl.training.trackers import NO_TRACKERS, Past, Trackers, check, tracking
from mlctl.training.translation_lm import report_joined, translation_lm
from mlctl.training.weight_interpolation import Interpolation, interpolate

#: The pooling of sentence vectors, where it comes from, and the accuracies of a search for it.
POOLING_FILE = "pooling.json"

_log = logging.getLogger(__name__)


def train(settings: Train, model: Model, seed: int, sharded: Path, workspace: Workspace, progress: Progress = silent) -> Metrics:
    """Train the recipe's encoder on the shards in `sharded` and write it to the workspace.

    Settings that are null get the defaults of its kind of model (`config.train_defaults`).

    Writes `model/` (Hugging Face folder with tokenizer), `base/` (the untrained model, where the recipe names none), `pooling.json`,
    `steps.parquet` (schema STEPS), `judgements.parquet` (JUDGEMENTS), `model_selection.json` (which weights are written),
    `settings.json` (the settings without nulls), `speed.jsonl` (pairs and tokens a second) and `tensorboard/`; the last two differ
    from run to run. Resumes from the newest checkpoint in the workspace's scratch folder, if there is one. With several devices, one
    process is started for each; where RANK and WORLD_SIZE are set, this process trains with the others as the one with rank 0.

    Returns:
        steps, loss (mean of the last tenth of the steps), pairs (seen, repeats counted), parameters, rows, device, processes, pooling;
        where temperatures are learned, the last temperature and, of the objective separate, word_temperature; of a training that
        learned nothing `not_fallen`, a sentence that says so; of one that is judged `written_step`, `dev_before` and `dev_after` (the
        figure before training and of the written weights); and where weights are interpolated, λ as `interpolate`.

    Raises:
        InputError: too few rows for a batch, no dev pairs where the recipe asks for judgements, a model or tokenizer that does not fit,
            modules that mlctl cannot reproduce, a device that does not exist, a loss that is not finite or has risen for good, full
            memory, a full disk, a process ended by a signal, a tracker that is not installed.
        TrainingInterrupted: SIGTERM arrived in a process of the training; its checkpoint is saved.
    """
    check(settings)
    check_lora(settings)
    check_interpolation(settings, model)
    check_dev_pairs(settings, len(read_dev_set(sharded)))
    devices, kind = resolve_devices(settings.devices), model_kind(model)
    warn_of_slow_bf16(settings.precision, devices[0], "train.precision")
    pooling = _pooling(settings, model, sharded, workspace, devices[0])
    resolved = resolve_train(settings, kind)
    check_fsdp(resolved)
    job = Job(resolved, model, kind, seed, sharded, workspace, pooling)
    if ranks := Ranks.from_environment():
        with joined_as_main(job.to_json(), ranks, settings.devices) as member:
            return train_in_process(job, member.device, member.group, progress)
    if len(devices) == settings.nodes == 1:
        return train_in_process(job, devices[0], SINGLE, progress)
    check_size(len(devices), job.settings)
    return launch(job.to_json(), devices, progress, settings.nodes, settings.rendezvous)


def _pooling(settings: Train, model: Model, sharded: Path, workspace: Workspace, device: torch.device) -> PoolingChoice:
    """Return the pooling of sentence vectors: chosen once, then read from the workspace."""
    if not workspace.has(POOLING_FILE):
        folder = start_folder(model)
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


def train_in_process(
    job: Job, device: torch.device, group: ProcessGroup, progress: Progress, stop: StopRequest | None = None
) -> Metrics:
    """Train as one process of a group; the main process writes the results. Returns what `train` returns.

    SIGTERM stops the training after a step, unless the caller handles it and passes a `stop` request.
    """
    settings, tokenizer = job.settings, load_tokenizer(job.tokenizer)
    shards = ShardReader(job.sharded, sample_unit=settings.sample_unit, weight_by=settings.weight_by)
    with deterministic(device, settings.threads, group.local_size):
        objective = _objective(job, device, group)
        judge = open_judge(job.sharded, tokenizer.pad_token_id, settings, job.pooling.pooling, objective.sentence_modules, group)
        batch_of = _batches(job, shards, tokenizer, objective, group)
        with _trainable_embeddings(job, shards, tokenizer, objective):
            checkpoints = CheckpointFolder(
                job.workspace.scratch / "checkpoints", fingerprint(job, shards, judge), settings.keep_checkpoints
            )
            selection = ModelSelection(objective.model, settings, judge)
            state = _resume(TrainingState(objective, settings, selection), group, checkpoints)
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
            selection.load_written_weights(state.step)
        model = _trained_model(job, objective.model, group)
        interpolation = _interpolate(job, model, judge, device)
        if group.is_main:
            _write_model(job, "model", model)
            _write_settings(job)
            write_results(job.workspace, state, settings, interpolation, job.speed_file)
    return {
        **training_metrics(state, settings, interpolation, group),
        "rows": shards.num_rows,
        "device": device.type,
        "processes": group.size,
        "pooling": describe_pooling(job.pooling.pooling),
    }


def _batches(job: Job, shards: ShardReader, tokenizer: Any, objective: Objective, group: ProcessGroup) -> Callable[[int], Batch]:
    """Return the function from a step to its batch."""
    settings, device = job.settings, next(objective.parameters()).device
    masking = MaskingRule.from_tokenizer(tokenizer, settings.mlm_probability) if job.masks else None
    tlm = translation_lm(settings, objective.model, tokenizer, masking, job.seed) if masking else None
    if tlm and group.is_main:
        report_joined(tlm, shards)
    tokens = micro_batch_tokens(settings, objective.model, device)
    collator = Collator(settings, job.seed, tokenizer.pad_token_id, None if tlm else masking, group, tlm, tokens)
    language_sampler = shards.language_sampler(settings.language_alpha, job.seed) if settings.language_alpha < 1 else None
    sampler = Sampler(shards.shard_samples, settings.batch_size, job.seed, language_sampler)

    def batch_of(step: int) -> Batch:
        return collator.collate(shards.read(sampler.batch(step)), sampler.position(step)[0], step).to(device)

    return batch_of


def _objective(job: Job, device: torch.device, group: ProcessGroup) -> Objective:
    """Return the untrained model with its objective on a device; a model from scratch is saved as the base to compare with."""
    network = initial_network(job)
    if group.is_main and not job.model.name:
        _write_model(job, "base", network)
    pooling = job.pooling.pooling
    modules = load_sentence_modules(job.start, pooling, network.config.hidden_size)
    objective = Objective(with_start_weights(job, network), job.settings, job.seed, pooling, modules)
    if _is_sharded(job, group):
        objective.shard(device)
    return objective.to(device)


def _is_sharded(job: Job, group: ProcessGroup) -> bool:
    return job.settings.fsdp and group.size > 1


def _trainable_embeddings(job: Job, shards: ShardReader, tokenizer: Any, objective: Objective) -> AbstractContextManager[None]:
    """Exclude the embeddings of tokens that no row has from the training, if nothing is masked and they are trained at all."""
    if job.masks or job.settings.frozen_embeddings or job.settings.lora_rank or job.settings.fsdp:
        return nullcontext()
    return train_embedding_rows(objective.model, {tokenizer.pad_token_id, *shards.vocabulary()})


def _trained_model(job: Job, model: Any, group: ProcessGroup) -> Any:
    """Return the model to write: with low-rank updates merged, and in the main process with whole weights if they are sharded."""
    if job.settings.lora_rank:
        merge_lora(model)
    if not _is_sharded(job, group):
        return model
    weights = full_weights(model)
    if not group.is_main:
        return model
    network = initial_network(job)
    network.load_state_dict(weights)
    return network


def _interpolate(job: Job, model: Any, judge: Judge | None, device: torch.device) -> Interpolation:
    """Put the weights that are written into the trained model: those of training, or between them and those before it."""
    setting = job.settings.interpolate
    if setting == 1:
        return Interpolation(1.0)
    base = with_start_weights(job, initial_network(job))
    return interpolate(model, base.to(device), setting, judge)


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
    """Return the trackers of the training; they receive the steps before this start that they do not have yet.

    A step that is still to be judged is not finished: it is received after that.
    """
    config = {"train": key_settings(job.settings), "model": {**key_settings(job.model), "name": job.model.name}, "seed": job.seed}
    finished = state.step - 1 if state.selection.is_due(state.step) else state.step
    judgements = {step: state.selection.figures(step) for step in state.selection.judgements}
    past = Past(finished, state.history[: state.step].tolist(), judgements)
    return tracking(job.settings, config, job.workspace.root, job.workspace.scratch, StepMetrics._fields, past)


def _write_settings(job: Job) -> None:
    with job.workspace.part("settings.json") as path:
        resolved = {"kind": job.kind, "train": key_settings(job.settings), "seed": job.seed}
        path.write_text(json.dumps(resolved, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_model(job: Job, name: str, network: Any) -> None:
    if not job.workspace.has(name):
        with job.workspace.part(name) as folder:
            save_model(network, job.tokenizer, folder, job.pooling.pooling, job.source, job.start, job.model.allow_pickle)
