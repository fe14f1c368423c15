"""Commands that run no stage load neither Prefect nor torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from mlctl.cli.main import main
code = main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in sys.modules} & {"prefect", "torch", "transformers"}
sys.exit(f"loaded {loaded}" if loaded else code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plan", "demo", "--offline"],
        ["plan", "refine", "--offline", 'model.name=""'],
        ["explain", "train", "demo"],
        ["runs"],
        ["store", "ls"],
        ["champion", "show", "demo"],
        ["recipe", "demo"],
    ],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_a_command_that_runs_no_stage_loads_no_heavy_package(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "mlctl-store").mkdir()
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
