"""Training speed against the authors' step, sentence-transformers' trainer and torch.compile; loader speed, memory, share of a GPU's peak.

    python benchmarks/training.py [--quick] [--only TABLE …] [--device cpu|cuda] [--folder FOLDER]

Encoders have BERT's geometry, mBERT's vocabulary and random weights; shards are generated with the lengths of real text (made_shards.py;
10 million pairs need 2 GB in FOLDER, a temporary one). The implementations alternate in one process, so that other load affects all of
them; ratios are medians over the rounds. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import itertools
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `mlctl` sets it; must precede the import of torch

import torch
import transformers
from authors import AuthorsStep, gradient_error, gradients, head_of, sides_of
from contenders import Authors, Geometry, Ours, batches, our_trainer, peak_mb, their_trainer
from made_shards import SHARD_ROWS, write_shards
from operations import operations

from mlctl.config import Model, ResolvedTrain, ScratchModel, Train, resolve_train
from mlctl.core.workspace import Workspace
from mlctl.modeling.model_export import save_model
from mlctl.modeling.sentence_config import Pooling
from mlctl.training import train
from mlctl.training.collator import Batch
from mlctl.training.determinism import deterministic
from mlctl.training.objective import Objective

TABLES = ("authors", "sentence-transformers", "compile", "loader", "gradients", "memory", "mfu")
BASE = Geometry(12, 768)
MFU_BATCHES = (64, 512, 4096)
LOSSES: tuple[Literal["cz-nce", "info-nce"], ...] = ("cz-nce", "info-nce")


@dataclass(frozen=True)
class Plan:
    """Amount of work of each measurement."""

    turns: int  # rounds of mlctl's and the authors' step
    batch: int  # pairs per batch: the authors' step holds four passes of 128 subwords, and logits for all of them, in memory
    trainer_batch: int
    trainer_steps: int
    trainer_turns: int
    loader_steps: int
    pairs: tuple[int, int]  # corpus sizes of the memory comparison
    shard_rows: int  # rows per shard of these corpora
    memory_steps: int

    @classmethod
    def of(cls, quick: bool, device: torch.device) -> Plan:
        gpu = device.type == "cuda"
        if quick:
            return cls(5 if gpu else 2, 64 if gpu else 8, 32, 3, 2, 200, (10_000, 1_000_000), 1024, 40)
        return cls(20 if gpu else 9, 64 if gpu else 8, 64, 20 if gpu else 8, 3, 1000, (100_000, 10_000_000), SHARD_ROWS, 500)


@dataclass(frozen=True)
class Bench:
    """Common inputs of all tables."""

    plan: Plan
    device: torch.device
    scratch: Path
    shards: Path

    def settings(self, **changes: Any) -> ResolvedTrain:
        """Return the fastest settings equal to the authors' step: the contrastive loss sees the masked tokens, so one pass is enough."""
        theirs = {"objective": "joint", "word_pairs": 1, "contrast_on_masked": True}
        fixed = {**theirs, "precision": "bf16", "devices": self.device.type}
        values = {**fixed, "batch_size": self.plan.batch, **changes}
        return resolve_train(Train.model_validate(values), "masked-lm")

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start


# --- comparison of steps ------------------------------------------------------------------------------------------------------


