"""Training speed on a device: mlctl's step and training, the authors' step, sentence-transformers' trainer, and the loader."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from contenders import Authors, Ours, batches, our_trainer, their_trainer
from gpu_runner import Figures, Measurement, SkippedError
from gpu_setup import PEAK_FLOPS, Bench
from operations import operations

from mlctl.config import ResolvedTrain
from mlctl.training.collator import Batch
from mlctl.training.determinism import deterministic

STEP, AUTHORS, TRAINERS, LOADER = "training step", "against the authors' step", "against sentence-transformers", "loader"
_PREPARED = 4  # batches that a step is repeated on
_PEERS = ("sentence_transformers", "accelerate", "datasets")
#: Equal to the authors' step: one term on [sentence ; word], and the contrastive loss sees the masked tokens.
_THEIRS = {"objective": "joint", "word_pairs": 1, "contrast_on_masked": True}
#: Equal to MultipleNegativesRankingLoss with both sides' negatives, but for the projection head.
_SENTENCES = {"objective": "sentence", "loss": "info-nce", "mlm_weight": 0.0}


def steps(bench: Bench) -> Iterator[Measurement]:
    """Yield mlctl's step, with its default losses, at every batch size with and without gradient caching."""
    scale = bench.scale
    for batch in scale.batches:
        for cache in (False, True):
            yield _step(
                bench,
                f"bf16, batch {batch:,}{', cached gradients' * cache}",
                8 + batch / 200,
                batch_size=batch,
                cache_gradients=cache,
            )
    for tokens in scale.micro_batches:
        yield _step(bench, f"bf16, batch {scale.middle}, {tokens:,} tokens at once", 10, micro_batch_tokens=tokens)
    yield _step(bench, f"fp32, batch {scale.middle}", 12, precision="fp32")
    one_pass = f"one pass for both losses, bf16, batch {scale.middle}"
    yield _step(bench, one_pass, 8, contrast_on_masked=True)
    compiled = f"layers compiled by torch.compile, bf16, batch {scale.middle}"
    yield Measurement(STEP, compiled, 60 * scale.factor, partial(our_step, bench, compile=True))
    yield Measurement(STEP, f"a whole training, batch {scale.middle}", 25 * scale.factor, lambda: whole_training(bench))


def authors(bench: Bench) -> Iterator[Measurement]:
    """Yield the authors' step and mlctl's with the same losses, at the same batch sizes."""
    for batch in bench.scale.authors:
        settings = {"batch_size": batch, **_THEIRS}
        factor = (4 + batch / 20) * bench.scale.factor
        yield Measurement(AUTHORS, f"authors, fp32, batch {batch}", 3 * factor, partial(authors_step, bench, settings))
        for precision in ("fp32", "bf16"):
            name = f"mlctl, {precision}, batch {batch}"
            yield Measurement(AUTHORS, name, factor, partial(our_step, bench, precision=precision, **settings))


def trainers(bench: Bench) -> Iterator[Measurement]:
    """Yield whole trainings on sentences alone, from a saved model, by each trainer at equal batch."""
    for batch in bench.scale.trainers:
        seconds = (12 + batch / 16) * bench.scale.factor
        yield Measurement(TRAINERS, f"mlctl, batch {batch}", seconds, partial(our_training, bench, batch))
        yield Measurement(TRAINERS, f"MNRL, batch {batch}", seconds, partial(their_training, bench, batch, cached=False))
        yield Measurement(TRAINERS, f"CachedMNRL, batch {batch}", 2 * seconds, partial(their_training, bench, batch, cached=True))


def loader(bench: Bench) -> Iterator[Measurement]:
    """Yield the speed of reading, sampling word pairs, masking and collating, in one thread."""
    yield Measurement(LOADER, f"batch {bench.scale.middle}, one thread", 5 * bench.scale.factor, partial(loading, bench))


def our_step(bench: Bench, **changes: Any) -> Figures:
    """Return the figures of mlctl's step: copy of the batch, forward, backward, clipping, update.

    Raises:
        SkippedError: the layers are to be compiled, and the device is no GPU.
    """
    settings = bench.settings(**changes)
    if settings.compile and not bench.is_gpu:
        raise SkippedError("needs a GPU")
    bench.reset_peak()
    step = Ours(bench.model(), settings, bench.shards, bench.device)
    with deterministic(bench.device, bench.threads):
        step.batch(_PREPARED)  # reads the shards
        start = time.perf_counter()
        prepared = [step.batch(number) for number in range(_PREPARED)]
        collating = (time.perf_counter() - start) / len(prepared)
        seconds = bench.seconds_each(lambda number: step.step(prepared[number % len(prepared)], number))
    return _figures(bench, settings, prepared, seconds) | {"loader_share": collating / seconds}


