"""What every test may use: a tiny corpus in a wheel, a recipe over it, one real Prefect server a session."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml


def _load_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


tiny = _load_module("tiny")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel `tinylocales` 1.0, the only package that pip can find in the tests."""
    folder = tmp_path_factory.mktemp("wheels")
    tiny.write_wheel(folder)
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder), PIP_DISABLE_PIP_VERSION_CHECK="1")
    os.environ.pop("PIP_EXTRA_INDEX_URL", None)
    return folder


@pytest.fixture
def recipe(tmp_path: Path, wheels: Path) -> Path:
    """A recipe file of seconds, with a store of its own."""
    return write_recipe(tmp_path, tiny.recipe(tmp_path / "store"))


def write_recipe(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server on a free port with a home of its own; every flow of the session reports to it."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(
        PREFECT_HOME=str(home),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        PREFECT_LOGGING_TO_API_ENABLED="false",
    )
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_up(f"{url}/health", process)
        os.environ["PREFECT_API_URL"] = url
        yield url
    finally:
        os.environ.pop("PREFECT_API_URL", None)
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
