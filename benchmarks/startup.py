"""Start-up time of commands that run no stage, against importing pyarrow and pydantic alone.

    python benchmarks/startup.py [--quick]

Every command is a new process; baseline and commands take turns, so that a drift of the machine's speed affects all alike. Seconds
are CPU time (user + system), which other processes on the machine change less than wall time. The last line is JSON: the median seconds of
`mlctl plan` (wall), of each command as a multiple of the baseline (CPU), and the heavy packages that a command loads (none).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAVY = ("prefect", "torch", "transformers")
BASELINE = [sys.executable, "-c", "import pyarrow, pydantic"]
COMMANDS = {
    "--help": ["--help"],
    "plan": ["plan", "demo", "--offline"],
    "explain": ["explain", "train", "demo"],
    "runs": ["runs"],
    "store ls": ["store", "ls"],
    "champion show": ["champion", "show", "demo"],
}
LOADED = "import sys; from mlctl.cli.main import main; main(sys.argv[2:]); print(*(m for m in sys.argv[1].split() if m in sys.modules), file=sys.stderr)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 10")
    print(json.dumps(measure(3 if parser.parse_args().quick else 10)))


def measure(rounds: int) -> dict[str, object]:
    """Time baseline and commands in turns, print the table, and return the figures of the last line."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path}
        commands = {name: [sys.executable, "-m", "mlctl", *arguments] for name, arguments in COMMANDS.items()}
        seconds: dict[str, list[tuple[float, float]]] = {"imports": [], **{name: [] for name in commands}}
        for number in range(rounds + 1):
            for name, command in {"imports": BASELINE, **commands}.items():
                measured = _seconds(command, folder, environment)
                if number:  # the first round warms the file cache and compiles
                    seconds[name].append(measured)
        heavy = sorted({module for arguments in COMMANDS.values() for module in _loaded(arguments, folder, environment)})
    return _figures(seconds, heavy)


def _seconds(command: list[str], folder: str, environment: dict[str, str]) -> tuple[float, float]:
    """Run a command; return its wall and its CPU time in seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _loaded(arguments: list[str], folder: str, environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "-c", LOADED, " ".join(HEAVY), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stderr.split()


def _figures(seconds: dict[str, list[tuple[float, float]]], heavy: list[str]) -> dict[str, object]:
    wall = {name: statistics.median(pair[0] for pair in pairs) for name, pairs in seconds.items()}
    cpu = {name: statistics.median(pair[1] for pair in pairs) for name, pairs in seconds.items()}
    print(f"{'':16} {'wall s':>7} {'CPU s':>7} {'CPU / imports':>14}")
    for name in seconds:
        print(f"{name:16} {wall[name]:7.2f} {cpu[name]:7.2f} {cpu[name] / cpu['imports']:14.2f}")
    ratios = {name: round(cpu[name] / cpu["imports"], 2) for name in seconds if name != "imports"}
    return {"plan_seconds": round(wall["plan"], 2), "over_imports": ratios, "heavy_packages": heavy}


if __name__ == "__main__":
    main()
