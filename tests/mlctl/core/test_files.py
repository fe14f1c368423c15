"""Writes are whole or absent, and leftovers of a killed writer are removed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlctl.core.files import (
    atomic_write,
    atomic_write_text,
    commit,
    create_text,
    discard,
    fsync_tree,
    temporary_path,
)


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with atomic_write(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old"
    with atomic_write(path) as temporary:
        assert not temporary.exists()  # what the failed block left is removed
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_folders_replace_folders_and_files(tmp_path: Path) -> None:
    for content in ("a", "b"):
        with atomic_write(tmp_path / "folder") as temporary:
            (temporary / "inner").mkdir(parents=True)
            (temporary / "inner" / content).touch()
    assert [entry.name for entry in (tmp_path / "folder" / "inner").iterdir()] == ["b"]
    with atomic_write(tmp_path / "folder") as temporary:
        temporary.write_text("now a file")
    assert (tmp_path / "folder").read_text() == "now a file"


def test_a_kill_inside_the_block_leaves_nothing_visible(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from mlctl.core.files import atomic_write
        with atomic_write(Path({str(tmp_path / "file")!r})) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert temporary_path(tmp_path / "file").exists()
    assert not (tmp_path / "file").exists()


def test_bytes_are_flushed_before_the_rename_and_the_name_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a name must not point to bytes that never reached the disk."""
    (tmp_path / "new" / "inner").mkdir(parents=True)
    (tmp_path / "new" / "inner" / "file").write_text("x")
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        steps.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)))
        fsync(descriptor)

    def recorded_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    commit(tmp_path / "new", tmp_path / "final")
    assert steps == ["new/inner", "new/inner/file", "new", "rename", "."]


def test_of_many_writers_one_creates(tmp_path: Path) -> None:
    path = tmp_path / "text"
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: create_text(path, str(number)), range(16)))
    assert sum(written) == 1
    assert path.read_text() == str(written.index(True))
    assert [entry.name for entry in tmp_path.iterdir()] == ["text"]


def test_many_writers_of_one_text_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "text"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: atomic_write_text(path, f"{number}" * 10_000), range(8)))
    assert path.read_text() in {f"{number}" * 10_000 for number in range(8)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["text"]


def test_discarding_a_link_keeps_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    discard(tmp_path / "link")
    discard(tmp_path / "missing")
    fsync_tree(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]
