"""Fine-tuning on English: trains an encoder with a new head on a benchmark's training set.

Head, order and dropout are pure functions of the seed and the step: a killed training resumes from its checkpoint and, on a CPU,
ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from mlctl.config.evaluate import Protocol
from mlctl.core.workspace import Progress, silent
from mlctl.evaluation.finetuning.features import Batch, Row, autocast, collate
from mlctl.modeling.architectures import Head
from mlctl.modeling.encoders import load_classifier, seeded
from mlctl.modeling.layer_mixture import MIXTURE, mix_layers
from mlctl.modeling.sparse_embeddings import train_embedding_rows
from mlctl.modeling.training_checkpoint import CheckpointFolder

_WEIGHTS = "model.safetensors"
_RESULT = "learned.json"
_BATCHES_SORTED_TOGETHER = 64  # rows of that many batches are sorted by length, which saves padding
_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Budget:
    """Hyperparameters of a fine-tuning.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples a step.
        learning_rate: at the first step; it decays linearly to 0, as XTREME's does.
        max_length: subwords of a row.
        bf16: autocast to it on a CPU, too; a GPU always does.
        gradient_norm: gradients are clipped to it.
        protocol: "checkpoint-average" ends with the mean of the weights after each epoch, the others with one epoch's; with
            "layer-mixture" the head reads a `LayerMixture`, whose learning rate is `mixture_rate` at the first step.
        mixture_rate: see `protocol`. The mixture's few numbers begin equal and would hardly move at the encoder's rate.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    max_length: int = 128
    bf16: bool = False
    gradient_norm: float = 1.0
    protocol: Protocol | None = None
    mixture_rate: float = 1e-2


def fine_tune(
    model: Any,
    rows: Sequence[Row],
    head: Head,
    budget: Budget,
    seed: int,
    scratch: Path,
    padding: int,
    dev_metric: Callable[[Any], float] | None,
    progress: Progress = silent,
) -> dict[str, float]:
    """Train a model with a head, in place; it ends with the weights of the epoch with the best dev metric (the first of equals).

    With the protocol "checkpoint-average" it ends with the mean of the weights after each epoch (Schmidt et al. 2023, arXiv 2305.16834).

    Args:
        model: a transformers model with a head, on the device to train on, that `new_classifier` has made for the budget's protocol.
        rows: the training set.
        head: what the labels of rows are of.
        budget: hyperparameters.
        seed: of order and dropout.
        scratch: folder of this training's checkpoints.
        padding: id of the padding token.
        dev_metric: metric of a model in evaluation mode, higher is better; None: the last epoch's weights are used.
        progress: called after each step.

    Returns:
        `dev`, the metric of these weights, and `epoch`, counted from 1; of averaged weights the last one.
    """
    with train_embedding_rows(model, itertools.chain([padding], *(row.input_ids for row in rows))):
        state = _TrainingState(model, budget, len(rows))
        folder = CheckpointFolder(scratch, _digest(budget, seed, rows), keep=1)
        if (checkpoint := folder.newest()) is not None:
            state.restore(checkpoint.step, checkpoint.tensors)
        last_checkpoint, batches = monotonic(), list[list[Row]]()
        while state.step < state.steps:
            epoch, batch = divmod(state.step, state.steps_per_epoch)
            if batch == 0 or not batches:
                batches = _epoch_batches(rows, budget.batch_size, seed, epoch)
            _train_step(state, collate(batches[batch], padding, head), head, seed)
            end_of_epoch = state.step % state.steps_per_epoch == 0
            if end_of_epoch:
                state.update_best(epoch + 1, dev_metric)
            progress(state.step, state.steps, "steps")
            if end_of_epoch or monotonic() - last_checkpoint > _CHECKPOINT_SECONDS:
                folder.save(state.step, state.tensors(), -state.best)
                last_checkpoint = monotonic()
        state.load_best()
    return {"dev": state.dev(dev_metric), "epoch": state.best_epoch}


def new_classifier(folder: Path, labels: int, head: Head, seed: int, protocol: Protocol | None = None) -> Any:
    """Return an encoder with a new head, as a protocol of fine-tuning wants it; see `load_classifier`."""
    model = load_classifier(folder, labels, head, seed)
    if protocol == "layer-mixture":
        mix_layers(model)
    return model


def save(model: Any, result: Mapping[str, float], folder: Path) -> None:
    """Write a fine-tuned model and the result of `fine_tune` to a folder, for `load`."""
    save_file({name: weight.detach().cpu().contiguous() for name, weight in model.named_parameters()}, folder / _WEIGHTS)
    model.config.save_pretrained(folder)
    (folder / _RESULT).write_text(json.dumps(dict(result)) + "\n", encoding="utf-8")


def load(folder: Path, labels: int, head: Head, device: torch.device, protocol: Protocol | None = None) -> Any:
    """Return a model that `save` wrote, in evaluation mode."""
    model = new_classifier(folder, labels, head, seed=0, protocol=protocol)
    if mixture := getattr(model, MIXTURE, None):
        with safe_open(folder / _WEIGHTS, framework="pt") as weights, torch.no_grad():
            for name, parameter in mixture.named_parameters():
                parameter.copy_(weights.get_tensor(f"{MIXTURE}.{name}"))
    return model.to(device).eval()


