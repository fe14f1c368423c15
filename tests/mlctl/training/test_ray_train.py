"""Training by two workers of Ray Train, on a Ray cluster of this machine: the same bytes as by two processes of torchrun."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Train
from mlctl.core.workspace import Workspace
from mlctl.training import train

from .test_launcher import ENVIRONMENT, MODEL, SETTINGS, digests, main_command

pytestmark = pytest.mark.ray

DRIVER = """
import json, os, subprocess, sys
import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

def train_loop(config):
    rank, port = os.environ["RANK"], int(os.environ["MASTER_PORT"]) + 1
    command = config["main"] if rank == "0" else [sys.executable, "-m", "mlctl.training.worker"]
    subprocess.run(command, env={**os.environ, "MASTER_PORT": str(port)}, check=True)

main, results = json.loads(sys.argv[1]), sys.argv[2]
ray.init(num_cpus=3, include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=80_000_000)
TorchTrainer(
    train_loop,
    train_loop_config={"main": main},
    scaling_config=ScalingConfig(num_workers=2),
    torch_config=TorchConfig(backend="gloo"),
    run_config=RunConfig(storage_path=results),
).fit()
"""


@pytest.mark.slow
def test_workers_of_ray_train_train_together(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("ray.train.torch", reason="Ray Train is not installed: pip install '.[scale-test]'")
    shards = make_shards(tmp_path / "shards", [40, 24])
    settings: dict[str, Any] = {**SETTINGS, "steps": 10}
    train(Train.model_validate(settings), MODEL, 3, shards, Workspace(tmp_path / "torchrun"))

    main = main_command(shards, tmp_path / "ray", steps=10, devices="auto")
    environment = {**ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-c", DRIVER, json.dumps(main), str(tmp_path / "results")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert process.returncode == 0, process.stderr
    assert digests(tmp_path / "ray") == digests(tmp_path / "torchrun")