def versus_authors(bench: Bench) -> tuple[float, float]:
    """Return the speedup of mlctl's step over the authors', and its pairs per second."""
    print(f"\nOne training step: {BASE}, {bench.plan.batch} pairs, sentence and word, CZ-NCE and masked LM, {bench.device.type}")
    fast, plain = bench.settings(), bench.settings(precision="fp32")
    model = BASE.model().to(bench.device)
    authors = Authors(model, plain, bench.shards, bench.device)
    steps: dict[str, Callable[[int], int]] = {
        "authors' step, fp32, padded to 128": authors,
        "ours, fp32": Ours(model, plain, bench.shards, bench.device),
        "ours, bf16": Ours(model, fast, bench.shards, bench.device),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    with deterministic(bench.device, threads=0):
        for number in range(bench.plan.turns + 1):
            authors.prepare(number)
            for name, step in steps.items():
                taken[name].append(bench.seconds(partial(step, number)))
    first, *_ = ladder = {name: seconds[1:] for name, seconds in taken.items()}  # the first round is warm-up
    ratios = {name: times(ladder[first], seconds) for name, seconds in ladder.items()}
    rows = [[name, f"{bench.plan.batch / median(ladder[name]):.2f}", f"×{ratios[name]:.1f}"] for name in ladder]
    table(["", "pairs/s", "median of turns"], rows)
    best = ladder["ours, bf16"]
    return ratios["ours, bf16"], bench.plan.batch * len(best) / sum(best)


def versus_trainer(bench: Bench) -> float | None:
    """Return the speedup over sentence-transformers' trainer on the sentence-only InfoNCE ablation."""
    if missing := [name for name in ("sentence_transformers", "accelerate") if not importlib.util.find_spec(name)]:
        print(f"\nsentence-transformers' trainer is skipped: {', '.join(missing)} is not installed (make test installs it)")
        return None
    steps, batch = bench.plan.trainer_steps, bench.plan.trainer_batch
    print(f"\nTrainers, sentences only, InfoNCE: {BASE}, {batch} pairs per step, bf16, {bench.device.type}")
    settings = bench.settings(
        objective="sentence", loss="info-nce", mlm_weight=0, contrast_on_masked=False, batch_size=batch, steps=steps
    )
    settings = settings.model_copy(update={"trackers": (), "checkpoint_seconds": 1e9})
    shards = write_shards(bench.scratch / "few", steps * batch, BASE.types)
    save_model(BASE.model(), shards / "tokenizer", bench.scratch / "model", Pooling((1, BASE.layers)))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(bench.plan.trainer_turns):
        with contextlib.redirect_stdout(io.StringIO()):
            theirs += their_trainer(bench.scratch / "model", shards, settings, bench.device)
        ours += our_trainer(bench.scratch / "model", shards, settings)
    ratio = statistics.fmean(theirs) / statistics.fmean(ours)  # both have seen the same pairs, in different order
    rows = [
        ["sentence-transformers", f"{batch / statistics.fmean(theirs):.2f}", "×1.0"],
        ["mlctl", f"{batch / statistics.fmean(ours):.2f}", f"×{ratio:.2f}"],
    ]
    table(["", "pairs/s", ""], rows)
    return ratio


def versus_compiled(bench: Bench) -> None:
    """Print the effect of torch.compile on mlctl's step; lengths vary, so shapes are dynamic."""
    print(f"\nmlctl's step with compiled layers (train.compile): {BASE}, {bench.plan.batch} pairs, bf16")
    plain, compiled = (Ours(BASE.model(), bench.settings(compile=value), bench.shards, bench.device) for value in (False, True))
    with deterministic(bench.device, threads=0):
        first = [bench.seconds(partial(step, 0)) for step in (plain, compiled)]
        for warm in range(1, 3):
            compiled(warm)
        taken = [
            [bench.seconds(partial(step, number)) for step in (plain, compiled)] for number in range(3, 3 + bench.plan.turns)
        ]
    eager, other = (list(column) for column in zip(*taken, strict=True))
    rows = [
        ["eager", f"{bench.plan.batch / median(eager):.2f}", "×1.00", f"{first[0]:.0f}"],
        ["compiled", f"{bench.plan.batch / median(other):.2f}", f"×{times(eager, other):.2f}", f"{first[1]:.0f}"],
    ]
    table(["", "pairs/s", "median of turns", "first step, s"], rows)


# --- the loader, the gradients, memory ---------------------------------------------------------------------------------------


def loader(bench: Bench) -> float:
    """Return the pairs per second that one thread reads, samples word pairs from, masks and collates."""
    batch_of = batches(bench.shards, bench.settings(batch_size=64))
    batch_of(0)
    seconds = bench.seconds(lambda: [batch_of(number) for number in range(1, bench.plan.loader_steps + 1)])
    return 64 * bench.plan.loader_steps / seconds


def worst_gradient(bench: Bench) -> float:
    """Return the largest relative error of a weight's gradient against the authors' step, in fp32, without dropout."""
    geometry = Geometry(3, 64, types=2000)
    print(f"\nGradients of mlctl's step against the authors', largest relative error: {geometry}")
    shards, rows, errors = write_shards(bench.scratch / "tiny", 1000, geometry.types), [], []
    for loss, words in itertools.product(LOSSES, (True, False)):
        settings = bench.settings(loss=loss, objective="joint" if words else "sentence", precision="fp32", batch_size=16)
        laid = settings.model_copy(update={"objective": "joint"})  # one word pair per row, also for the sentence-only loss
        model = geometry.model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.1)
        objective, batch = Objective(model, settings, seed=0).train(), batches(shards, laid)(0)
        errors.append(error_of(objective, batch, settings))
        exact = error_of(objective.double(), batch, settings)
        rows.append([f"{loss}, {'sentence and word' if words else 'sentence'}", f"{errors[-1]:.1e}", f"{exact:.1e}"])
    table(["", "fp32", "float64"], rows)
    return max(errors)


def error_of(objective: Objective, batch: Batch, settings: Train) -> float:
    objective(batch).total.backward()
    ours = gradients(objective)
    step = AuthorsStep(objective.model, head_of(objective.contrastive.projection), settings.loss, settings.objective == "joint")
    step(sides_of(batch, padding=0)).backward()
    return gradient_error(ours, gradients(objective))


