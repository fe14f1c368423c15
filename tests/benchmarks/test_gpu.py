"""`benchmarks/gpu.py` on a CPU in its smallest form: the shape of its results, isolation of failures, the deadline."""

import ast
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}

#: Runs measurements of its own with a deadline: name, expected seconds, what it does.
DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gpu_runner import Measurement, Runner, SkippedError

def fail(): raise RuntimeError("no memory is left")
def skip(): raise SkippedError("needs a GPU")
def hang(): time.sleep(600)

Runner(Path(sys.argv[2]), time.monotonic() + 6, {"device": "none"}, lambda rows: [], lambda: None).run([
    Measurement("first", "works", 0, lambda: {"pairs_per_s": 2.0}),
    Measurement("first", "fails", 0, fail),
    Measurement("first", "cannot", 0, skip),
    Measurement("second", "too long", 60, hang),
    Measurement("second", "works, too", 0, lambda: {"ms": 1.5}),
    *([Measurement("second", "hangs", 0, hang), Measurement("second", "last", 0, skip)] if "hang" in sys.argv else []),
])
"""


def run(command: Sequence[str], out: Path, seconds: float) -> tuple[int, dict[str, Any]]:
    """Return the exit status and the results of a program that writes them into `out`."""
    process = subprocess.run(
        [sys.executable, *command], check=False, env=ENVIRONMENT, timeout=seconds, capture_output=True, text=True
    )
    assert (out / "gpu.json").exists(), process.stderr
    return process.returncode, json.loads((out / "gpu.json").read_text())


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["status"] for row in result["rows"]}


@pytest.mark.slow
def test_all_sections_are_measured_on_a_cpu(tmp_path: Path) -> None:
    status, result = run([str(BENCHMARKS / "gpu.py"), "--device=cpu", "--quick", f"--out={tmp_path}"], tmp_path, 600)
    assert {row["status"] for row in result["rows"]} <= {"ok", "skipped"}, result["rows"]
    figures = {(row["section"], row["name"]): row["figures"] for row in result["rows"] if row["status"] == "ok"}
    assert [row["passed"] for (section, _), row in figures.items() if section == "correctness"] == [True] * 5
    assert status == 0
    step = figures["training step", "bf16, batch 8"]
    assert step["pairs_per_s"] == pytest.approx(8000 / step["ms"])
    assert (step["mfu"], step["peak_gb"]) == (None, None)  # figures of a GPU are not made up
    assert {section for section, _ in figures} >= {"device", "against the authors' step", "loader", "encoding for evaluation"}
    assert figures["alignment with an encoder", "combined, statistical links given"]["links"] > 0
    paper = figures["roofline of a step", "bf16, batch 8, 256 tokens at once, on paper"]
    assert 0 < paper["tflop_needed"] <= paper["tflop"]
    assert min(paper["gb"], paper["launches"]) > 0
    assert [aim["reached"] for aim in result["aims"]] == [None] * 4
    assert "| bf16, batch 8 |" in (tmp_path / "gpu.md").read_text()


def test_a_failed_measurement_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    _, result = run(["-c", DRIVER, str(BENCHMARKS), str(tmp_path)], tmp_path, 60)
    expected = {"works": "ok", "fails": "failed", "cannot": "skipped", "too long": "not run", "works, too": "ok"}
    assert statuses(result) == expected
    assert {row["name"]: row["reason"] for row in result["rows"] if row["status"] == "failed"} == {
        "fails": "RuntimeError: no memory is left"
    }
    table = (tmp_path / "gpu.md").read_text()
    assert "failed: RuntimeError: no memory is left" in table
    assert "not run: needs about 60 s" in table


def test_the_deadline_ends_a_measurement_that_hangs(tmp_path: Path) -> None:
    start = time.monotonic()
    status, result = run(["-c", DRIVER, str(BENCHMARKS), str(tmp_path), "hang"], tmp_path, 120)
    assert time.monotonic() - start < 60  # the start of Python and torch included; the deadline is 6 s after it
    assert status == 1
    assert statuses(result) == {**statuses(result), "works": "ok", "works, too": "ok", "hangs": "failed", "last": "not run"}
    assert result["about"]["seconds"] < 6


@pytest.mark.slow
def test_a_check_that_does_not_pass_is_the_exit_status(tmp_path: Path) -> None:
    driver = f"""
import sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import gpu, gpu_correctness
gpu_correctness.FP32_LIMIT = -1.0
sys.argv = ["gpu.py", "--device=cpu", "--quick", "--only", "correctness", "--minutes=3", {f"--out={tmp_path}"!r}]
gpu.main()
"""
    status, result = run(["-c", driver], tmp_path, 120)
    assert status == 1
    assert result["rows"][0]["figures"]["passed"] is False


def test_counts_of_fake_tensors_are_those_of_real_ones() -> None:
    code = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import gpu_roofline as roofline
from contenders import Geometry, batches
from made_shards import write_shards
from torch.utils.flop_counter import FlopCounterMode

from mlctl.config import Train, resolve_train
geometry = Geometry(2, 64, 300)
settings = resolve_train(Train(batch_size=8, precision="bf16", devices="cpu"), "masked-lm")
batch = batches(write_shards(Path(tempfile.mkdtemp(), "shards"), 50, geometry.types), settings)(0)
fake = roofline.counts_of(geometry, settings, batch)
objective = roofline.Objective(geometry.model(), settings, seed=0).train()
real = roofline._Counter()
with roofline.one_kernel_attention(), roofline._FusedOperations(), FlopCounterMode(display=False, custom_mapping=roofline._ATTENTION_FLOP) as flops, real:
    roofline.forward_backward(objective, batch, roofline.SINGLE, False, roofline.GradientReducer((), (), roofline.SINGLE))
weights = sum(weight.nbytes for weight in objective.parameters())
print(fake["flop"], flops.get_total_flops())
print(fake["waits"], real.waits)
print(fake["launches"], real.launches.total())
print(fake["bytes"], real.bytes, weights)
"""
    command = [sys.executable, "-c", code, str(BENCHMARKS)]
    process = subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    flop, waits, launches, moved = ([float(figure) for figure in line.split()] for line in process.stdout.splitlines())
    assert flop[0] == flop[1] > 0
    assert waits == [0, 0]
    assert 0 < launches[0] - launches[1] < 25  # the update: the norm, the factor, whether it is finite, Adam
    assert (
        7 * moved[2] < moved[0] - moved[1] < 11 * moved[2]
    )  # it reads weights, moments and gradients, and writes them but for the last


def test_the_kit_has_every_module_that_its_modules_import() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import gpu_kit; print(*gpu_kit.modules())"
    listed = subprocess.run(
        [sys.executable, "-c", code, str(BENCHMARKS)], check=True, env=ENVIRONMENT, capture_output=True, text=True
    )
    packed = {Path(module).stem for module in listed.stdout.split()}
    own = {module.stem for module in BENCHMARKS.glob("*.py")}
    for name in packed:
        nodes = ast.walk(ast.parse((BENCHMARKS / f"{name}.py").read_text()))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        nodes = ast.walk(ast.parse((BENCHMARKS / f"{name}.py").read_text()))
        imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        assert imported & own <= packed, name
    assert "gpu" in packed


def test_the_kit_unpacks_only_what_is_not_installed(tmp_path: Path) -> None:
    for name in ("absent_package-1.0-py3-none-any.whl", "numpy-1.0-py3-none-any.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(f"{name.split('-')[0]}/__init__.py", "")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import gpu_kit; exec(gpu_kit._UNPACK)"
    command = [sys.executable, "-c", code, str(BENCHMARKS), str(tmp_path), str(tmp_path / "site")]
    printed = subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, text=True).stdout
    assert [file.name for file in (tmp_path / "site").iterdir()] == ["absent_package"]
    assert printed.startswith("numpy ")
