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
from mlctl.core.arrow import row_count
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL
from mlctl.execution.scheduler import ProgressCounter
from mlctl.modeling import model_sources
from mlctl.sharding import tokenizer
from mlctl.sharding.caps import apply_caps, save_caps
from mlctl.sharding.content_words import BATCH_ROWS
from mlctl.sharding.coverage import check_coverage
from mlctl.sharding.decontamination import EvaluationText
from mlctl.sharding.evaluation_sets import evaluation_texts
from mlctl.sharding.external_sort import RUN_PAIRS, SortedRun, number_of_shards, write_table
from mlctl.sharding.funnel import NO_WORD_PAIR, decontamination, funnel
from mlctl.sharding.heldout import read_candidates
from mlctl.sharding.heldout_plan import HeldoutPlan
from mlctl.sharding.part_statistics import identities_of
from mlctl.sharding.rows import KEYED_ROWS, make_rows
from mlctl.sharding.shard_job import CAPS, EXCLUDED_TEXT, STOP_WORDS, ShardJob, candidates_name
from mlctl.sharding.step_graph import run_steps
from mlctl.sharding.stop_words import StopWords
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
    backend: ExecutionBackend = LOCAL,
) -> Metrics:
    """Write `tokenizer/`, `train/<NNNNN>.parquet`, `heldout/<t>.parquet`, `dev/<t>.parquet` (SHARD), and two reports.

    The reports are `funnel.parquet` and `decontamination.json`.

    Pairs with text of `benchmarks` or of the recipe's evaluation sets are dropped. A second call resumes after the finished steps.
    Neither that nor the backend changes a byte.

    Returns:
        rows, shards, word_pairs, word_pairs_per_row, vocabulary, decontaminated (None: there is no set), and for every language its
        rows, held-out rows, dev rows, word pairs per row and the share of its other pairs without a word pair (None: it has none).

    Raises:
        InputError: no training row is left, the encoder's tokenizer or an evaluation set cannot be used, or a signal ended a process.
    """
    job = _job(settings, languages.targets, seed, aligned, workspace)
    sets = [*evaluation_texts(settings), *benchmarks]

    # Read the corpus, and plan what is held out of it.
    run_steps(job, "statistics", backend)
    _count_stop_words(job)
    run_steps(job, "candidates", backend)
    plan = _plan(job, sets)

    # Make the training rows.
    _make_tokenizer(job, model, languages)
    _make_rows(job, backend, progress)
    runs = apply_caps(job.runs(), settings)
    rows = [row for language in job.targets for row in funnel(language, plan, runs, settings.too_long == "drop")]
    _check_rows(rows, runs, settings)

    # Write the shards, the held-out pairs and the reports.
    _write_shards(job, runs, backend)
    _write_heldout(job, plan)
    found = decontamination(sets, plan, runs)
    _write_reports(workspace, rows, found)
    metrics = _metrics(runs, settings, job.targets, job.span_tokenizer, workspace)
    for language in job.targets:
        metrics |= _word_pair_metrics(language, runs, rows)
    return metrics | {"decontaminated": _decontaminated(found)}


def _job(settings: Shard, targets: Sequence[str], seed: int, aligned: Path, workspace: Workspace) -> ShardJob:
    return ShardJob(
        settings=settings,
        targets=tuple(targets),
        pairs=tuple(row_count(aligned / "pairs" / f"{language}.parquet") for language in targets),
        seed=seed,
        aligned=aligned,
        root=workspace.root,
        part_pairs=RUN_PAIRS,
    )


def _write_reports(workspace: Workspace, rows: list[dict[str, str | int]], found: dict[str, Any]) -> None:
    """Write the funnel and what of the evaluation sets was found."""
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
    with workspace.part("decontamination.json") as path:
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _count_stop_words(job: ShardJob) -> None:
    if not job.scratch.has(STOP_WORDS):
        statistics = {language: job.statistics_folders(language) for language in job.targets}
        with job.scratch.part(STOP_WORDS) as path:
            StopWords.count(statistics, job.settings.stop_words).save(path)


def _plan(job: ShardJob, sets: Sequence[EvaluationText]) -> HeldoutPlan:
    """Return the plan of what is held out; the steps read its text from the scratch folder."""
    candidates = {language: read_candidates(job.scratch.path(candidates_name(language))) for language in job.targets}
    plan = HeldoutPlan.choose(job.settings, candidates, dict(zip(job.targets, job.pairs, strict=True)), sets)
    if not job.scratch.has(EXCLUDED_TEXT):
        with job.scratch.part(EXCLUDED_TEXT) as folder:
            plan.excluded.save(folder)
    return plan


def _make_tokenizer(job: ShardJob, model: Model, languages: Languages) -> None:
    """Write the tokenizer, and check that it knows the text of every language."""
    if not job.workspace.has("tokenizer"):
        with job.workspace.part("tokenizer") as folder:
            tokenizer.write_tokenizer(folder, model, job.settings.max_length, job.texts)
    files = {language: job.file(language) for language in job.targets}
    check_coverage(job.span_tokenizer, _tokenizer_name(model), languages.source, files)


def _make_rows(job: ShardJob, backend: ExecutionBackend, progress: Progress) -> None:
    """Write the training rows of all parts as sorted runs."""
    unfinished = set(job.unfinished("rows"))
    pairs = [part.last - part.first for part in job.parts]
    done = sum(number for index, number in enumerate(pairs) if index not in unfinished)
    counter = ProgressCounter(progress, done, sum(pairs), "pairs")
    run_steps(job, "rows", backend, lambda step: counter.add(pairs[step.number], language=job.parts[step.number].language))


def _write_shards(job: ShardJob, runs: Sequence[SortedRun], backend: ExecutionBackend) -> None:
    if not job.scratch.has(CAPS):
        with job.scratch.part(CAPS) as path:
            save_caps(path, runs)
    shards = number_of_shards(runs, job.settings.rows_per_shard)
    _log.info("%d training rows in %d shards", sum(run.kept.rows for run in runs), shards)
    run_steps(job, "shard", backend)


def _write_heldout(job: ShardJob, plan: HeldoutPlan) -> None:
    """Write the rows of the held-out pairs and of the dev pairs of each language."""
    for language in job.targets:
        content = job.stop_words.content_words(job.settings, language)
        for folder, heldout in ((_HELDOUT, plan.heldout), (_DEV, plan.dev)):
            name = f"{folder}/{language}.parquet"
            if not job.workspace.has(name):
                with job.workspace.part(name) as path:
                    batches = heldout.pairs[language].to_batches(BATCH_ROWS)
                    made = [
                        make_rows(batch, identities_of(batch), content, job.span_tokenizer, job.seed).rows for batch in batches
                    ]
                    write_table(path, pa.Table.from_batches(made, KEYED_ROWS))


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
