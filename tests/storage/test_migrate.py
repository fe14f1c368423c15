"""`mlctl store migrate`: manifests of an older format get what the present one has, and nothing else changes."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest

from mlctl.cli.main import main
from mlctl.core.hashing import KEY_LENGTH
from mlctl.core.workspace import Workspace
from storage import Draft, Result, Store
from storage.blocks import SMALL_FILE
from storage.manifest import FORMAT, Manifest

_LARGE = bytes(range(256)) * (3 * SMALL_FILE // 256)


def old_result(store: Store, name: str) -> Result:
    """Make a result with a small and a large file, with a manifest as mlctl before 0.2.0 wrote it."""
    with store.building("clean", hashlib.sha256(name.encode()).hexdigest()[:KEY_LENGTH]) as draft:
        assert isinstance(draft, Draft)
        for file, content in (("small", b"hello"), ("large", _LARGE)):
            with Workspace(draft.folder).part(file) as path:
                path.write_bytes(content)
        made = draft.seal({"name": name}, {}, {}, {})
    files = tuple(dataclasses.replace(file, blocks="") for file in made.manifest.files)
    old = dataclasses.replace(made.manifest, files=files, format=1)
    old.write(made.folder)
    return Result(made.folder, made.manifest)  # as the present format has it


def test_a_migrated_result_is_as_if_it_had_been_made_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    results = [old_result(store, name) for name in "ab"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["store", "migrate", f"--store={tmp_path}", "--dry-run"]) == 0
    assert "2 results to migrate, 0 damaged" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in before} == before, "nothing is written"

    assert main(["store", "migrate", f"--store={tmp_path}"]) == 0
    assert "migrated from format 1" in capsys.readouterr().out
    for result in results:
        assert Manifest.load(result.folder) == result.manifest
        assert result.manifest.format == FORMAT
    assert main(["store", "migrate", f"--store={tmp_path}"]) == 0
    assert capsys.readouterr().out == "0 results migrated, 0 damaged\n"
    assert main(["store", "verify", f"--store={tmp_path}"]) == 0


def test_a_damaged_result_is_not_vouched_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    broken, whole = (old_result(store, name) for name in "ab")
    status = (broken.folder / "large").stat()
    (broken.folder / "large").write_bytes(_LARGE[:-1] + b"x")
    os.utime(broken.folder / "large", ns=(status.st_atime_ns, status.st_mtime_ns))  # which `sampled` would not notice
    assert main(["store", "migrate", f"--store={tmp_path}"]) == 1
    said = capsys.readouterr().out
    assert f"clean {broken.manifest.key[:8]}: not migrated: large: its bytes have changed" in said
    assert "1 result migrated, 1 damaged" in said
    assert [Manifest.load(result.folder).format for result in (broken, whole)] == [1, FORMAT]
