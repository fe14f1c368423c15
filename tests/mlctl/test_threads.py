"""GOMP_SPINCOUNT is set before torch is loaded, whichever part of mlctl is imported first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print("torch is loaded with", os.environ.get("GOMP_SPINCOUNT"))
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize(
    "module", ["mlctl.evaluation.embedding.token_embeddings", "mlctl.modeling.encoders", "mlctl.training.stage"]
)
def test_idle_threads_do_not_burn_their_cores(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    for setting, expected in ({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, module], check=False, env=environment | setting, capture_output=True, text=True
        )
        assert run.stdout.splitlines()[:1] == [f"torch is loaded with {expected}"], run.stderr
