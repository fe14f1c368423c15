"""The parts of the result, one for each corpus and target language: copied from the cache, or written by steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlctl.config import Download
from mlctl.core.workspace import Progress, Workspace
from mlctl.corpora.corpus import Corpus
from mlctl.corpora.corpus_cache import CachedCorpus
from mlctl.corpora.text_files import TextFilesCorpus
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.scheduler import BackendWorker, ProgressCounter, run_in_process, run_on_workers
from mlctl.execution.step_graph import IndependentSteps

if TYPE_CHECKING:
    from mlctl.corpora.parse_step import ParseStep

log = logging.getLogger(__name__)

# Workers take a second or two to start: so many bytes are read faster in this process.
_MAX_BYTES_IN_PROCESS = 32 * 2**20
#: The module that a worker runs.
WORKER = "mlctl.corpora.worker"


@dataclass(frozen=True)
class Part:
    """The text of a corpus in one target language; `name` is that of its file in the workspace."""

    corpus: Corpus
    source: str
    target: str
    name: str


def write_parts(
    parts: Sequence[Part], settings: Download, workspace: Workspace, backend: ExecutionBackend, progress: Progress
) -> None:
    """Write the missing parts: text in files by steps, all other text (cached, or in the formats of libraries) in this process."""
    missing = [part for part in parts if not workspace.has(part.name)]
    counter = ProgressCounter(progress, len(parts) - len(missing), len(parts), "parts")
    steps: dict[str, tuple[Part, ParseStep]] = {}
    for part in missing:
        if isinstance(part.corpus, TextFilesCorpus):
            steps[part.name] = part, _step(part, part.corpus, settings, workspace)
            continue
        _write(part, workspace)
        _report(part, workspace, counter)

    def report(step: ParseStep) -> None:
        _report(steps[step.part][0], workspace, counter)

    # The largest first: otherwise all other workers wait for it in the end.
    graph = IndependentSteps(sorted((step for _, step in steps.values()), key=lambda step: -step.bytes))
    workers = min(settings.workers or backend.cores, len(steps))
    if workers < 2 or sum(step.bytes for _, step in steps.values()) <= _MAX_BYTES_IN_PROCESS:
        run_in_process(graph, report)
    else:
        run_on_workers(graph, [BackendWorker(backend.start_worker(WORKER)) for _ in range(workers)], report)
    counter.complete()


def _step(part: Part, corpus: TextFilesCorpus, settings: Download, workspace: Workspace) -> ParseStep:
    from mlctl.corpora.parquet_io import Provenance
    from mlctl.corpora.parse_step import ParseStep

    return ParseStep(
        texts=tuple(corpus.texts(part.target)),
        provenance=Provenance.of(part.corpus, part.source, part.target),
        root=workspace.root,
        part=part.name,
        max_unpack_ratio=settings.max_unpack_ratio,
    )


def _write(part: Part, workspace: Workspace) -> None:
    from mlctl.corpora import parquet_io

    with workspace.part(part.name) as path:
        if isinstance(part.corpus, CachedCorpus):
            part.corpus.copy(part.target, path)
        else:
            provenance = parquet_io.Provenance.of(part.corpus, part.source, part.target)
            parquet_io.write(path, part.corpus.rows(part.target), provenance)


def _report(part: Part, workspace: Workspace, counter: ProgressCounter) -> None:
    from mlctl.corpora import parquet_io

    pairs, untranslated = parquet_io.count(workspace.path(part.name))
    languages = f"{part.source}-{part.target}"
    log.info("%s: %s %d pairs, %d texts without translation", part.corpus.name, languages, pairs, untranslated)
    counter.add(1, corpus=part.corpus.name, language=part.target)
