"""Speed of what runs on a device without training: the device itself, evaluation's encoding, the aligner `combined`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from gpu_runner import Figures, Measurement
from gpu_setup import PEAK_BYTES, PEAK_FLOPS, Bench
from made_shards import texts

from mlctl.alignment.aligner import Links, Pair, Sentence
from mlctl.alignment.combined import CombinedAligner
from mlctl.alignment.embedding import EmbeddingAligner
from mlctl.config import Evaluate
from mlctl.config.align import Align
from mlctl.evaluation.embedding.token_embeddings import open_encoder
from mlctl.modeling.encoders import load_tokenizer
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_embeddings import embed

DEVICE, ENCODING, ALIGNMENT = "device", "encoding for evaluation", "alignment with an encoder"


def device(bench: Bench) -> Iterator[Measurement]:
    """Yield what the device reaches on a matrix product and on a copy, next to what the roofline assumes."""

    def peaks() -> Figures:
        reached = {"matmul_tflop_per_s": bench.matmul_peak / 1e12, "copy_tb_per_s": bench.copy_peak / 1e12}
        return reached | {"roofline_tflop_per_s": PEAK_FLOPS / 1e12, "roofline_tb_per_s": PEAK_BYTES / 1e12}

    yield Measurement(DEVICE, "matrix product in bf16, and copy", 10 * bench.scale.factor, peaks)


def encoding(bench: Bench) -> Iterator[Measurement]:
    """Yield the sentences per second of evaluation's encoder, with tokenisation, in both precisions."""
    for precision in ("fp32", "bf16"):
        yield Measurement(ENCODING, precision, 25 * bench.scale.factor, partial(encode, bench, precision))


def alignment(bench: Bench) -> Iterator[Measurement]:
    """Yield the pairs per second of the aligner `combined`, given the statistical links."""
    yield Measurement(ALIGNMENT, "combined, statistical links given", 25 * bench.scale.factor, partial(align, bench))


def encode(bench: Bench, precision: str) -> Figures:
    """Encode sentences as evaluation does."""
    folder, layers = bench.model_folder, bench.scale.geometry.layers
    encoder, tokenizer = open_encoder(folder, str(bench.device), precision), load_tokenizer(folder)
    rows, batch_rows = _texts(bench, bench.scale.sentences), Evaluate().batch_rows
    embed(encoder, tokenizer, rows[:batch_rows], [Pooling((1, layers))], batch_rows)
    bench.reset_peak()
    bench.wait()
    start = time.perf_counter()
    embed(encoder, tokenizer, rows, [Pooling((1, layers))], batch_rows)
    bench.wait()
    return {"sentences_per_s": len(rows) / (time.perf_counter() - start), "peak_gb": bench.peak_gb()}


class _Diagonal:
    """Stands for a trained statistical aligner, whose model is made on CPUs: links words at the same place."""

    def train(self, pairs: Iterable[Pair]) -> None:
        del pairs

    def save(self, folder: Path) -> None:
        del folder

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        lengths = [min(len(source.spans), len(target.spans)) for source, target in pairs]
        return [Links(np.repeat(np.arange(n, dtype=np.int32)[:, None], 2, 1), np.full(n, 0.9, np.float32)) for n in lengths]


def align(bench: Bench) -> Figures:
    """Align the words of pairs."""
    settings = Align(engine="combined", device=str(bench.device))
    aligner = CombinedAligner(_Diagonal(), EmbeddingAligner(settings, bench.model_folder))
    pairs = [
        (_sentence(source), _sentence(target))
        for source, target in islice(texts(bench.shards, bench.scale.aligned), bench.scale.aligned)
    ]
    aligner.align(pairs[:64])
    bench.reset_peak()
    bench.wait()
    start = time.perf_counter()
    links = aligner.align(pairs)
    bench.wait()
    seconds = time.perf_counter() - start
    return {"pairs_per_s": len(pairs) / seconds, "links": sum(len(one.words) for one in links), "peak_gb": bench.peak_gb()}


def _texts(bench: Bench, count: int) -> list[str]:
    return [text for pair in texts(bench.shards, count // 2) for text in pair]


def _sentence(text: str) -> Sentence:
    """Return a text and its words, which white space separates."""
    ends = np.cumsum([len(word) + 1 for word in text.split(" ")]).tolist()
    return Sentence(text, [(start, end - 1) for start, end in zip([0, *ends[:-1]], ends, strict=True)])
