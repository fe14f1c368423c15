"""The scheduler on recorded step times: what 8 to 512 workers would make of 100 million pairs in 30 languages.

    python benchmarks/cluster_simulation.py [--quick] [--pairs N] [--languages N] [--workers N …]

First the steps of clean, align and shard run one after another in this process on two amounts of generated text (corpora_scale.py), and
their CPU seconds are recorded: a step's time is a line through both. Then mlctl's own scheduler runs the graphs of the large corpus in
simulated time, on workers that do nothing but take the recorded time. Two corpora: languages of equal size, and sizes in proportion to
1/rank (the largest has a quarter of the text). Not in it: waiting for network and disk, lost machines, and what the process of the run
does alone between the steps, which is recorded and printed apart. The last line is JSON.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import heapq
import itertools
import json
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from corpora_scale import LANGUAGE, write_corpus

from mlctl.alignment import align
from mlctl.alignment import language_job as align_job
from mlctl.alignment.steps import AlignStep
from mlctl.cleaning import clean
from mlctl.cleaning import language_job as clean_job
from mlctl.cleaning.reader import PART_ROWS
from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.execution.scheduler import run_on_workers
from mlctl.execution.step_graph import IndependentSteps, PhasedGraph
from mlctl.sharding import shard
from mlctl.sharding.external_sort import RUN_PAIRS

PAIRS, LANGUAGES, WORKERS = 100_000_000, 30, (8, 32, 128, 512)
RECORDED = {True: (60_000, 160_000), False: (100_000, 400_000)}  # above 55,000 all are aligned by the same number of sweeps
DISPATCH_SECONDS = 0.0006  # of the driver for a step on Ray (orchestration.py: 1,626 steps a second)
START_SECONDS = 5.0  # until a worker has loaded what it needs
PHASES = {
    "clean": ("sample", "fit", "filter", "write"),
    "align": ("tokenize", "train", "align", "merge"),
    "shard": ("statistics", "candidates", "rows", "shard"),
}


@dataclass
class Recorder:
    """CPU seconds of the steps of one run, by stage and phase, and of all that is between them, by stage."""

    steps: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    between: dict[str, float] = field(default_factory=dict)

    def stage(self, name: str, work: Callable[[], object]) -> None:
        """Record a stage whose steps run in this process."""

        def run(graph: Any, *arguments: Any) -> None:
            on_done = arguments[-1]
            while step := graph.pop_ready():
                started = time.process_time()
                run_step(step)
                self.steps[name, step.phase].append(time.process_time() - started)
                graph.mark_done(step)
                on_done(step)

        package = {"clean": "cleaning", "align": "alignment", "shard": "sharding"}[name]
        started = time.process_time()
        with mock.patch(f"mlctl.{package}.step_graph.run_on_workers", run):
            if package == "alignment":
                work()
            else:
                with mock.patch(f"mlctl.{package}.step_graph.run_in_process", run):
                    work()
        inside = sum(sum(seconds) for (stage, _), seconds in self.steps.items() if stage == name)
        self.between[name] = time.process_time() - started - inside


def run_step(step: Any) -> None:
    """Run a step in this process; the aligner's worker adds the rows of a part."""
    if isinstance(step, AlignStep) and step.phase == "align":
        rows = (0, step.job.part_rows(step.part))
        step.model_copy(update={"rows": rows}).run()
        step.job.write_ranges(step.part, [rows], [])
    else:
        step.run()


def record(folder: Path, pairs: int, tokenizer: Path | None = None) -> Recorder:
    """Return the recorded seconds of clean, align and shard on so many pairs of one language; without a tokenizer shard trains one."""
    recipe = Recipe.model_validate({"languages": {"targets": [LANGUAGE]}, "model": {"scratch": {"vocabulary": 8000}}})
    write_corpus(folder / "download", pairs, 0)
    spaces = {stage: Workspace(folder / stage) for stage in PHASES}
    for space in spaces.values():
        space.root.mkdir()
    if tokenizer:
        with spaces["shard"].part("tokenizer") as part:
            shutil.copytree(tokenizer, part)
    recorder = Recorder()
    recorder.stage("clean", lambda: clean(recipe.clean, recipe.languages, folder / "download", spaces["clean"]))
    recorder.stage("align", lambda: align(recipe.align, recipe.languages, 0, [folder / "clean"], spaces["align"]))
    recorder.stage("shard", lambda: shard(recipe.shard, recipe.model, recipe.languages, 0, folder / "align", spaces["shard"]))
    return recorder


