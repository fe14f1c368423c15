"""A part is whole or absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlctl.core.workspace import Workspace


def test_a_part_appears_when_its_block_ends(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.part("a/b.txt") as path:
        path.write_text("x")
        assert not workspace.has("a/b.txt")
    assert workspace.path("a/b.txt").read_text() == "x"


def test_a_folder_can_be_a_part(tmp_path: Path) -> None:
    with Workspace(tmp_path).part("model") as path:
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "f").write_text("x")
    assert (tmp_path / "model" / "deep" / "f").read_text() == "x"


def test_an_error_leaves_no_part(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(RuntimeError), workspace.part("a") as path:
        path.write_text("half")
        raise RuntimeError
    assert not workspace.has("a")


def test_a_kill_leaves_no_part_and_the_next_try_starts_clean(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from mlctl.core.workspace import Workspace
with Workspace(Path({str(tmp_path)!r})).part("a") as path:
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    workspace = Workspace(tmp_path)
    assert not workspace.has("a")
    with workspace.part("a") as path:
        assert not path.exists()
        path.write_text("whole")
    assert workspace.path("a").read_text() == "whole"
