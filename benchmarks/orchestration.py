"""What Prefect adds: to a whole run against bare calls of the same stages, and to a run that is cached. And how fast parts are handed out.

    python benchmarks/orchestration.py [--quick] [--server URL]

A recipe of seconds on made-up text runs by turns as `mlctl run` does it and as plain calls, each in a fresh process with a fresh store;
what the flow takes longer, its server's start included, is a share of an hour, which is a short run in earnest. Then the flow runs
again on a store that has all results. Then parts that do next to nothing are done as stages have them done: by threads, by processes,
and by workers on a Ray cluster that is started here, where ray is installed; and, to compare, as Prefect tasks. URL is the API of a
running Prefect server, which then need not be started. The last line is JSON.
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
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
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
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (place, environment.get("PYTHONPATH"))))
        figures = {
            **_runs(folder, environment, ROUNDS[options.quick]),
            "parts_per_second": _parts(environment, PARTS[options.quick]),
        }
    print(json.dumps(figures))


# Runs.


def _runs(folder: Path, environment: dict[str, str], rounds: int) -> dict[str, float]:
    """Let flow and bare calls take turns; return what the flow adds as a share of an hour, and what a cached run takes."""
    recipe = _recipe(folder)
    taken: dict[str, list[float]] = {"flow": [], "cached": [], "bare": []}
    for number in range(rounds):
        store = folder / f"flow-{number}"
        for name, command in (
            ("flow", _flow(recipe, store)),
            ("cached", _flow(recipe, store)),
            ("bare", _bare(recipe, folder, number)),
        ):
            taken[name].append(_seconds(command, environment))
    middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
    print("seconds of a process, median" + (f" of {rounds}" if rounds > 1 else ""))
    for name, said in (("flow", "as a flow"), ("bare", "as plain calls"), ("cached", "as a flow, all cached")):
        print(f"    {said:24} {middle[name]:7.2f}   " + " ".join(f"{one:.2f}" for one in taken[name]))
    return {"overhead_share": round((middle["flow"] - middle["bare"]) / HOUR, 5), "cached_seconds": round(middle["cached"], 2)}


def _flow(recipe: Path, store: Path) -> list[str]:
    return [sys.executable, "-m", "flows.pipeline", str(recipe), f"store={store}"]


def _bare(recipe: Path, folder: Path, number: int) -> list[str]:
    return [sys.executable, __file__, "--bare", str(recipe), str(folder / f"bare-{number}")]


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.monotonic()
    _output(command, environment)
    return time.monotonic() - started


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def bare(recipe: Path, store: Path) -> None:
    """Make every stage's result by plain calls of what the tasks call."""
    from mlctl import config
    from tasks import align, clean, download, evaluate, report, shard, train, translate
    from tasks.stage import Ref, make

    settings = config.load(recipe, [f"store={store}"])
    made: dict[str, Ref] = {}
    for module in (download, clean, translate, align, shard, train, evaluate, report):
        stage = module.STAGE
        made[stage.name], _ = make(stage, settings, tuple(made[name] for name in stage.needs))


def _recipe(folder: Path) -> Path:
    """Write made-up text in two languages, each word the other's read backwards, and a recipe of seconds over it."""
    draw = random.Random(5)
    words = ["".join(draw.choice(LETTERS[place % 2]) for place in range(draw.randint(3, 7))) for _ in range(300)]
    text = [[draw.choice(words) for _ in range(draw.randint(4, 12))] for _ in range(400)]
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


# Parts.


def _parts(environment: dict[str, str], parts: int) -> dict[str, float | None]:
    """Have parts done by each kind of worker, measured in a process of its own."""
    found: dict[str, float | None] = {}
    print(f"\n{parts} parts a second by {WORKERS} workers")
    for kind in ("threads", "processes", "ray", "tasks"):
        if kind == "ray" and not importlib.util.find_spec("ray"):
            found[kind] = None
        else:
            with _ray(environment) if kind == "ray" else contextlib.nullcontext(environment) as there:
                command = [sys.executable, __file__, "--parts", kind, str(parts)]
                found[kind] = float(_output(command, there).splitlines()[-1])
        print(f"    {NAMES.get(kind, kind):24} {found[kind] if found[kind] is not None else 'not installed'}", flush=True)
    return {kind: number for kind, number in found.items() if kind not in NAMES}


@contextlib.contextmanager
def _ray(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Start a cluster of one machine that listens on the loopback interface alone; yield what its users' environment is."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    there = {
        **environment,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # it believes that there can be no other machine: else it takes no loopback address
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
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=there)
        try:
            said: list[str] = []
            while not (said and "Ray runtime started" in said[-1]):
                said.append(process.stdout.readline() if process.stdout else "")
                if not said[-1]:
                    raise SystemExit(f"ray start failed:\n{''.join(said)}")
            yield there
        finally:
            process.terminate()
            process.communicate()


def run_parts(kind: str, parts: int) -> None:
    """Print how many parts a second are done, the start of whoever does them left out."""
    ways = {"threads": _threads, "processes": _workers, "ray": _workers, "tasks": _tasks}
    with tempfile.TemporaryDirectory() as folder, ways[kind](kind, Path(folder)) as do:
        do(2 * WORKERS)
        started = time.monotonic()
        do(parts)
        print(round(parts / (time.monotonic() - started), 2))


@contextlib.contextmanager
def _threads(kind: str, folder: Path) -> Iterator[Callable[[int], object]]:
    """As download and translate have parts done."""
    del kind, folder
    with ThreadPoolExecutor(WORKERS) as pool:
        yield lambda parts: list(pool.map(_part, range(parts)))


@contextlib.contextmanager
def _workers(kind: str, folder: Path) -> Iterator[Callable[[int], object]]:
    """As clean and align have parts done: jobs that go to processes, of this machine or through Ray."""
    from mlctl.config import Recipe
    from mlctl.core.workspace import Workspace
    from mlctl.execution.backend import open_backend

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
    """As a Prefect task each, on threads: not what mlctl does."""
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
    parser.add_argument("--quick", action="store_true", help="one turn, few parts")
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
