"""Torture tests: random kills, damage, hostile input and full disks, over all stages.

`make test` runs their short form. The long form, other random choices, and a list of what was done:

    TORTURE_TRIALS=200 TORTURE_SEED=7 python -m pytest tests/torture --log-file=torture.log --log-file-level=INFO
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .runs import Reference, RunServer, reference_of


def trials(short: int) -> int:
    """Return the number of trials of a test: `short`, unless the environment asks for the long form."""
    return int(os.environ.get("TORTURE_TRIALS") or short)


def seed() -> int:
    return int(os.environ.get("TORTURE_SEED", "0"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.torture)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random choices that differ from test to test and are the same in every run with one seed."""
    return random.Random(f"{seed()} {request.node.name}")


@pytest.fixture(scope="session")
def run_server(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Iterator[RunServer]:
    server = RunServer(tmp_path_factory.mktemp("runs"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def reference(run_server: RunServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reference]:
    """A run of a mode that nothing disturbed."""
    known: dict[str, Reference] = {}

    def get(mode: str) -> Reference:
        if mode not in known:
            known[mode] = reference_of(run_server, tmp_path_factory.mktemp(mode), mode)
        return known[mode]

    return get