def memory(bench: Bench) -> None:
    """Print the peak memory of training with few and with many pairs, each in a new process."""
    steps = bench.plan.memory_steps
    print(f"\nMemory of training, {steps} steps of 512 pairs, a tiny encoder, separate processes")
    rows = []
    for pairs in bench.plan.pairs:
        shards = write_shards(bench.scratch / f"pairs-{pairs}", pairs, types=2000, shard_rows=bench.plan.shard_rows)
        command = [sys.executable, __file__, "--peak", str(shards), "--steps", str(steps)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows.append([f"{pairs:,} pairs", str(len(list((shards / "train").iterdir()))), f"{peak:,.0f}"])
    table(["", "shards", "peak, MB"], rows)


def train_and_tell(shards: Path, steps: int) -> None:
    """Train a tiny encoder and print the peak memory in MB."""
    tiny = Model(scratch=ScratchModel(layers=1, hidden=32, heads=2, feed_forward=64))
    settings = Train(
        objective="separate",
        steps=steps,
        batch_size=512,
        devices="cpu",
        trackers=(),
        mlm_weight=0,
        max_loss_rise=1000,
    )
    with tempfile.TemporaryDirectory() as place:
        train(settings, tiny, 0, shards, Workspace(Path(place)))
    print(peak_mb())


# --- share of a GPU's peak ---------------------------------------------------------------------------------------------------


def matmul_peak(bench: Bench, size: int) -> float:
    """Return the floating-point operations per second of the fastest bf16 matmul."""
    a, b = (torch.randn(size, size, dtype=torch.bfloat16, device=bench.device) for _ in range(2))
    seconds = min(bench.seconds(lambda: [a @ b for _ in range(10)]) for _ in range(10))
    return 10 * 2 * size**3 / seconds


def mfu(bench: Bench, sizes: Sequence[int] = MFU_BATCHES, geometry: Geometry = BASE, matmul: int = 16_384) -> float:
    """Return the share of the matmul peak that steps reach: the minimum over all batch sizes that fit."""
    peak = matmul_peak(bench, matmul)
    print(f"\nShare of the measured bf16 matmul peak, {peak / 1e12:.0f} TFLOP/s: {geometry}")
    shares, rows = [], []
    for size in sizes:
        settings = bench.settings(batch_size=size, cache_gradients=size > 1024)
        step, batch_of = Ours(geometry.model(), settings, bench.shards, bench.device), batches(bench.shards, settings)
        step(0)
        turns = range(1, 1 + max(3, 2048 // size))
        seconds = sum(bench.seconds(partial(step, number)) for number in turns)
        needed = sum(operations(batch_of(number), settings, geometry) for number in turns)
        shares.append(needed / seconds / peak)
        rows.append([str(size), f"{size * len(turns) / seconds:,.0f}", f"{shares[-1]:.1%}"])
    table(["batch", "pairs/s", "share"], rows)
    return min(shares)


# --- all tables ---------------------------------------------------------------------------------------------------------------


def median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds)


def times(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median speedup over the rounds."""
    return median([one / other for one, other in zip(slow, fast, strict=True)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print(
            "  ".join(
                cell.ljust(width) if not place else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    print(flush=True)


def measured(bench: Bench, only: Sequence[str]) -> Mapping[str, float | None]:
    """Print the requested tables and return their figures; the others are null."""
    speedup, eaten = versus_authors(bench) if "authors" in only else (None, None)
    trainer = versus_trainer(bench) if "sentence-transformers" in only else None
    if "compile" in only:
        versus_compiled(bench)
    read = loader(bench) if "loader" in only else None
    if read:
        rows = [["loader only, one thread", f"{read:,.0f}"], *([["consumed by training", f"{eaten:,.1f}"]] if eaten else [])]
        table(["", "pairs/s"], rows)
    error = worst_gradient(bench) if "gradients" in only else None
    if "memory" in only:
        memory(bench)
    return {
        "speedup_over_authors": rounded(speedup),
        "speedup_over_sentence_transformers": rounded(trainer),
        "gradient_error": error,
        "loader_over_training": rounded(read / eaten) if read and eaten else None,
        "mfu": rounded(mfu(bench), 3) if "mfu" in only and bench.device.type == "cuda" else None,
    }


def rounded(value: float | None, places: int = 2) -> float | None:
    return None if value is None else round(value, places)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps and pairs")
    parser.add_argument(
        "--only", nargs="+", choices=TABLES, default=TABLES, help="print only these tables; figures of the others are null"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--folder", type=Path, help="folder for the shards; they are removed at the end")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)  # used by the child process
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    logging.basicConfig(level=logging.WARNING)
    if arguments.peak:
        train_and_tell(arguments.peak, arguments.steps)
        return
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        scratch = Path(place)
        shards = write_shards(scratch / "shards", 20_000 if arguments.quick else 100_000, BASE.types)
        print(json.dumps(measured(Bench(Plan.of(arguments.quick, device), device, scratch, shards), arguments.only)))


if __name__ == "__main__":
    main()
