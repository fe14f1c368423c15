"""Word alignment: which word of a sentence is translated by which word of the other.

Words are Moses tokens where they are spaced and dictionary words where they are not; a statistical model is trained on all pairs
of a language in both directions, and the links of both are joined. A part is a language, done in a process of its own.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.alignment import processes, tables
from mlctl.alignment.language import RULES, Job, pairs_part, rejected_part
from mlctl.config import Align, Languages
from mlctl.errors import InputError
from mlctl.workspace import Progress, Workspace, silent

__all__ = ["align"]

_log = logging.getLogger(__name__)


def align(
    settings: Align, languages: Languages, seed: int, pairs: Sequence[Path], workspace: Workspace, progress: Progress = silent
) -> dict[str, str | int | float | None]:
    """Align the words of all pairs under the folders `pairs` and return the figures of `summary.json`, flat.

    Writes `pairs/<t>.parquet` (ALIGNED), `rejected/<t>.parquet` (REJECTED), `funnel.parquet` and `summary.json`. Languages that
    are finished in the workspace are not done again; the number of processes changes nothing in the files.

    Raises:
        InputError: there is no pair at all, none has words, or an engine crashed; the message names the language.
    """
    files = {language: tables.pair_files(pairs, language) for language in languages.targets}
    if not any(pq.read_metadata(file).num_rows for found in files.values() for file in found):
        raise InputError(
            "align: there are no sentence pairs in any language",
            "look at the funnel of clean: which rule dropped them, or no source",
        )
    _run(settings, languages, seed, files, workspace, progress)
    summary = {language: tables.language_summary(workspace.path(pairs_part(language))) for language in languages.targets}
    if not any(figures["pairs"] for figures in summary.values()):
        raise InputError("align: no pair is left", f"raise align.max_words ({settings.max_words}) or look at rejected/")
    _write_funnel(languages.targets, summary, workspace)
    with workspace.part("summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return {f"{language}.{name}": value for language, figures in summary.items() for name, value in figures.items()}


def _run(
    settings: Align,
    languages: Languages,
    seed: int,
    files: Mapping[str, list[Path]],
    workspace: Workspace,
    progress: Progress,
) -> None:
    jobs = [
        Job(source=languages.source, target=target, seed=seed, files=tuple(files[target]), root=workspace.root, settings=settings)
        for target in languages.targets
        if not workspace.has(pairs_part(target))
    ]
    jobs.sort(key=lambda job: -sum(file.stat().st_size for file in job.files))  # the longest first: the last one ends sooner
    done = len(languages.targets) - len(jobs)
    progress(done, len(languages.targets), "languages")

    def finished(job: Job) -> None:
        nonlocal done
        done += 1
        _log.info("aligned %s", job.target)
        progress(done, len(languages.targets), "languages", finished=job.target)

    processes.run(jobs, settings.workers or os.cpu_count() or 1, finished)


def _write_funnel(targets: Sequence[str], summary: Mapping[str, Mapping[str, float]], workspace: Workspace) -> None:
    rows = []
    for language in targets:
        dropped = tables.rejections(workspace.path(rejected_part(language)))
        left = int(summary[language]["pairs"]) + sum(dropped.values())
        for rule in RULES:
            out = left - dropped.get(rule, 0)
            rows.append({"stage": "align", "language": language, "rule": rule, "rows_in": left, "rows_out": out})
            left = out
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
