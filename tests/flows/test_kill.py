"""kill -9 inside every stage, run again: the same result to the byte as without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from storage import Store
from storage.runs import Diary

STAGES = ("download", "clean", "translate", "align", "shard", "train", "evaluate", "report")
KILLS = [
    ("download", "part"),
    ("clean", "part"),
    ("clean", "late"),
    ("translate", "part"),
    ("align", "1"),
    ("align", "3"),
    ("align", "part"),
    ("shard", "part"),
    ("train", "7"),
    ("train", "part"),
    ("train", "late"),
    ("evaluate", "part"),
    ("report", "part"),
]
SCRIPT = Path(__file__).with_name("kill_at.py")


def contents(store: Path) -> dict[str, str]:
    return {r.manifest.stage: f"{r.manifest.key} {r.manifest.content}" for r in Store(store).results()}


def run(*arguments: str) -> int:
    return subprocess.run([sys.executable, *arguments], env=os.environ, capture_output=True, timeout=300, check=False).returncode


def test_killed_in_every_stage_and_resumed_the_results_are_equal(recipe: Path, server: str, tmp_path: Path) -> None:
    for stage, when in KILLS:
        assert run(str(SCRIPT), stage, when, str(recipe)) == -signal.SIGKILL, (stage, when)
        if when != "late":
            finished = {result.manifest.stage for result in Store(tmp_path / "store").results()}
            assert stage not in finished
        if (stage, when) == ("train", "part"):
            assert Diary(Store(tmp_path / "store")).runs()[0].status == "interrupted"
    assert run("-m", "flows.pipeline", str(recipe)) == 0
    assert run("-m", "flows.pipeline", str(recipe), f"store={tmp_path / 'calm'}") == 0
    assert contents(tmp_path / "store") == contents(tmp_path / "calm")
    assert set(contents(tmp_path / "calm")) == set(STAGES)
    assert not Store(tmp_path / "store").drafts()
