"""What every test may use: a tiny corpus in a wheel, a recipe over it, one real Prefect server a session."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

# Models this small are slower on more threads, which wait for each other beside the other tests. Read when torch is loaded.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.append(str(Path(__file__).parent / "helpers"))  # not `tests`: its folder `mlctl` would hide the package

import tiny
from installation import Installation, install

# The same examples in every run, so that what fails has been changed; `pytest --hypothesis-profile default` looks for new ones.
# And a machine's speed is no assertion: without this, an example that takes 200 ms fails.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


def _point_prefect_at_a_server_of_ours() -> None:
    """Set what Prefect reads when it is first imported: a free port, a home of its own, no calls home."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(
        PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        PREFECT_HOME=tempfile.mkdtemp(prefix="mlctl-tests-"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    )


_point_prefect_at_a_server_of_ours()
importlib.import_module("prefect.main")  # now: set up inside a test, its log would go to that test for ever


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel `tinylocales` 1.0, the only package that pip can find in the tests."""
    folder = tmp_path_factory.mktemp("wheels")
    tiny.write_wheel(folder)
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder), PIP_DISABLE_PIP_VERSION_CHECK="1")
    os.environ.pop("PIP_EXTRA_INDEX_URL", None)
    return folder


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """mlctl's wheel, installed in an environment of its own outside the checkout."""
    return install(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def mount_volume(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a volume of a size (such as "24m") and returns its folder; root alone can do that."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / "volume"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("no permission to mount a volume")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def recipe(tmp_path: Path, wheels: Path) -> Path:
    """A recipe file of seconds, with a store of its own."""
    return write_recipe(tmp_path, tiny.recipe(tmp_path / "store"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders with the longest files first, so that none of these is left for the end, where it would run alone."""
    items.sort(key=lambda item: next((n for n, name in enumerate(("operations", "flows")) if name in item.path.parts), 2))


_BEGAN = time.monotonic()


@pytest.hookimpl(tryfirst=True)  # before the test's fixtures, which can be the slow part
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip slow tests once the minutes of MLCTL_TEST_MINUTES have passed: a slow machine has no time for all of them."""
    minutes = float(os.environ.get("MLCTL_TEST_MINUTES", "inf"))
    if time.monotonic() - _BEGAN > 60 * minutes and item.get_closest_marker("slow"):
        pytest.skip(f"slow, and the {minutes:g} minutes of MLCTL_TEST_MINUTES have passed")


def write_recipe(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A real Prefect server on a free port with a home of its own; every flow of the session reports to it."""
    url = os.environ["PREFECT_API_URL"]
    host, port = url.removeprefix("http://").removesuffix("/api").split(":")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", port]
    with (Path(os.environ["PREFECT_HOME"]) / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_up(f"{url}/health", process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], patience: float = 180) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        assert process.poll() is None, "the Prefect server ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"no Prefect server at {url}")