class _TrainingState:
    """Weights, optimiser, step and the best epoch."""

    def __init__(self, model: Any, budget: Budget, rows: int) -> None:
        self.model, self.budget = model, budget
        self.steps_per_epoch = -(-rows // budget.batch_size)
        self.steps, self.step = self.steps_per_epoch * budget.epochs, 0
        self.adam = torch.optim.AdamW(_parameter_groups(model, budget), weight_decay=0.0, fused=True)
        self.best, self.best_epoch, self._best_weights = float("-inf"), 0, dict[str, Tensor]()

    def update_best(self, epoch: int, dev_metric: Callable[[Any], float] | None) -> None:
        """Copy the weights if they are better than before; without a dev metric the later ones are. Or add them to the mean."""
        self.model.eval()
        if self.budget.protocol == "checkpoint-average":
            self._add_to_mean(epoch)
            return
        with torch.no_grad():
            value = float(epoch) if dev_metric is None else dev_metric(self.model)
        if value > self.best:
            self.best, self.best_epoch = value, epoch
            self._best_weights = {name: weight.detach().to("cpu", copy=True) for name, weight in self.model.named_parameters()}

    def _add_to_mean(self, epoch: int) -> None:
        """Update the mean of the weights after each epoch, with those of epoch `epoch`."""
        self.best, self.best_epoch = float(epoch), epoch
        for name, weight in self.model.named_parameters():
            new = weight.detach().to("cpu")
            mean = self._best_weights.get(name)
            self._best_weights[name] = new.clone() if mean is None else mean + (new - mean) / epoch

    def load_best(self) -> None:
        """Load the best epoch's weights, or the mean."""
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(self._best_weights[name])
        self.model.eval()

    def dev(self, dev_metric: Callable[[Any], float] | None) -> float:
        """Return the dev metric of the weights that are loaded at the end; of a mean of weights it is not known before."""
        if self.budget.protocol != "checkpoint-average" or dev_metric is None:
            return self.best
        with torch.no_grad():
            return dev_metric(self.model)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors by name."""
        weights = dict(self.model.named_parameters())
        moments = {
            f"adam.{kind}.{name}": value
            for name, weight in weights.items()
            for kind, value in self.adam.state.get(weight, {}).items()
        }
        best = {f"best.{name}": weight for name, weight in self._best_weights.items()}
        figures = torch.tensor([self.best, float(self.best_epoch)], dtype=torch.float64)
        return {**{f"weight.{name}": weight for name, weight in weights.items()}, **moments, **best, "figures": figures}

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` returned after `step` steps."""
        self.step = step
        self.best, self.best_epoch = float(tensors["figures"][0]), int(tensors["figures"][1])
        self._best_weights = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(tensors[f"weight.{name}"])
                kinds = [kind for kind in ("step", "exp_avg", "exp_avg_sq") if f"adam.{kind}.{name}" in tensors]
                if kinds:
                    moments = {kind: tensors[f"adam.{kind}.{name}"] for kind in kinds}
                    self.adam.state[weight] = {kind: value.to(weight.device) for kind, value in moments.items()}


def _parameter_groups(model: Any, budget: Budget) -> list[dict[str, Any]]:
    """Return the parameters with their learning rates at the first step: of the encoder with its head, and of the mixture of layers."""
    mixture = [weight for name, weight in model.named_parameters() if name.startswith(f"{MIXTURE}.")]
    others = [weight for name, weight in model.named_parameters() if not name.startswith(f"{MIXTURE}.")]
    groups = [(others, budget.learning_rate), *([(mixture, budget.mixture_rate)] if mixture else [])]
    return [{"params": weights, "lr": rate, "initial_lr": rate} for weights, rate in groups]


def _train_step(state: _TrainingState, batch: Batch, head: Head, seed: int) -> None:
    device = next(state.model.parameters()).device
    state.model.train()
    ids, mask, types, labels = (column.to(device) for column in batch)
    with seeded(_draw_seed(seed, "step", state.step)), autocast(device, state.budget.bf16):
        gold = {"start_positions": labels[:, 0], "end_positions": labels[:, 1]} if head == "span" else {"labels": labels}
        loss = state.model(input_ids=ids, attention_mask=mask, token_type_ids=types, **gold).loss
    loss.backward()
    clip_grad_norm_(state.model.parameters(), state.budget.gradient_norm)
    for group in state.adam.param_groups:
        group["lr"] = group["initial_lr"] * (1 - state.step / state.steps)
    state.adam.step()
    state.adam.zero_grad(set_to_none=True)
    state.step += 1


def _epoch_batches(rows: Sequence[Row], batch_size: int, seed: int, epoch: int) -> list[list[Row]]:
    """Return the batches of an epoch in random order: shuffled rows, sorted by length among the next batches."""
    generator = torch.Generator().manual_seed(_draw_seed(seed, "epoch", epoch))
    shuffled = torch.randperm(len(rows), generator=generator).tolist()
    batches = []
    for first in range(0, len(shuffled), batch_size * _BATCHES_SORTED_TOGETHER):
        group = shuffled[first : first + batch_size * _BATCHES_SORTED_TOGETHER]
        group.sort(key=lambda index: len(rows[index].input_ids))
        batches += [[rows[index] for index in group[start : start + batch_size]] for start in range(0, len(group), batch_size)]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


def _draw_seed(seed: int, purpose: str, number: int) -> int:
    """Return a seed for one draw. torch's generator on a CPU reads 32 bits of it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()[:4])


def _digest(budget: Budget, seed: int, rows: Sequence[Row]) -> str:
    text = json.dumps([asdict(budget), seed, [list(map(list, row[:3])) for row in rows]])
    return hashlib.sha256(text.encode()).hexdigest()
