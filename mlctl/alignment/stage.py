"""The stage `align`: from sentence pairs to pairs with linked words, language by language."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.alignment import arrow_io, registry
from mlctl.alignment.language_job import LanguageJob
from mlctl.alignment.merge_step import RULES, MergeResult, read_merge_result
from mlctl.alignment.step_graph import run_steps
from mlctl.config import Align, Languages
from mlctl.core import arrow
from mlctl.core.files import discard
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL

log = logging.getLogger(__name__)

_WORKERS_PER_GPU = 2  # each holds the encoder


def align(
    settings: Align,
    languages: Languages,
    seed: int,
    pairs: Sequence[Path],
    workspace: Workspace,
    progress: Progress = silent,
    priors: Mapping[str, Path] | None = None,
    encoder: Path | None = None,
    backend: ExecutionBackend = LOCAL,
) -> dict[str, Any]:
    """Align the words of all pairs in the folders `pairs` and return the statistics of `summary.json`, flat.

    Writes `pairs/<t>.parquet` (ALIGNED), `rejected/<t>.parquet` (REJECTED), `models/<t>/` (the trained models),
    `funnel.parquet` and `summary.json`. Of a language with too few links all pairs are rejected. A second call resumes after
    the finished steps; neither that nor the backend changes a byte.

    Args:
        settings: how words are aligned.
        languages: the source language and the targets.
        seed: of the random numbers.
        pairs: folders with `pairs/<t>.parquet` or `pairs/<t>/*.parquet`.
        workspace: where the result is written.
        progress: gets the number of parts that are tokenised and aligned, two for each.
        priors: by target language, the folder with the model of an earlier result to start from.
        encoder: Hugging Face folder, for the aligners in `registry.WITH_ENCODER`.
        backend: where the steps run.

    Raises:
        InputError: there are no pairs, all were rejected, or an aligner crashed while it trained; the message names language and
            aligner.
    """
    files = _pair_files(pairs, languages)
    gpus = _count_gpus(settings, backend)
    workers = settings.workers or min(backend.cores, gpus * _WORKERS_PER_GPU or backend.cores)
    common: dict[str, Any] = {"settings": settings, "source": languages.source, "seed": seed, "encoder": encoder}
    common |= {"root": workspace.root, "threads": max(1, min(workers // len(languages.targets), backend.min_node_cores))}
    jobs = [_job(common, target, files[target], (priors or {}).get(target)) for target in languages.targets]
    run_steps(jobs, workers, functools.partial(backend.start_worker, gpus=1 / _WORKERS_PER_GPU if gpus else 0), progress)
    return _write_summary(jobs, workspace)


def _job(common: dict[str, Any], target: str, files: Sequence[Path], priors: Path | None) -> LanguageJob:
    pairs = sum(map(arrow.row_count, files))
    return LanguageJob(**common, target=target, files=tuple(files), pairs=pairs, priors=priors)


def _pair_files(folders: Sequence[Path], languages: Languages) -> dict[str, list[Path]]:
    files = {target: arrow_io.pair_files(folders, target) for target in languages.targets}
    if not any(arrow.row_count(file) for language_files in files.values() for file in language_files):
        raise InputError(
            "align: there are no sentence pairs in any language",
            "check the clean stage's funnel.parquet for the rule that removed all rows, and download.sources for the languages",
        )
    return files


def _count_gpus(settings: Align, backend: ExecutionBackend) -> int:
    """Return the number of GPUs that encoders run on."""
    if settings.engine not in registry.WITH_ENCODER or settings.device == "cpu":
        return 0
    if backend.gpus is not None:
        return backend.gpus
    from mlctl.modeling.devices import resolve_device

    return int(resolve_device(settings.device, "align.device").type != "cpu")


def _write_summary(jobs: Sequence[LanguageJob], workspace: Workspace) -> dict[str, Any]:
    results = {job.target: read_merge_result(job) for job in jobs}
    for job in jobs:
        _log_result(job, results[job.target])
        discard(job.scratch.root)
        if not results[job.target].pairs:  # later runs must not start from this model
            workspace.discard(job.model)
    _check_pairs_left(jobs[0].settings, results)
    _write_funnel(results, workspace)
    summary = {target: _summary(result) for target, result in results.items()}
    with workspace.part("summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return {
        f"{target}.{name}": value for target, row in summary.items() for name, value in row.items() if not isinstance(value, list)
    }


def _summary(result: MergeResult) -> dict[str, Any]:
    """Return the statistics of all aligned pairs, with the number of `pairs` in the result: 0 if all were rejected."""
    return {**result.statistics.summary(), "pairs": result.pairs}


def _log_result(job: LanguageJob, result: MergeResult) -> None:
    summary = result.statistics.summary()
    coverage = f"linked words: {summary['source_link_coverage']:.0%} of {job.source}, {summary['target_link_coverage']:.0%} of {job.target}"
    log.info("%s: %s pairs aligned, %s links per pair, %s", job.target, f"{result.pairs:,}", summary["links_per_pair"], coverage)
    if result.too_few_links:
        log.warning(
            "%s is excluded: %s is below align.min_link_coverage (%s); all %s pairs are in rejected/%s.parquet",
            *(job.target, coverage, job.settings.min_link_coverage, f"{result.statistics.pairs:,}", job.target),
        )


def _check_pairs_left(settings: Align, results: Mapping[str, MergeResult]) -> None:
    if any(result.pairs for result in results.values()):
        return
    coverages = {target: result.statistics.coverage for target, result in results.items() if result.too_few_links}
    if coverages:
        listed = ", ".join(f"{target} {coverage:.1%}" for target, coverage in coverages.items())
        raise InputError(
            f"align: too few words are linked in every language ({listed}; align.min_link_coverage={settings.min_link_coverage})",
            "check that source and target of the pairs are translations of each other; with very little text, lower"
            " align.min_link_coverage",
        )
    raise InputError(
        "align: every sentence pair was rejected",
        f"increase align.max_words ({settings.max_words}), or check rejected/*.parquet for the rule",
    )


def _write_funnel(results: Mapping[str, MergeResult], workspace: Workspace) -> None:
    rows = []
    for language, result in results.items():
        rows_in = result.pairs + sum(result.rejected.values())
        for rule in RULES:
            rows_out = rows_in - result.rejected[rule]
            rows.append({"stage": "align", "language": language, "rule": rule, "rows_in": rows_in, "rows_out": rows_out})
            rows_in = rows_out
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
