"""`prefect deploy --all`, a process worker, `prefect deployment run pipeline/demo --watch`: all real, on a recipe of seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import tiny

from storage import Store

ROOT = Path(__file__).parents[2]


def prefect(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=timeout, check=False)


def test_a_process_worker_runs_the_deployment(tmp_path: Path, wheels: Path, server: str) -> None:
    assert prefect("work-pool", "create", "cpu", "--type", "process").returncode == 0
    deployed = prefect("deploy", "--all")
    assert deployed.returncode == 0, deployed.stderr
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu", "--type", "process"]
    with (tmp_path / "worker.log").open("w") as log, subprocess.Popen(worker, cwd=ROOT, stdout=log, stderr=log) as process:
        recipe = json.dumps({**tiny.recipe(tmp_path / "store"), "name": "deployed"})
        done = prefect("deployment", "run", "pipeline/demo", "--watch", "--param", f"recipe={recipe}", "--param", "until=shard")
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # Prefect's worker does not always end when it is asked to
            process.kill()
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "worker.log").read_text()
    stages = {r.manifest.stage for r in Store(tmp_path / "store").results()}
    assert stages == {"download", "clean", "translate", "align", "shard"}
