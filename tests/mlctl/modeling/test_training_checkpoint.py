import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlctl.modeling.training_checkpoint import CheckpointFolder


def folder(tmp_path: Path, keep: int = 2, fingerprint: str = "s") -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints", fingerprint, keep)


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((3,), value), "history": torch.zeros(0, 5, dtype=torch.float64)}


def names(checkpoints: CheckpointFolder) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_newest_comes_back_and_oldest_go(tmp_path: Path) -> None:
    checkpoints = folder(tmp_path)
    assert checkpoints.newest() is None
    for step in (5, 90, 10_000_000):
        checkpoints.save(step, tensors(step), 0.5)
    assert names(checkpoints) == ["step-0000090", "step-10000000"]
    newest = folder(tmp_path).newest()
    assert newest is not None
    assert newest.step == 10_000_000
    assert newest.tensors["weight"].tolist() == [10_000_000.0] * 3


def test_the_one_with_the_lowest_loss_is_kept_besides(tmp_path: Path) -> None:
    checkpoints = folder(tmp_path, keep=1)
    assert checkpoints.best_name() == checkpoints.newest_name() == "none"
    for step, loss in ((1, 2.0), (2, -3.0), (3, 1.0), (4, -2.9), (5, 0.0)):
        checkpoints.save(step, tensors(step), loss)
    assert names(checkpoints) == ["step-0000002", "step-0000005"]
    assert (checkpoints.best_name(), checkpoints.newest_name()) == ("step-0000002", "step-0000005")
    assert checkpoints.at(2).tensors["weight"].tolist() == [2.0] * 3
    checkpoints.save(6, tensors(6), -3.0)
    assert names(checkpoints) == ["step-0000006"], "of two as good the newer"
    (checkpoints.folder / "step-0000006" / "state.json").write_text("{")
    checkpoints.save(7, tensors(7), 99.0)
    assert checkpoints.best_name() == "step-0000007", "a damaged one is no good"


@pytest.mark.parametrize(
    "damage", ["flip", "cut", "no state", "no tensors", "garbled state", "another loss", "a folder", "other fingerprint"]
)
def test_damaged_newest_is_skipped_and_said(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = folder(tmp_path)
    checkpoints.save(1, tensors(1), 0.5)
    folder(tmp_path, fingerprint="other" if damage == "other fingerprint" else "s").save(2, tensors(2), 0.5)
    data, state = (checkpoints.folder / "step-0000002" / name for name in ("tensors.safetensors", "state.json"))
    content = data.read_bytes()
    {
        "flip": lambda: data.write_bytes(content[:-1] + bytes([content[-1] ^ 1])),
        "cut": lambda: data.write_bytes(content[: len(content) // 2]),
        "no state": state.unlink,
        "no tensors": data.unlink,
        "garbled state": lambda: state.write_text('{"step": 2'),
        "another loss": lambda: state.write_text(state.read_text().replace("0.5", "0.4")),
        "a folder": lambda: (data.unlink(), data.mkdir()),
        "other fingerprint": lambda: None,
    }[damage]()
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 1
    assert "step-0000002 cannot be used" in caplog.text
    checkpoints.save(2, tensors(2), 0.5)  # and the place is free again
    assert names(checkpoints) == ["step-0000001", "step-0000002"]


def test_unfinished_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints = folder(tmp_path)
    (checkpoints.folder / ".part-step-0000009").mkdir()
    assert checkpoints.newest() is None
    checkpoints.save(9, tensors(9), 0.5)
    assert names(checkpoints) == ["step-0000009"]


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from mlctl.errors import InputError
from mlctl.modeling.training_checkpoint import CheckpointFolder
checkpoints = CheckpointFolder(Path(sys.argv[1]), "s", 2)
checkpoints.save(1, {"weight": torch.ones(10)}, 0.5)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    checkpoints.save(2, {"weight": torch.ones(10_000)}, 0.5)
except InputError as error:
    print(error)
print(checkpoints.newest().step, [path.name for path in checkpoints.folder.iterdir()])
"""


def test_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    assert "no space left for a file in" in done.stdout
    assert "run the same command again" in done.stdout
    assert "1 ['step-0000001']" in done.stdout
