"""The shard stage: from aligned pairs to a tokenizer, training shards, held-out pairs and reports."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Model, Shard
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.sharding import tokenizer
from mlctl.sharding.corpus_shards import NO_WORD_PAIR, AlignedCorpus, apply_caps
from mlctl.sharding.coverage import check_coverage
from mlctl.sharding.decontamination import EvaluationText
from mlctl.sharding.evaluation_sets import evaluation_texts
from mlctl.sharding.external_sort import SortedRun, number_of_shards, write_shard
from mlctl.sharding.subword_spans import SpanTokenizer

Metrics = dict[str, str | int | float | None]

# Folders of the pairs that are held out of training: for evaluation, and for choices that are made while training.
_HELDOUT, _DEV = "heldout", "dev"

_log = logging.getLogger(__name__)


def shard(
    settings: Shard,
    model: Model,
    languages: Languages,
    seed: int,
    aligned: Path,
    workspace: Workspace,
    progress: Progress = silent,
    benchmarks: Sequence[EvaluationText] = (),
) -> Metrics:
    """Write `tokenizer/`, `train/<NNNNN>.parquet`, `heldout/<t>.parquet`, `dev/<t>.parquet` (SHARD), and two reports.

    The reports are `funnel.parquet` and `decontamination.json`.

    Pairs with text of `benchmarks` or of the recipe's evaluation sets are dropped.

    Returns:
        rows, shards, word_pairs, word_pairs_per_row, vocabulary, decontaminated (None: there is no set), and for every language its
        rows, held-out rows, dev rows, word pairs per row and the share of its other pairs without a word pair (None: it has none).

    Raises:
        InputError: no training row is left, or the encoder's tokenizer or an evaluation set cannot be used.
    """
    files = {language: aligned / "pairs" / f"{language}.parquet" for language in languages.targets}
    sets = [*evaluation_texts(settings), *benchmarks]
    corpus = AlignedCorpus.read(settings, files, seed, sets)
    span_tokenizer = _span_tokenizer(settings, model, corpus, workspace)
    check_coverage(span_tokenizer, _tokenizer_name(model), languages.source, files)
    runs = apply_caps(corpus.write_runs(span_tokenizer, workspace, progress), settings)
    funnel = [row for language in files for row in corpus.funnel(language, runs)]
    _check_rows(funnel, runs, settings)

    _write_shards(runs, settings.rows_per_shard, workspace)
    for language in files:
        for folder, pairs in ((_HELDOUT, corpus.plan.heldout), (_DEV, corpus.dev)):
            if not workspace.has(f"{folder}/{language}.parquet"):
                with workspace.part(f"{folder}/{language}.parquet") as path:
                    corpus.write_heldout(pairs, language, span_tokenizer, path)
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(funnel, schema=schema.FUNNEL), path, compression="zstd")
    decontamination = corpus.decontamination(sets, runs)
    with workspace.part("decontamination.json") as path:
        path.write_text(json.dumps(decontamination, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    return {
        **_metrics(runs, settings, languages.targets, span_tokenizer, workspace),
        **{name: value for language in files for name, value in _word_pair_metrics(language, runs, funnel).items()},
        "decontaminated": _decontaminated(decontamination),
    }


def _span_tokenizer(settings: Shard, model: Model, corpus: AlignedCorpus, workspace: Workspace) -> SpanTokenizer:
    if not workspace.has("tokenizer"):
        with workspace.part("tokenizer") as folder:
            tokenizer.write_tokenizer(folder, model, settings.max_length, corpus.training_text)
    return SpanTokenizer(tokenizer.load_tokenizer(workspace.path("tokenizer")), settings.max_length)


def _tokenizer_name(model: Model) -> str:
    source = model_sources.tokenizer_model(model)
    return f"the tokenizer of {source.name}" if source else "the tokenizer that was trained on the corpus"


def _check_rows(funnel: list[dict[str, str | int]], runs: Sequence[SortedRun], settings: Shard) -> None:
    """Raise an InputError if no training row is left."""
    if any(run.kept.rows for run in runs):
        return
    counts = [f"{row['language']}, {row['rule']}: {row['rows_in']} → {row['rows_out']}" for row in funnel]
    raise InputError(
        "shard: no training row is left (" + "; ".join(counts) + ")",
        f"add text, or lower shard.stop_words ({settings.stop_words}), shard.min_word_letters ({settings.min_word_letters}) "
        f"or shard.min_confidence ({settings.min_confidence:g})"
        + (f", or raise shard.max_length ({settings.max_length})" if settings.too_long == "drop" else "")
        + ("" if settings.max_synthetic is None else f"; shard.max_synthetic is {settings.max_synthetic:g}"),
    )


def _write_shards(runs: Sequence[SortedRun], rows_per_shard: int, workspace: Workspace) -> None:
    shards = number_of_shards(runs, rows_per_shard)
    _log.info("%d training rows in %d shards", sum(run.kept.rows for run in runs), shards)
    for index in range(shards):
        name = f"train/{index:05d}.parquet"
        if not workspace.has(name):
            with workspace.part(name) as path:
                write_shard(path, runs, index, shards)


def _decontaminated(decontamination: dict[str, Any]) -> int | None:
    """Return the number of pairs that were dropped for evaluation sets; None: there is no set."""
    dropped = sum(counts["dropped"] for entry in decontamination["sets"] for counts in entry["pairs"].values())
    return dropped if decontamination["checked"] else None


def _word_pair_metrics(
    language: str, runs: Sequence[SortedRun], funnel: Sequence[dict[str, str | int]]
) -> dict[str, float | None]:
    """Return a language's word pairs per training row, and the share of otherwise trainable pairs that have no word pair."""
    kept = [run.kept for run in runs if run.language == language]
    word_pairs, rows = sum(counts.word_pairs for counts in kept), sum(counts.rows for counts in kept)
    rule = next(row for row in funnel if (row["language"], row["rule"]) == (language, NO_WORD_PAIR))
    pairs_in, pairs_out = int(rule["rows_in"]), int(rule["rows_out"])
    return {
        f"{language}.word_pairs_per_row": round(word_pairs / rows, 4) if rows else None,
        f"{language}.without_word_pair": round((pairs_in - pairs_out) / pairs_in, 4) if pairs_in else None,
    }


def _metrics(
    runs: Sequence[SortedRun],
    settings: Shard,
    targets: Sequence[str],
    span_tokenizer: SpanTokenizer,
    workspace: Workspace,
) -> Metrics:
    rows = {language: sum(run.kept.rows for run in runs if run.language == language) for language in targets}
    word_pairs = sum(run.kept.word_pairs for run in runs)
    return {
        "rows": sum(rows.values()),
        "shards": number_of_shards(runs, settings.rows_per_shard),
        "word_pairs": word_pairs,
        "word_pairs_per_row": round(word_pairs / sum(rows.values()), 4),
        "vocabulary": span_tokenizer.vocabulary_size,
        **{f"{language}.rows": count for language, count in rows.items()},
        **{
            f"{language}.{folder}": pq.read_metadata(workspace.path(f"{folder}/{language}.parquet")).num_rows
            for folder in (_HELDOUT, _DEV)
            for language in targets
        },
    }
