"""What Prefect adds: to a whole run against bare calls of the same stages, to a run that is cached, and to many small parts.

    python benchmarks/orchestration.py [--quick] [--server URL]

A recipe of seconds on made-up text runs by turns as `mlctl run` does it and as plain calls, each in a fresh process with a fresh store;
what the flow takes longer, its server's start included, is a share of an hour, which is a short run in earnest. Then the flow runs
again on a store that has all results. Then parts that do next to nothing run as Prefect tasks on threads and on processes, and
on Ray where ray and prefect-ray are installed. URL is the API of a running Prefect server, which then need not be started.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

HOUR = 3600.0
ROUNDS = {True: 1, False: 5}
PARTS = {True: 60, False: 500}
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
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


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
        "evaluate": {"device": "cpu", "resamples": 100, "map_meanings": 2},
        "report": {"projection": "pca"},
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


# Parts.


def _parts(environment: dict[str, str], parts: int) -> dict[str, float | None]:
    """Run parts on each kind of worker in a process of its own."""
    found: dict[str, float | None] = {}
    print(f"\n{parts} parts a second as Prefect tasks")
    for kind in ("threads", "processes", "ray"):
        if kind == "ray" and not (importlib.util.find_spec("ray") and importlib.util.find_spec("prefect_ray")):
            found[kind] = None
        else:
            command = [sys.executable, __file__, "--parts", kind, str(parts)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            found[kind] = float(done.stdout.splitlines()[-1])
        print(f"    {kind:12} {found[kind] if found[kind] is not None else 'not installed'}", flush=True)
    return found


def run_parts(kind: str, parts: int) -> None:
    """Print how many parts a second a flow gets done, its start left out."""
    from prefect import flow, task

    @task(persist_result=False)
    def part(number: int) -> int:
        return number * number

    @flow(task_runner=_runner(kind)(), persist_result=False)
    def all_parts() -> float:
        part.map(range(4)).result()  # workers are up
        started = time.monotonic()
        assert part.map(range(parts)).result() == [number * number for number in range(parts)]
        return parts / (time.monotonic() - started)

    print(round(all_parts(), 2))


def _runner(kind: str) -> Callable[[], Any]:
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

    if kind == "ray":
        from prefect_ray import RayTaskRunner

        return RayTaskRunner
    return {"threads": ThreadPoolTaskRunner, "processes": ProcessPoolTaskRunner}[kind]


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