@dataclass(frozen=True)
class Costs:
    """Seconds of a step of each phase: `each` of it and `pair` for each pair of the step."""

    each: dict[tuple[str, str], float]
    pair: dict[tuple[str, str], float]

    @classmethod
    def fit(cls, recorded: dict[int, Recorder]) -> Costs:
        """Fit a line for steps of a language; those of a part cost what they cost per pair in the larger run."""
        each, pair = {}, {}
        (small, first), (large, second) = sorted(recorded.items())
        for key, seconds in second.steps.items():
            if key[1] in ("filter", "tokenize", "align", "statistics", "rows", "shard"):
                each[key], pair[key] = 0.0, sum(seconds) / large
            else:
                pair[key] = max(0.0, (sum(seconds) - sum(first.steps[key])) / (large - small))
                each[key] = max(0.0, sum(seconds) - pair[key] * large)
        return cls(each, pair)

    def seconds(self, stage: str, phase: str, pairs: float) -> float:
        """Return the seconds of a step with so many pairs."""
        return self.each[stage, phase] + self.pair[stage, phase] * pairs


@dataclass(frozen=True)
class Step:
    """A step that takes some seconds."""

    phase: str
    seconds: float
    description: str = "step"
    remedy: str = ""
    timeout: None = None
    reads: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Job:
    """One language of a stage."""

    stage: str
    pairs: float
    costs: Costs
    finished: bool = False

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of the stage."""
        return PHASES[self.stage]

    @property
    def preparation(self) -> tuple[str, ...]:
        """The phases that all languages go through first."""
        return {"clean": clean_job.LanguageJob.preparation, "align": align_job.LanguageJob.preparation}[self.stage]

    def sizes(self, phase: str) -> list[float]:
        """Return the pairs of each step of a phase."""
        part = {
            "filter": PART_ROWS,
            "tokenize": 16_384,
            "align": 16_384,
            "statistics": RUN_PAIRS,
            "rows": RUN_PAIRS,
            "shard": 8192,
        }
        if phase == "sample":
            return [self.pairs / 4] * 4
        if phase == "train":
            return [min(self.pairs, 1_000_000) / 2]  # align.train_pairs; two threads sample one direction each
        if phase not in part:
            return [self.pairs]
        whole, rest = divmod(self.pairs, part[phase])
        return [part[phase]] * int(whole) + [rest] * (rest > 0)

    def unfinished(self, phase: str) -> range:
        """Return the numbers of a phase's steps."""
        return range(len(self.sizes(phase)))

    def steps(self, phase: str) -> list[Step]:
        """Return the steps of a phase."""
        return [Step(phase, self.costs.seconds(self.stage, phase, size)) for size in self.sizes(phase)]


class Clock(concurrent.futures.Executor):
    """Simulated time: what is submitted ends after the seconds of its step."""

    def __init__(self) -> None:
        self.now = self._driver_free = 0.0
        self.busy = 0.0
        self._ends: list[tuple[float, int, concurrent.futures.Future[None]]] = []
        self._counter = itertools.count()

    def submit(self, _function: Any, /, *arguments: Any, **_: Any) -> concurrent.futures.Future[Any]:
        """Start a step, or a worker."""
        seconds = arguments[0].seconds if arguments else START_SECONDS
        self._driver_free = max(self._driver_free, self.now) + DISPATCH_SECONDS
        self.busy += seconds if arguments else 0.0
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        heapq.heappush(self._ends, (self._driver_free + seconds, next(self._counter), future))
        return future

    def wait(self, _: Iterable[Any], **__: Any) -> Any:
        """Move to the next end, and return what has ended."""
        self.now, _number, future = heapq.heappop(self._ends)
        future.set_result(None)
        return SimpleNamespace(done={future})


