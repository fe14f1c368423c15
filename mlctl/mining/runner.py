"""Runs the steps of mined and aligned corpora, in this process or on workers, and reports what they found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mlctl.core.cpu import usable_cores
from mlctl.core.memory import available_memory
from mlctl.core.workspace import Progress
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.scheduler import BackendWorker, ProgressCounter, run_in_process, run_on_workers
from mlctl.execution.step_graph import IndependentSteps, PhasedGraph, Step, StepGraph
from mlctl.mining import mining_job as names
from mlctl.mining.document_job import DocumentJob
from mlctl.mining.document_steps import DocumentStep
from mlctl.mining.embedding import release
from mlctl.mining.index import check_memory, require_faiss
from mlctl.mining.mining_job import MiningJob, Phase
from mlctl.mining.mining_steps import MiningStep
from mlctl.modeling.model_files import read_config, weight_files

#: The module that a worker runs.
WORKER = "mlctl.mining.worker"

# Workers take seconds to start and to load the encoder: so many bytes of text are embedded faster in this process.
_MAX_BYTES_IN_PROCESS = 2**18
_WORKER_BYTES = 10**9  # memory of a worker besides weights: torch and a batch
_WORKER_TEXT = 2**16  # bytes of text for each worker: with less, the start of another one takes longer than it saves
_WORKERS_PER_GPU = 4
_SIZE_NAMES = ("hidden_size", "d_model", "dim")

_log = logging.getLogger(__name__)

S = TypeVar("S", bound=Step)


def make_pairs(
    mining: Sequence[MiningJob], documents: Sequence[DocumentJob], workers: int, backend: ExecutionBackend, progress: Progress
) -> None:
    """Run all unfinished steps.

    Args:
        mining: corpora to mine.
        documents: corpora to align.
        workers: number of workers; 0: one for each core, as far as memory allows.
        backend: where they run.
        progress: gets the number of finished steps.

    Raises:
        InputError: a step failed for a reason that its message names, the search does not fit into memory, or FAISS is missing.
    """
    steps = [DocumentStep.of(job, group) for job in documents for group in job.unfinished]
    placement = _Placement.of([*mining, *documents], workers, backend)
    _run(IndependentSteps(steps), placement, progress, len(steps), lambda _: None)
    checked = set[Path]()

    def make_step(job: MiningJob, phase: Phase, number: int) -> MiningStep:
        if phase not in ("split", "gather", "plant") and job.root not in checked:
            checked.add(job.root)
            _check_search(job)
        return MiningStep.of(job, phase, number)

    unfinished = sum(not job.finished for job in mining)
    graph: PhasedGraph[MiningJob, MiningStep] = PhasedGraph(mining, make_step)
    _run(graph, placement, progress, unfinished and None, _log_step)


class _Placement:
    """Where steps run.

    Attributes:
        workers: number of workers; less than two: the steps run in this process.
        start: starts one.
    """

    def __init__(self, workers: int, start: Callable[[], BackendWorker]) -> None:
        self.workers, self.start = workers, start

    @classmethod
    def of(cls, jobs: Sequence[MiningJob | DocumentJob], workers: int, backend: ExecutionBackend) -> _Placement:
        """Return the placement of jobs."""
        gpus = max((_count_gpus(job.settings.device, backend) for job in jobs), default=0)
        size = sum(map(_text_bytes, jobs))
        if size <= _MAX_BYTES_IN_PROCESS:
            workers = 1
        elif not workers:
            workers = min(
                gpus * _WORKERS_PER_GPU or _cores_with_memory(jobs, backend), backend.cores, max(2, size // _WORKER_TEXT)
            )
        share = 1 / _WORKERS_PER_GPU if gpus else 0
        return cls(workers, lambda: BackendWorker(backend.start_worker(WORKER, gpus=share)))


def _run(graph: StepGraph[S], placement: _Placement, progress: Progress, total: int | None, log: Callable[[S], None]) -> None:
    """Run a graph; `total`: steps, None: not known yet, 0: there are none."""
    if total == 0:
        return
    counter = ProgressCounter(progress, 0, total, "steps") if total else None
    done = 0

    def report(step: S) -> None:
        nonlocal done
        done += 1
        log(step)
        if counter:
            counter.add(1)
        else:
            progress(done, None, "steps")

    workers = min(placement.workers, total or placement.workers)
    if workers < 2:
        try:
            run_in_process(graph, report)
        finally:
            release()  # later stages of the run need the memory
    else:
        run_on_workers(graph, [placement.start() for _ in range(workers)], report)


def _check_search(job: MiningJob) -> None:
    """Check memory and libraries of the search, as soon as the number of sentences is known."""
    config = read_config(job.encoder)
    size = next((int(config[name]) for name in _SIZE_NAMES if name in config), 1024)
    for text in job.targets:
        ivf = job.uses_ivf(text)
        if ivf:
            require_faiss()
        rows = job.rows(text)
        _log.info(
            "%s: searching %s × %s sentences (%s-%s), %s",
            *(job.settings.name, f"{rows[0]:,}", f"{rows[1]:,}", job.side(text.source_side).language, text.target),
            "in an inverted file" if ivf else "exactly",
        )
        check_memory(rows, size, job.settings.neighbours, ivf, job.settings.name, f"the source {job.settings.name!r}")


def _log_step(step: MiningStep) -> None:
    """Log what a step found that concerns a whole side or language."""
    job = step.job
    if step.phase == "gather":
        side = job.sides[step.number]
        _log_side(job.settings.name, side.language, job.info(names.sentences_name(side.name)))
    if step.phase == "select":
        target = job.targets[step.number].target
        info = job.info(names.pairs_name(target))
        dev = "; planted pairs: precision {precision:.3f}, recall {recall:.3f}".format(**info["dev"]) if "dev" in info else ""
        counts = (f"{info['pairs']:,}", f"{info['candidates']:,}", info["min_margin"], dev)
        _log.info("%s: %s %s pairs of %s mutual nearest neighbours, margin at least %.4f%s", job.settings.name, target, *counts)


def _log_side(corpus: str, language: str, info: dict[str, Any]) -> None:
    counts = (f"{info['sentences']:,}", f"{info['documents']:,}", f"{info['duplicates']:,}", f"{info['left_out']:,}")
    _log.info("%s: %s %s different sentences in %s files; %s repeated, %s too long or without letters", corpus, language, *counts)
    log_set_aside(corpus, info["set_aside"], info["reasons"])


def log_set_aside(corpus: str, count: int, reasons: Sequence[str]) -> None:
    """Log documents that were set aside, with the first reasons."""
    if count:
        more = f"; and {count - 3} more" if count > 3 else ""
        _log.warning("%s: %d documents are set aside: %s%s", corpus, count, "; ".join(reasons[:3]), more)


def _text_bytes(job: MiningJob | DocumentJob) -> int:
    if isinstance(job, DocumentJob):
        return sum(pair.source.bytes + pair.target.bytes for pair in job.pairs)
    return sum(file.path.stat().st_size for side in job.sides for file in side.files)


def _count_gpus(device: str, backend: ExecutionBackend) -> int:
    """Return the number of GPUs that encoders run on."""
    if device == "cpu":
        return 0
    if backend.gpus is not None:
        return backend.gpus
    from mlctl.mining.embedding import is_gpu

    return int(is_gpu(device))


def _cores_with_memory(jobs: Sequence[MiningJob | DocumentJob], backend: ExecutionBackend) -> int:
    """Return the cores of all machines, as far as memory allows; a cluster is taken to have as much for each core as this machine."""
    needed = _WORKER_BYTES + 2 * max((_weights_size(job.encoder) for job in jobs), default=0)
    return max(1, backend.cores * min(usable_cores(), available_memory() // needed) // usable_cores())


def _weights_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in weight_files(folder))
