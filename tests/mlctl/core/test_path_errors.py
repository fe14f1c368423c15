"""A path that the system does not accept is one message, wherever it is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlctl.core.path_errors import explain_path_errors
from mlctl.errors import InputError


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x" * 5000, "too long"), ("loop", "symbolic links"), ("file/inside", "Not a directory"), ("folder", "Is a")],
)
def test_the_path_and_the_remedy_are_named(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught, explain_path_errors():
        (tmp_path / name).read_bytes()
    assert f"cannot use {tmp_path}" in str(caught.value)
    assert reason in caught.value.problem
    assert caught.value.remedy


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explain_path_errors():
        (tmp_path / "missing").read_bytes()
    with pytest.raises(OSError, match="Bad file"), explain_path_errors():
        os.close(10**6)
