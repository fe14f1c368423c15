"""Mutation tests: small, named faults in the core of the project, each of which the named tests must notice.

    python benchmarks/mutations.py [--quick] [--only NAME …] [--list]

Each mutation replaces a text in one file of a temporary copy of the working tree, and the tests that should fail are run there. A
mutation is killed if they fail, and survives if they pass. The named tests are run without any mutation first: they must pass. A text
that does not occur exactly once is reported as stale: rewrite the mutation. The exit status is 0 if none survives and none is stale.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutation_table import HASHING, KEYS, STORE, Mutation
from mutation_table_models import EVALUATION, EXPORT, LICENCES, SHARDING, TRAINING
from mutation_table_translation import TRANSLATION

MUTATIONS = [*HASHING, *KEYS, *STORE, *SHARDING, *LICENCES, *TRANSLATION, *TRAINING, *EVALUATION, *EXPORT]
ROOT = Path(__file__).parent.parent
IGNORED = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "mlctl-store*", "*.egg-info")
TIMEOUT = 300.0  # seconds; a mutation that makes the tests hang is killed
_SECONDS = itertools.count(1_000_000_000)
PYTEST_PASSED, PYTEST_FAILED, PYTEST_INTERRUPTED = 0, 1, 2  # interrupted: the mutated module cannot be imported


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only mutations whose tests need no PyTorch")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these mutations")
    parser.add_argument("--list", action="store_true", help="print names and files, run nothing")
    options = parser.parse_args()
    mutations = selected(options.only, options.quick)
    if options.list:
        print("\n".join(f"{mutation.name:40} {mutation.file}" for mutation in mutations))
        return
    stale = [mutation.name for mutation in mutations if not mutation.applies_to(ROOT)]
    for name in stale:
        print(f"stale      {name}: its text does not occur exactly once")
    fresh = [mutation for mutation in mutations if mutation.name not in stale]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=IGNORED, symlinks=True)
        check_unmutated(tree, fresh)
        survivors = [mutation.name for mutation in fresh if not is_killed(tree, mutation)]
    killed = len(fresh) - len(survivors)
    print(json.dumps({"mutations": len(mutations), "killed": killed, "survivors": survivors, "stale": stale}))
    sys.exit(bool(survivors or stale))


def selected(names: Sequence[str] | None, quick: bool) -> list[Mutation]:
    """Return the mutations of some names, those of `--quick`, or all."""
    if names is None:
        return [mutation for mutation in MUTATIONS if mutation.quick or not quick]
    by_name = {mutation.name: mutation for mutation in MUTATIONS}
    if unknown := sorted(set(names) - set(by_name)):
        sys.exit(f"no such mutation: {', '.join(unknown)}; --list prints all")
    return [by_name[name] for name in names]


def check_unmutated(tree: Path, mutations: Sequence[Mutation]) -> None:
    """Exit with an error if the named tests fail without any mutation: then a failure proves nothing."""
    tests = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
    status, output = run_tests(tree, tests, timeout=10 * TIMEOUT) if tests else (PYTEST_PASSED, "")
    if status != PYTEST_PASSED:
        sys.exit(f"{output}\nthe tests fail without any mutation (pytest status {status}); fix them first")


def is_killed(tree: Path, mutation: Mutation) -> bool:
    """Apply a mutation to the copy, run its tests, and restore the file."""
    path, started = tree / mutation.file, time.monotonic()
    original = path.read_text(encoding="utf-8")
    write(path, original.replace(mutation.old, mutation.new))
    try:
        status, output = run_tests(tree, mutation.tests, TIMEOUT)
    finally:
        write(path, original)
    if status not in (PYTEST_PASSED, PYTEST_FAILED, PYTEST_INTERRUPTED):
        sys.exit(f"{output}\n{mutation.name}: pytest cannot run these tests (status {status}); fix the mutation")
    killed = status != PYTEST_PASSED
    print(f"{'killed' if killed else 'SURVIVED':10} {mutation.name} ({time.monotonic() - started:.0f} s)", flush=True)
    return killed


def write(path: Path, text: str) -> None:
    """Write a source file with a new time stamp: Python tells by its seconds whether the bytecode of a file is current."""
    path.write_text(text, encoding="utf-8")
    second = next(_SECONDS)
    os.utime(path, (second, second))


def run_tests(tree: Path, tests: Iterable[str], timeout: float) -> tuple[int, str]:
    """Return pytest's exit status and output; a run that takes longer than `timeout` seconds counts as failed."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return PYTEST_FAILED, f"no end after {timeout:.0f} s"
    return run.returncode, run.stdout + run.stderr


if __name__ == "__main__":
    main()
