"""Overhead of Prefect: of a run against plain calls of the same stages, and of a cached run; and the dispatch rate of empty steps.

    python benchmarks/orchestration.py [--quick] [--server URL]

1. A recipe of a few seconds on generated text runs alternately as `mlctl run` and as plain calls, each in a new process with a new store.
   The additional time of the flow, including the start of its server, is given as a share of one hour, the duration of a short real run.
2. The flow runs again on a store that has all results.
3. Empty steps are dispatched as stages do it: to threads, to processes, and to workers of a local Ray cluster if ray is installed; for
   comparison also as Prefect tasks.
4. `mlctl plan` starts (benchmarks/startup.py has all commands).

URL is the API of a running Prefect server, which is then used instead of an ephemeral one. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import startup
import yaml

if TYPE_CHECKING:
    from mlctl.execution.backend import Worker

HOUR = 3600.0
ROUNDS = {True: 1, False: 5}
PARTS = {True: 100, False: 500}
WORKERS = 2
NAMES = {"tasks": "(as Prefect tasks)"}
LETTERS = "bdfglmnprst", "aeiou"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as workdir:
        folder = Path(workdir)
        environment = {
            **os.environ,
            "PREFECT_HOME": str(folder / "prefect"),
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }
        if options.server:
            environment["PREFECT_API_URL"] = options.server
        else:
            environment.pop("PREFECT_API_URL", None)
        (folder / "orchestration_part.py").write_text(
            "from mlctl.execution.processes import serve_jobs\nserve_jobs(lambda number: None)\n"
        )
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (workdir, environment.get("PYTHONPATH"))))
        figures = {
            **_runs(folder, environment, ROUNDS[options.quick]),
            "parts_per_second": _parts(environment, PARTS[options.quick]),
            "plan_seconds": startup.measure(ROUNDS[options.quick])["plan_seconds"],
        }
    print(json.dumps(figures))


# Whole runs.


def _runs(folder: Path, environment: dict[str, str], rounds: int) -> dict[str, float]:
    """Alternate flow and plain calls; return the overhead of the flow as a share of an hour, and the seconds of a cached run."""
    recipe = _recipe(folder)
    durations: dict[str, list[float]] = {"flow": [], "cached": [], "bare": []}
    for number in range(rounds):
        store = folder / f"flow-{number}"
        for name, command in (
            ("flow", _flow(recipe, store)),
            ("cached", _flow(recipe, store)),
            ("bare", _bare(recipe, folder, number)),
        ):
            durations[name].append(_seconds(command, environment))
    medians = {name: statistics.median(seconds) for name, seconds in durations.items()}
    print("seconds per process, median" + (f" of {rounds}" if rounds > 1 else ""))
    for name, label in (("flow", "as a flow"), ("bare", "as plain calls"), ("cached", "as a flow, all cached")):
        print(f"    {label:24} {medians[name]:7.2f}   " + " ".join(f"{seconds:.2f}" for seconds in durations[name]))
    return {"overhead_share": round((medians["flow"] - medians["bare"]) / HOUR, 5), "cached_seconds": round(medians["cached"], 2)}


def _flow(recipe: Path, store: Path) -> list[str]:
    return [sys.executable, "-m", "mlctl", "run", str(recipe), f"store={store}"]


def _bare(recipe: Path, folder: Path, number: int) -> list[str]:
    return [sys.executable, __file__, "--bare", str(recipe), str(folder / f"bare-{number}")]


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.monotonic()
    _output(command, environment)
    return time.monotonic() - started


def _output(command: list[str], environment: dict[str, str]) -> str:
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stdout}{process.stderr}")
    return process.stdout


def bare(recipe: Path, store: Path) -> None:
    """Compute the result of every stage by plain calls of what the tasks call."""
    from mlctl import config
    from mlctl.pipeline.stage import Ref, make
    from mlctl.pipeline.stages import STAGES

    settings = config.load(recipe, [f"store={store}"])
    refs: dict[str, Ref] = {}
    for stage in STAGES:
        refs[stage.name], _ = make(stage, settings, tuple(refs[name] for name in stage.needs))


def _recipe(folder: Path) -> Path:
    """Write generated text in two languages, one with the words of the other reversed, and a recipe of a few seconds for it."""
    rng = random.Random(5)
    words = ["".join(rng.choice(LETTERS[position % 2]) for position in range(rng.randint(3, 7))) for _ in range(300)]
    text = [[rng.choice(words) for _ in range(rng.randint(4, 12))] for _ in range(400)]
    (folder / "toy.en").write_text("".join(" ".join(row) + "\n" for row in text))
    (folder / "toy.fr").write_text("".join(" ".join(word[::-1] for word in row) + "\n" for row in text))
    small = {"vocabulary": 400, "layers": 2, "hidden": 32, "heads": 2, "feed_forward": 64}
    recipe: dict[str, Any] = {
        "name": "toy",
        "languages": {"targets": ["fr"]},
        "download": {"sources": [{"kind": "files", "name": "toy", "path": str(folder / "toy.{language}")}]},
        "clean": {"min_likelihood": -3, "language_letters": 10_000},
        "shard": {"heldout_pairs": 40, "max_length": 48},
        "model": {"scratch": small},
        "train": {"steps": 20, "batch_size": 16, "threads": 1, "devices": "cpu", "trackers": []},
        "evaluate": {"device": "cpu", "resamples": 100, "embedding_map_sentences": 2},
        "report": {"projection": "pca"},
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


# Steps.


def _parts(environment: dict[str, str], parts: int) -> dict[str, float | None]:
    """Measure the dispatch rate of each kind of worker in a separate process."""
    rates: dict[str, float | None] = {}
    print(f"\nsteps per second with {WORKERS} workers ({parts} steps)")
    for kind in ("threads", "processes", "ray", "tasks"):
        if kind == "ray" and not importlib.util.find_spec("ray"):
            rates[kind] = None
        else:
            with _ray(environment) if kind == "ray" else contextlib.nullcontext(environment) as ray_environment:
                command = [sys.executable, __file__, "--parts", kind, str(parts)]
                rates[kind] = float(_output(command, ray_environment).splitlines()[-1])
        print(f"    {NAMES.get(kind, kind):24} {rates[kind] if rates[kind] is not None else 'not installed'}", flush=True)
    return {kind: rate for kind, rate in rates.items() if kind not in NAMES}


@contextlib.contextmanager
def _ray(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Start a cluster of one machine on the loopback interface only; yield the environment for its users."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ray_environment = {
        **environment,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # otherwise Ray refuses a loopback address, because another machine could not join
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_ADDRESS": f"127.0.0.1:{port}",
    }
    with tempfile.TemporaryDirectory(prefix="ray-") as home:
        options = [
            "--node-ip-address=127.0.0.1",
            f"--port={port}",
            f"--num-cpus={WORKERS}",
        ]
        options += ["--include-dashboard=false", "--object-store-memory=80000000", f"--temp-dir={home}"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ray_environment)
        try:
            lines: list[str] = []
            while not (lines and "Ray runtime started" in lines[-1]):
                lines.append(process.stdout.readline() if process.stdout else "")
                if not lines[-1]:
                    raise SystemExit(f"ray start failed:\n{''.join(lines)}")
            yield ray_environment
        finally:
            process.terminate()
            process.communicate()


def run_parts(kind: str, parts: int) -> None:
    """Print the steps per second, without the start of the workers."""
    dispatchers = {"threads": _threads, "processes": _workers, "ray": _workers, "tasks": _tasks}
    with tempfile.TemporaryDirectory() as folder, dispatchers[kind](kind, Path(folder)) as dispatch:
        dispatch(2 * WORKERS)
        started = time.monotonic()
        dispatch(parts)
        print(round(parts / (time.monotonic() - started), 2))


@contextlib.contextmanager
def _threads(kind: str, folder: Path) -> Iterator[Callable[[int], object]]:
    """Dispatch like download and translate: to threads."""
    del kind, folder
    with ThreadPoolExecutor(WORKERS) as pool:
        yield lambda parts: list(pool.map(_part, range(parts)))


@contextlib.contextmanager
def _workers(kind: str, folder: Path) -> Iterator[Callable[[int], object]]:
    """Dispatch like clean and align: to local processes or Ray workers."""
    from mlctl.config import Recipe
    from mlctl.core.workspace import Workspace
    from mlctl.execution.registry import open_backend

    with open_backend(Recipe.model_validate({"executor": kind}), Workspace(folder)) as backend, contextlib.ExitStack() as stack:
        idle: SimpleQueue[Worker] = SimpleQueue()
        for _ in range(WORKERS):
            idle.put(worker := backend.start_worker("orchestration_part"))
            stack.callback(worker.close)

        def part(number: int) -> None:
            worker = idle.get()
            worker.run(number, "part", "")
            idle.put(worker)

        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield lambda parts: list(pool.map(part, range(parts)))


@contextlib.contextmanager
def _tasks(kind: str, folder: Path) -> Iterator[Callable[[int], object]]:
    """Run each step as a Prefect task on threads, which mlctl does not do."""
    del kind, folder
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    part = task(persist_result=False)(_part)

    @flow(task_runner=ThreadPoolTaskRunner(WORKERS), persist_result=False)  # type: ignore[arg-type]
    def run(parts: int) -> None:
        part.map(range(parts)).result()

    yield run


def _part(number: int) -> int:
    return number * number


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, few steps")
    parser.add_argument("--server", help="API of a running Prefect server")
    parser.add_argument("--bare", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--parts", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = _options()
    if given.bare:
        bare(*given.bare)
    elif given.parts:
        run_parts(given.parts[0], int(given.parts[1]))
    else:
        main()
