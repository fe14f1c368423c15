"""Implementations compared in `benchmarks/training.py` and `benchmarks/gpu.py`: mlctl's step, the authors' step, sentence-transformers' trainer."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from authors import AuthorsStep, head_of, sides_of
from made_shards import MOST, texts
from transformers import BertConfig, BertForMaskedLM

from mlctl.config import Model, ResolvedTrain
from mlctl.core.workspace import Workspace
from mlctl.modeling.encoders import load_tokenizer
from mlctl.training import train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import ShardReader
from mlctl.training.distributed import SINGLE
from mlctl.training.gradient_cache import forward_backward
from mlctl.training.gradient_reducer import GradientReducer
from mlctl.training.masking import MaskingRule
from mlctl.training.micro_batching import micro_batch_tokens
from mlctl.training.objective import Objective
from mlctl.training.optimiser import Optimiser
from mlctl.training.sampler import Sampler

Batches = Callable[[int], Batch]


@dataclass(frozen=True)
class Geometry:
    """Size of an encoder; everything else is BERT's default configuration, including dropout."""

    layers: int
    hidden: int
    types: int = 119_547  # mBERT's

    def model(self, **changes: Any) -> Any:
        """Return a masked-language model of this size with random weights."""
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=self.types,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.hidden // 64,
            intermediate_size=4 * self.hidden,
            **changes,
        )
        return BertForMaskedLM(config)

    def __str__(self) -> str:
        return f"{self.layers} layers × {self.hidden}, {self.types:,} types"


def batches(folder: Path, settings: ResolvedTrain, seed: int = 0, max_tokens: int | None = None) -> Batches:
    """Return the function from a step to its batch, as in training from shards; `max_tokens` at once, None: as on a CPU."""
    tokenizer, shards = load_tokenizer(folder / "tokenizer"), ShardReader(folder)
    rule = MaskingRule.from_tokenizer(tokenizer, settings.mlm_probability) if settings.mlm_weight else None
    collator = Collator(settings, seed, tokenizer.pad_token_id, rule, max_tokens=max_tokens)
    sampler = Sampler(shards.shard_rows, settings.batch_size, seed)

    def batch_of(step: int) -> Batch:
        return collator.collate(shards.read(sampler.batch(step)), sampler.position(step)[0])

    return batch_of


class Ours:
    """mlctl's step, from reading the rows to the updated weights. (Training prepares the next batch in parallel; here it is timed.)"""

    def __init__(self, model: Any, settings: ResolvedTrain, folder: Path, device: torch.device) -> None:
        self.objective = Objective(model, settings, seed=0).to(device).train()
        self._optimiser, self._reducer = Optimiser(self.objective.parameters(), settings), GradientReducer((), (), SINGLE)
        self._batches = batches(folder, settings, max_tokens=micro_batch_tokens(settings, model, device))
        self._settings, self._device = settings, device

    def __call__(self, number: int) -> int:
        """Run a step; return its number of tokens without padding."""
        return self.step(self.batch(number), number)

    def batch(self, number: int) -> Batch:
        """Return the batch of a step, in main memory."""
        return self._batches(number)

    def step(self, batch: Batch, number: int) -> int:
        """Run a step on a batch; return its number of tokens without padding."""
        batch = batch.to(self._device)
        forward_backward(self.objective, batch, SINGLE, self._settings.cache_gradients, self._reducer)
        norm = self._optimiser.clip_gradients()
        self._optimiser.step(number, norm)
        self._optimiser.zero_grad()
        return batch.tokens


class Authors:
    """The authors' step on the same rows, word pairs and masks; converting them to its layout is not timed."""

    def __init__(self, model: Any, settings: ResolvedTrain, folder: Path, device: torch.device) -> None:
        objective = Objective(model, settings, seed=0).to(device)
        self._step = AuthorsStep(
            model, head_of(objective.contrastive.projection), settings.loss, words=settings.objective == "joint"
        )
        self._adam = torch.optim.Adam(objective.parameters(), lr=settings.learning_rate)
        self._batches, self._device, self._laid = batches(folder, settings), device, {}

    def prepare(self, number: int) -> None:
        batch = self._batches(number)
        sides = sides_of(batch, padding=0)
        moved = [type(side)(**{name: value.to(self._device) for name, value in vars(side).items()}) for side in sides]
        self._laid = {number: (tuple(moved), batch.tokens)}

    def __call__(self, number: int) -> int:
        sides, tokens = self._laid[number]
        loss = self._step(sides)
        loss.backward()
        self._adam.step()
        self._adam.zero_grad()
        assert torch.isfinite(loss)
        return int(tokens)


def our_trainer(model: Path, shards: Path, settings: ResolvedTrain) -> list[float]:
    """Train with mlctl's trainer and return the seconds of each step except the first."""
    ends: list[float] = []

    def tick(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        del total, unit, figures  # a GPU reports several steps at once
        now, first = time.perf_counter(), ends[-1] if ends else None
        steps = done - len(ends)
        ends.extend(now if first is None else first + (now - first) * step / steps for step in range(1, steps + 1))

    with tempfile.TemporaryDirectory() as place:
        train(settings, Model(name=str(model)), 0, shards, Workspace(Path(place)), tick)
    return between(ends)


def their_trainer(
    model: Path, shards: Path, settings: ResolvedTrain, device: torch.device, mini_batch_size: int | None = None
) -> list[float]:
    """Train with sentence-transformers' trainer, mean pooling, no projection head; return the seconds of each step except the first.

    The loss is MultipleNegativesRankingLoss, or with `mini_batch_size` its cached version (GradCache).
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    encoder = Transformer(str(model), max_seq_length=MOST)
    peer = SentenceTransformer(modules=[encoder, Pooling(encoder.get_embedding_dimension())], device=device.type)
    rows = list(texts(shards, settings.steps * settings.batch_size))
    data = Dataset.from_dict({"anchor": [source for source, _ in rows], "positive": [target for _, target in rows]})
    options: dict[str, Any] = {"directions": ("query_to_doc", "query_to_query"), "partition_mode": "joint"}
    cached = mini_batch_size is not None
    loss_class = CachedMultipleNegativesRankingLoss if cached else MultipleNegativesRankingLoss
    if cached:
        options["mini_batch_size"] = mini_batch_size
    loss = loss_class(peer, scale=1 / settings.temperature, **options)
    with tempfile.TemporaryDirectory() as place:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=place,
            per_device_train_batch_size=settings.batch_size,
            max_steps=settings.steps,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            bf16=settings.precision == "bf16",
            use_cpu=device.type == "cpu",
            save_strategy="no",
            report_to="none",
            logging_strategy="no",
            disable_tqdm=True,
        )
        SentenceTransformerTrainer(model=peer, args=arguments, train_dataset=data, loss=loss, callbacks=[Clock()]).train()
    return between(ends)


def between(ends: Sequence[float]) -> list[float]:
    return [later - sooner for sooner, later in itertools.pairwise(ends)]


def peak_mb() -> float:
    """Return the peak resident memory of this process; Linux only."""
    status = Path(f"/proc/{os.getpid()}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
