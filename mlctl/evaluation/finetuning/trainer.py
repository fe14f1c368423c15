"""Fine-tuning on English: an encoder with a new head learns a benchmark's training set.

What is drawn (the head, the order, dropout) is a pure function of the seed and the step: a training that was killed goes on from its
checkpoint and, on a CPU, ends with the same bytes.
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
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from mlctl.core.workspace import Progress, silent
from mlctl.evaluation.finetuning.features import Batch, Row, autocast, laid
from mlctl.modeling.checkpoint import CheckpointFolder, explain_disk_full
from mlctl.modeling.encoders import load_classifier, seeded
from mlctl.modeling.sparse_embeddings import train_embedding_rows

_WEIGHTS = "model.safetensors"
_CHUNK = 64  # batches among which rows of like length are put together
_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Budget:
    """How long and how fast is learned.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples a step.
        learning_rate: at the first step; it falls to 0 in a straight line, as XTREME's does.
        max_length: subwords of a row.
        bf16: autocast to it on a CPU, too; a GPU does always.
        gradient_norm: gradients are scaled down to it.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    max_length: int = 128
    bf16: bool = False
    gradient_norm: float = 1.0


def fine_tune(
    model: Any,
    rows: Sequence[Row],
    tagged: bool,
    budget: Budget,
    seed: int,
    scratch: Path,
    padding: int,
    judge: Callable[[Any], float] | None,
    progress: Progress = silent,
) -> dict[str, float]:
    """Train a model with a head, in place; it ends with the weights of the epoch that `judge` finds best (of equals the first), or of the last.

    Args:
        model: a transformers model that takes `labels` and returns a loss, on the device to train on.
        rows: the training set.
        tagged: whether rows have a label a subword.
        budget: how long and how fast.
        seed: of order and dropout.
        scratch: folder of this training's checkpoints.
        padding: id of the padding token.
        judge: the figure on dev of a model in evaluation mode, more is better; None: there is no dev set.
        progress: told after each step.

    Returns:
        `dev`, its figure, and `epoch`, counted from 1.
    """
    with train_embedding_rows(model, itertools.chain([padding], *(row.ids for row in rows))):
        state = _State(model, budget, len(rows))
        folder = CheckpointFolder(scratch, _subject(budget, seed, rows), keep=1)
        if (found := folder.newest()) is not None:
            state.restore(found.step, found.tensors)
        said, order = monotonic(), list[list[Row]]()
        while state.step < state.steps:
            epoch, place = divmod(state.step, state.a_epoch)
            if place == 0 or not order:
                order = _order(rows, budget.batch_size, seed, epoch)
            _learn(state, laid(order[place], padding, tagged), seed)
            if state.step % state.a_epoch == 0:
                state.judged(epoch + 1, judge)
            progress(state.step, state.steps, "steps")
            if monotonic() - said > _CHECKPOINT_SECONDS or (state.step % state.a_epoch == 0):
                folder.save(state.step, state.tensors(), -state.best)
                said = monotonic()
        state.take_best()
    return {"dev": state.best, "epoch": state.best_epoch}


def save(model: Any, figures: Mapping[str, float], folder: Path) -> None:
    """Write a fine-tuned model and how it came out into a folder, for `saved`."""
    with explain_disk_full(folder):
        save_file({name: weight.detach().cpu().contiguous() for name, weight in model.named_parameters()}, folder / _WEIGHTS)
    model.config.save_pretrained(folder)
    (folder / "learned.json").write_text(json.dumps(dict(figures)) + "\n", encoding="utf-8")


def saved(folder: Path, labels: int, tagged: bool, device: torch.device) -> Any:
    """Return a model that `save` wrote, ready to answer."""
    return load_classifier(folder, labels, tagged, seed=0).to(device).eval()


class _State:
    """What changes while learning."""

    def __init__(self, model: Any, budget: Budget, rows: int) -> None:
        self.model, self.budget = model, budget
        self.a_epoch = -(-rows // budget.batch_size)
        self.steps, self.step = self.a_epoch * budget.epochs, 0
        self.adam = torch.optim.AdamW(model.parameters(), lr=budget.learning_rate, weight_decay=0.0, fused=True)
        self.best, self.best_epoch, self._kept = float("-inf"), 0, dict[str, Tensor]()

    def judged(self, epoch: int, judge: Callable[[Any], float] | None) -> None:
        """Keep the weights where they are better than before; without a judge the later ones are."""
        self.model.eval()
        with torch.no_grad():
            figure = float(epoch) if judge is None else judge(self.model)
        if figure > self.best:
            self.best, self.best_epoch = figure, epoch
            self._kept = {name: weight.detach().to("cpu", copy=True) for name, weight in self.model.named_parameters()}

    def take_best(self) -> None:
        """Go back to the best epoch's weights."""
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(self._kept[name])
        self.model.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Return all as tensors by name."""
        weights = dict(self.model.named_parameters())
        moments = {
            f"adam.{kind}.{name}": value
            for name, weight in weights.items()
            for kind, value in self.adam.state.get(weight, {}).items()
        }
        best = {f"best.{name}": weight for name, weight in self._kept.items()}
        figures = torch.tensor([self.best, float(self.best_epoch)], dtype=torch.float64)
        return {**{f"weight.{name}": weight for name, weight in weights.items()}, **moments, **best, "figures": figures}

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned after `step` steps."""
        self.step = step
        self.best, self.best_epoch = float(tensors["figures"][0]), int(tensors["figures"][1])
        self._kept = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(tensors[f"weight.{name}"])
                kinds = [kind for kind in ("step", "exp_avg", "exp_avg_sq") if f"adam.{kind}.{name}" in tensors]
                if kinds:
                    moments = {kind: tensors[f"adam.{kind}.{name}"] for kind in kinds}
                    self.adam.state[weight] = {kind: value.to(weight.device) for kind, value in moments.items()}


def _learn(state: _State, batch: Batch, seed: int) -> None:
    """Take one step."""
    device = next(state.model.parameters()).device
    state.model.train()
    ids, there, kinds, labels = (column.to(device) for column in batch)
    with seeded(_key(seed, "step", state.step)), autocast(device, state.budget.bf16):
        loss = state.model(input_ids=ids, attention_mask=there, token_type_ids=kinds, labels=labels).loss
    loss.backward()
    clip_grad_norm_(state.model.parameters(), state.budget.gradient_norm)
    for group in state.adam.param_groups:
        group["lr"] = state.budget.learning_rate * (1 - state.step / state.steps)
    state.adam.step()
    state.adam.zero_grad(set_to_none=True)
    state.step += 1


def _order(rows: Sequence[Row], size: int, seed: int, epoch: int) -> list[list[Row]]:
    """Return the batches of an epoch: rows at random, those of like length together among the next batches, batches at random."""
    draw = torch.Generator().manual_seed(_key(seed, "epoch", epoch))
    mixed = torch.randperm(len(rows), generator=draw).tolist()
    batches = []
    for first in range(0, len(mixed), size * _CHUNK):
        some = sorted(mixed[first : first + size * _CHUNK], key=lambda place: len(rows[place].ids))
        batches += [[rows[place] for place in some[a : a + size]] for a in range(0, len(some), size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=draw).tolist()]


def _key(seed: int, purpose: str, number: int) -> int:
    """Return a seed for one draw. torch's generator on a CPU reads 32 bits of it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()[:4])


def _subject(budget: Budget, seed: int, rows: Sequence[Row]) -> str:
    text = json.dumps([asdict(budget), seed, [list(map(list, row[:3])) for row in rows]])
    return hashlib.sha256(text.encode()).hexdigest()
