"""Prefect reads its settings once: mlctl's defaults have to be there by then, whatever asks first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("file", ["", "pyproject.toml", ".env"])
def test_prefects_defaults_are_ours_in_any_folder(file: str, tmp_path: Path) -> None:
    """A settings file in the folder has Prefect asked for its server early: its settings are read once, and must be ours by then."""
    if file:
        (tmp_path / file).touch()
    code = (
        "from mlctl.cli.flow_command import names_server\n"
        "print(names_server())\n"
        "import flows\n"
        "from prefect.settings import get_current_settings as settings\n"
        "print(settings().server.ephemeral.startup_timeout_seconds, settings().flows.heartbeat_frequency)"
    )
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**ours, "PREFECT_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "180", "30"]