def authors_step(bench: Bench, changes: dict[str, Any]) -> Figures:
    """Return the figures of the authors' step; MFU counts the operations that its losses need in one pass without padding."""
    settings = bench.settings(precision="fp32", **changes)
    bench.reset_peak()
    step = Authors(bench.model(), settings, bench.shards, bench.device)
    with deterministic(bench.device, bench.threads):
        step.prepare(0)
        seconds = bench.seconds_each(lambda _: step(0), warm=1)
    return _figures(bench, settings, [batches(bench.shards, settings)(0)], seconds)


def whole_training(bench: Bench) -> Figures:
    """Return the figures of `mlctl.training.train` on its default losses, from a saved model; the loader works in parallel."""
    settings = _training(bench, bench.scale.middle)
    bench.reset_peak()
    seconds = our_trainer(bench.model_folder, bench.shards, settings)
    prepared = [batches(bench.shards, settings)(number) for number in range(_PREPARED)]
    return _figures(bench, settings, prepared, _typical(seconds))


def our_training(bench: Bench, batch: int) -> Figures:
    """Return the speed of mlctl's training on sentences."""
    bench.reset_peak()
    seconds = _typical(our_trainer(bench.model_folder, bench.shards, _training(bench, batch, **_SENTENCES)))
    return {"pairs_per_s": batch / seconds, "peak_gb": bench.peak_gb()}


def their_training(bench: Bench, batch: int, cached: bool) -> Figures:
    """Return the speed of sentence-transformers' trainer on the same sentences.

    Raises:
        SkippedError: it is not installed.
    """
    if missing := [name for name in _PEERS if not importlib.util.find_spec(name)]:
        raise SkippedError(f"not installed: {', '.join(missing)}")
    bench.reset_peak()
    settings = _training(bench, batch, **_SENTENCES)
    mini_batch = max(bench.scale.mini_batch // 2, 1) if cached else None  # of each side
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            taken = their_trainer(bench.model_folder, bench.shards, settings, bench.device, mini_batch)
        except ImportError as error:
            raise SkippedError(str(error)) from None
    return {"pairs_per_s": batch / _typical(taken), "peak_gb": bench.peak_gb()}


def loading(bench: Bench) -> Figures:
    """Return the pairs per second of the loader, on its own."""
    batch_of = batches(bench.shards, bench.settings())
    seconds = bench.seconds_each(batch_of)
    return {"pairs_per_s": bench.scale.middle / seconds}


def _step(bench: Bench, name: str, seconds: float, **changes: Any) -> Measurement:
    return Measurement(STEP, name, seconds * bench.scale.factor, partial(our_step, bench, **changes))


def _training(bench: Bench, batch: int, **changes: Any) -> ResolvedTrain:
    fixed = {"steps": bench.scale.trainer_steps, "checkpoint_seconds": 1e9, "judge_every": 0, "max_loss_rise": 1000}
    return bench.settings(batch_size=batch, **fixed, **changes)


def _typical(seconds: list[float]) -> float:
    """Return the median of the second half of a training's steps."""
    return statistics.median(seconds[len(seconds) // 2 :])


def _figures(bench: Bench, settings: ResolvedTrain, prepared: list[Batch], seconds: float) -> dict[str, Any]:
    tokens = statistics.fmean(batch.tokens for batch in prepared)
    needed = statistics.fmean(operations(batch, settings, bench.scale.geometry) for batch in prepared)
    return {
        "ms": 1000 * seconds,
        "pairs_per_s": settings.batch_size / seconds,
        "tokens_per_s": tokens / seconds,
        "tflop_per_s": needed / seconds / 1e12,
        "mfu": needed / seconds / PEAK_FLOPS if bench.is_gpu else None,
        "share_of_matmul_peak": needed / seconds / bench.matmul_peak if bench.is_gpu else None,
        "peak_gb": bench.peak_gb(),
    }
