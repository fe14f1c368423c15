"""The stage: language by language, from pairs to pairs with linked words."""

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
from mlctl.alignment import arrow_io, registry, schedule
from mlctl.alignment.language_job import Language
from mlctl.alignment.merge_step import RULES, Outcome, read_outcome
from mlctl.config import Align, Languages
from mlctl.core import arrow
from mlctl.core.files import discard
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.execution.backend import LOCAL, ExecutionBackend

log = logging.getLogger(__name__)

_ON_A_GPU = 2  # workers that share one: each holds the encoder


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
    """Align the words of all pairs under the folders `pairs` and return the figures of `summary.json`, flat.

    Writes `pairs/<t>.parquet` (ALIGNED), `rejected/<t>.parquet` (REJECTED), `models/<t>/` (what was learned),
    `funnel.parquet` and `summary.json`. A language with too few links has rejected pairs alone. What is finished
    is kept by a second call; neither that nor who does the parts changes a byte.

    Args:
        settings: how words are aligned.
        languages: the source language and the targets.
        seed: of what is drawn.
        pairs: folders with `pairs/<t>.parquet` or `pairs/<t>/*.parquet`.
        workspace: where the result is made.
        progress: told the parts that are split and linked, two for each.
        priors: by target language, the folder with the model of an earlier result to start from.
        encoder: Hugging Face folder, for the engines that ask one.
        crew: who does the parts.

    Raises:
        InputError: there is no pair, none is left, or an engine crashed while it learned; the message names language and engine.
    """
    files = _files(pairs, languages)
    gpus = _gpus(settings, backend)
    workers = settings.workers or min(backend.cores, gpus * _ON_A_GPU or backend.cores)
    common: dict[str, Any] = {
        "settings": settings,
        "source": languages.source,
        "seed": seed,
        "root": workspace.root,
        "encoder": encoder,
    }
    threads = max(1, min(workers // len(languages.targets), backend.min_node_cores))
    works = [
        Language(**common, target=target, files=tuple(files[target]), priors=(priors or {}).get(target), threads=threads)
        for target in languages.targets
    ]
    schedule.run(works, workers, functools.partial(backend.worker, gpus=1 / _ON_A_GPU if gpus else 0), progress)
    return _written(works, workspace)


def _files(pairs: Sequence[Path], languages: Languages) -> dict[str, list[Path]]:
    files = {target: arrow_io.pair_files(pairs, target) for target in languages.targets}
    if not any(arrow.row_count(file) for found in files.values() for file in found):
        raise InputError(
            "align: there are no sentence pairs in any language",
            "look at the funnel of clean: which rule dropped them, or no source",
        )
    return files


def _gpus(settings: Align, backend: ExecutionBackend) -> int:
    """Return how many GPUs encoders are run on."""
    if settings.engine not in registry.WITH_ENCODER or settings.device == "cpu":
        return 0
    if backend.gpus is not None:
        return backend.gpus
    from mlctl.modeling.devices import device_of

    return int(device_of(settings.device, "align.device").type != "cpu")


def _written(works: Sequence[Language], workspace: Workspace) -> dict[str, Any]:
    outcomes = {language.target: read_outcome(language) for language in works}
    for language in works:
        _tell(language, outcomes[language.target])
        discard(language.scratch.root)
        if not outcomes[language.target].pairs:  # nothing to learn from, for later runs
            discard(workspace.path(language.model))
    _check(works[0].settings, outcomes)
    _write_funnel(outcomes, workspace)
    summary = {target: _summary(outcome) for target, outcome in outcomes.items()}
    with workspace.part("summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return {
        f"{target}.{name}": value for target, row in summary.items() for name, value in row.items() if not isinstance(value, list)
    }


def _summary(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of what was aligned, though a stopped language has no pairs in the result."""
    return {**outcome.figures.summary(), "pairs": outcome.pairs}


def _tell(language: Language, outcome: Outcome) -> None:
    figures = outcome.figures.summary()
    sides = (
        f"linked words: {figures['source_linked']:.0%} of {language.source}, {figures['target_linked']:.0%} of {language.target}"
    )
    log.info("%s: %s pairs aligned, %s links a pair, %s", language.target, f"{outcome.pairs:,}", figures["links_per_pair"], sides)
    if outcome.stopped:
        log.warning(
            "%s stops here: %s is below align.min_link_coverage (%s); all %s pairs are in rejected/%s.parquet",
            *(language.target, sides, language.settings.min_link_coverage, f"{outcome.figures.pairs:,}", language.target),
        )


def _check(settings: Align, outcomes: Mapping[str, Outcome]) -> None:
    if any(outcome.pairs for outcome in outcomes.values()):
        return
    stopped = {target: outcome.figures.linked for target, outcome in outcomes.items() if outcome.stopped}
    if stopped:
        shares = ", ".join(f"{target} {share:.1%}" for target, share in stopped.items())
        raise InputError(
            f"align: too few words are linked in every language ({shares}; align.min_link_coverage={settings.min_link_coverage})",
            "look whether the sides of the pairs belong together; with very little text, lower align.min_link_coverage",
        )
    raise InputError("align: no pair is left", f"raise align.max_words ({settings.max_words}) or look at rejected/")


def _write_funnel(outcomes: Mapping[str, Outcome], workspace: Workspace) -> None:
    rows = []
    for language, outcome in outcomes.items():
        left = outcome.pairs + sum(outcome.rejected.values())
        for rule in RULES:
            out = left - outcome.rejected[rule]
            rows.append({"stage": "align", "language": language, "rule": rule, "rows_in": left, "rows_out": out})
            left = out
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