class Worker:
    """A worker whose steps take simulated time."""

    def __init__(self) -> None:
        self.closed = False

    def start(self) -> None:
        """Take START_SECONDS."""

    def run(self, step: Step) -> None:
        """Take the step's seconds."""

    def kill(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Outcome:
    """Simulated seconds of a stage, the seconds of its steps, and those at the end in which less than half of the workers were busy."""

    seconds: float
    work: float
    tail: float


def simulate(graphs: Sequence[Any], workers: int) -> Outcome:
    """Run graphs one after another on so many workers."""
    clock, ends = Clock(), list[float]()
    tail = 0.0
    for graph in graphs:
        ends.clear()
        with (
            mock.patch.object(concurrent.futures, "ThreadPoolExecutor", return_value=clock),
            mock.patch.object(concurrent.futures, "wait", clock.wait),
        ):
            run_on_workers(graph, [Worker() for _ in range(workers)], lambda _: ends.append(clock.now))
        tail += clock.now - sorted(ends)[max(0, len(ends) - 1 - workers // 2)]
    return Outcome(clock.now, clock.busy, tail)


def graphs_of(stage: str, sizes: Sequence[float], costs: Costs) -> list[Any]:
    """Return the graphs of a stage, which run one after another."""
    jobs = [Job(stage, size, costs) for size in sizes]
    if stage == "shard":
        return [IndependentSteps([step for job in jobs for step in job.steps(phase)]) for phase in PHASES[stage]]
    steps = {id(job): {phase: job.steps(phase) for phase in job.phases} for job in jobs}
    return [PhasedGraph(jobs, lambda job, phase, number: _copy(steps[id(job)][phase][number]))]


def _copy(step: Step) -> Step:
    """Return an equal step: the graph tells steps apart by their identity."""
    return Step(step.phase, step.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="record on few pairs")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--languages", type=int, default=LANGUAGES)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder, "warm")
        record(warm, 5_000)  # compiles kernels, imports modules, trains the tokenizer
        recorded = {pairs: record(Path(folder, str(pairs)), pairs, warm / "shard/tokenizer") for pairs in RECORDED[options.quick]}
    costs = Costs.fit(recorded)
    print_costs(costs, recorded[max(recorded)], max(recorded))
    print(json.dumps(tables(costs, options.pairs, options.languages, options.workers)))


def print_costs(costs: Costs, largest: Recorder, pairs: int) -> None:
    """Print the recorded costs."""
    print(f"{'phase':20}{'s per step':>12}{'µs per pair':>13}")
    for (stage, phase), seconds in costs.pair.items():
        print(f"{stage + ' ' + phase:20}{costs.each[stage, phase]:12.2f}{seconds * 1e6:13.1f}")
    for stage, seconds in largest.between.items():
        print(f"{stage + ' between steps':20}{seconds:12.2f}{seconds / pairs * 1e6:13.1f}")


def tables(costs: Costs, pairs: int, languages: int, workers: Sequence[int]) -> dict[str, Any]:
    """Print and return by corpus, stage and number of workers: minutes, speed-up, share of the workers' time that was idle, and tail."""
    ranks = [1 / (rank + 1) for rank in range(languages)]
    corpora = {"equal": [pairs / languages] * languages, "1/rank": [pairs * share / sum(ranks) for share in ranks]}
    figures: dict[str, Any] = {}
    for corpus, sizes in corpora.items():
        print(
            f"\n{pairs:,} pairs, {languages} languages, {corpus}\n{'stage':8}{'workers':>8}{'minutes':>10}{'speed-up':>10}{'idle':>8}{'tail min':>10}"
        )
        for stage in PHASES:
            for number in workers:
                outcome = simulate(graphs_of(stage, sizes, costs), number)
                row = {
                    "minutes": round(outcome.seconds / 60, 1),
                    "speedup": round(outcome.work / outcome.seconds, 1),
                    "idle": round(1 - outcome.work / outcome.seconds / number, 3),
                    "tail_minutes": round(outcome.tail / 60, 1),
                }
                figures[f"{corpus} {stage} {number}"] = row
                print(f"{stage:8}{number:8}{row['minutes']:10}{row['speedup']:10}{row['idle']:8.0%}{row['tail_minutes']:10}")
    return figures


if __name__ == "__main__":
    main()
