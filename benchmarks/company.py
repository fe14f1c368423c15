"""Training beside other processes on the same cores: pairs per second with one busy loop and with one for each core, as shares of the fair one.

    python benchmarks/company.py [--seconds N]

The fair share of a training with c threads beside b busy loops on c cores is c/(c + b) of its speed when idle, with the default settings. A
row's shares can exceed 100% because schedulers count threads. Generated pairs, an encoder of 4 layers × 256 with random weights. The
machine must be idle otherwise. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CORES = len(os.sched_getaffinity(0))
#: Name, environment, processes, threads of each.
SETTINGS: tuple[tuple[str, dict[str, str], int, int], ...] = (
    ("default", {}, 1, CORES),
    ("waiting threads sleep at once", {"GOMP_SPINCOUNT": "0"}, 1, CORES),
    ("waiting threads spin ten times longer", {"GOMP_SPINCOUNT": "10000"}, 1, CORES),
    ("waiting threads spin a long time", {"GOMP_SPINCOUNT": "300000"}, 1, CORES),
    ("one thread less", {}, 1, max(CORES - 1, 1)),
    (f"train.devices={CORES} train.threads=1", {}, CORES, 1),
)


class _EnoughError(Exception):
    """Ends a training."""


def measure(processes: int, threads: int, seconds: float, shards: Path) -> float:
    """Train for some seconds and return the pairs per second; the first seconds do not count."""
    from contenders import Geometry  # imports torch

    from mlctl.config import Model, Train
    from mlctl.core.workspace import Workspace
    from mlctl.modeling.model_export import save_model
    from mlctl.modeling.sentence_config import Pooling
    from mlctl.training import train

    marks: list[tuple[int, float]] = []

    def tick(done: int, *_: object, **__: object) -> None:
        marks.append((done, time.perf_counter()))
        if marks[-1][1] - marks[0][1] > seconds:
            raise _EnoughError

    settings = Train(
        objective="separate",
        loss="cz-nce",
        projection="mlp",
        word_pairs=1,
        anchor_weight=10,
        anchor_side="both",
        steps=100_000,
        batch_size=32,
        devices=processes,
        threads=threads,
        trackers=(),
        mlm_weight=0,
        judge_every=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        save_model(Geometry(4, 256, 5000).model(), shards / "tokenizer", model, Pooling((4,)))
        with contextlib.suppress(_EnoughError):
            train(settings, Model(name=str(model)), 0, shards, Workspace(Path(folder, "run")), tick)
    first, last = next(mark for mark in marks if mark[1] - marks[0][1] > seconds / 4), marks[-1]
    return 32 * (last[0] - first[0]) / (last[1] - first[1])


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep so many other processes busy inside the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    """Measure all settings, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)  # processes, threads, shards
    options = parser.parse_args()
    if options.measure:
        processes, threads, shards = options.measure
        print(measure(int(processes), int(threads), options.seconds, Path(shards)))
        return
    from made_shards import write_shards

    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(Path(folder, "shards"), 20_000, 5000)
        for count in (0, 1, CORES):
            with busy_loops(count):
                for name, environment, processes, threads in SETTINGS:
                    command = [sys.executable, __file__, "--seconds", str(options.seconds), "--measure"]
                    arguments = [str(processes), str(threads), str(shards)]
                    result = subprocess.run(
                        [*command, *arguments], env={**os.environ, **environment}, check=True, capture_output=True, text=True
                    )
                    rates.setdefault(name, []).append(float(result.stdout.split()[-1]))
                    print(f"{count} busy loops, {name}: {rates[name][-1]:.1f} pairs/s", flush=True)
    idle = rates["default"][0]
    print(f"\n| {CORES} cores | idle, pairs/s | beside one busy loop | beside {CORES} |\n|---|--:|--:|--:|")
    shares = {}
    for name, (alone, one, all_cores) in rates.items():
        fair = [idle * CORES / (CORES + count) for count in (1, CORES)]
        shares[name] = [one / fair[0], all_cores / fair[1]]
        print(f"| {name} | {alone:.0f} | {one:.0f} ({shares[name][0]:.0%}) | {all_cores:.0f} ({shares[name][1]:.0%}) |")
    print(json.dumps({"pairs_per_s": rates, "shares_of_the_fair_share": shares}))


if __name__ == "__main__":
    main()
