"""Files of a stage on their way to another machine and back, through a real S3 server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import S3Server, needs_s3, running_server

from mlctl.core.checksums import recorded_commits
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.file_transfer import DriverFiles, Transfer, WorkerFiles, worker_folder
from storage import Draft, Store
from storage.input_links import link_files

KEY, OTHER = "a" * 24, "b" * 24

pytestmark = needs_s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("s3") / "data") as server:
        yield server


@pytest.fixture
def url(server: S3Server, request: pytest.FixtureRequest) -> str:
    return f"s3://lab/{request.node.name}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def become(name: str) -> None:
        monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / name))

    become("driver")
    return become


def written(workspace: Workspace, name: str, text: str) -> Path:
    with workspace.part(name) as path:
        path.write_text(text)
    return workspace.path(name)


@pytest.fixture
def draft(url: str, machine: Any) -> Workspace:
    """A draft of clean beside a complete result of download, which it has links to."""
    store = Store(url)
    with store.building("download", OTHER) as made:
        assert isinstance(made, Draft)
        written(Workspace(made.folder), "pairs/fr", "bonjour")
        written(Workspace(made.folder), "pairs/de", "hallo")
        downloaded = made.seal({}, {}, {}, {})
    with store.building("clean", KEY) as unfinished:
        assert isinstance(unfinished, Draft)
        workspace = Workspace(unfinished.folder)
        link_files(downloaded, workspace.scratch / "inputs/download")
        return workspace


def test_what_a_step_reads_is_at_the_same_place_and_what_it_writes_comes_back(
    url: str, draft: Workspace, machine: Any, tmp_path: Path
) -> None:
    (tmp_path / "lexicon").write_text("of the user")
    scratch = Workspace(draft.scratch / "clean-fr")
    with scratch.part("slices") as folder:
        folder.mkdir()
        (folder / "0.json").write_text("{}")
    reads = [draft.scratch / "inputs/download/pairs/fr", scratch.path("slices"), tmp_path / "lexicon", draft.path("nothing")]
    transfer = Transfer.of(url, draft.root)
    driver = DriverFiles(transfer)
    inputs = driver.publish(reads)
    assert [file.address.rpartition("/")[0] for file in inputs.files] == [
        f"download/{OTHER}",  # where it is anyway
        f".steps/clean/{KEY}",
        f".steps/clean/{KEY}",
    ]

    machine("worker")
    worker = WorkerFiles(transfer, worker_folder(transfer))
    worker.fetch(inputs)
    job = worker.localized({"root": str(draft.root), "reads": [str(path) for path in reads], "rows": 3, "text": "/no path"})
    there = Workspace(Path(job["root"]))
    assert there.root.is_relative_to(tmp_path / "worker")
    assert [Path(path).exists() for path in job["reads"]] == [True, True, True, False]
    assert Path(job["reads"][0]).read_text() == "bonjour"
    assert not (there.scratch / "inputs/download/pairs/de").exists()
    assert Workspace(there.scratch / "clean-fr").has("slices")
    assert (Path(job["reads"][2]).read_text(), job["rows"], job["text"]) == ("of the user", 3, "/no path")
    with recorded_commits() as commits:
        written(there, "pairs/fr.parquet", "rows")
        with Workspace(there.scratch / "clean-fr").part("filtered") as folder:
            folder.mkdir()
            (folder / "a").write_text("1")
        written(there, "for a moment", "")
        there.discard("for a moment")
    parts = worker.upload(commits)

    driver.receive([type(part).model_validate_json(part.model_dump_json()) for part in parts])
    assert {part.path.rpartition("/")[2] for part in parts} == {"fr.parquet", "filtered"}
    assert draft.has("pairs/fr.parquet")
    assert draft.path("pairs/fr.parquet").read_text() == "rows"
    assert (scratch.path("filtered") / "a").read_text() == "1"
    assert scratch.has("filtered")
    assert parts[0].files[""].address.startswith(f"clean/{KEY}/"), "where the result's files are in the end"
    driver.clear()
    worker.fetch(inputs)  # all here: nothing is asked for


def test_a_damaged_copy_is_downloaded_again(url: str, draft: Workspace, machine: Any) -> None:
    transfer = Transfer.of(url, draft.root)
    inputs = DriverFiles(transfer).publish([draft.scratch / "inputs/download/pairs"])
    machine("worker")
    WorkerFiles(transfer, worker_folder(transfer)).fetch(inputs)
    copy = WorkerFiles(transfer, worker_folder(transfer)).folder / inputs.files[0].path
    copy.write_text("hxllo")
    WorkerFiles(transfer, worker_folder(transfer)).fetch(inputs)  # of another process
    assert copy.read_text() == "hallo"


def test_a_file_that_is_gone_from_the_store_is_named(url: str, draft: Workspace, machine: Any) -> None:
    transfer = Transfer.of(url, draft.root)
    part = written(Workspace(draft.scratch), "part", "text")
    driver = DriverFiles(transfer)
    inputs = driver.publish([part])
    driver.clear()
    machine("worker")
    with pytest.raises(InputError, match="is missing") as raised:
        WorkerFiles(transfer, worker_folder(transfer)).fetch(inputs)
    assert json.dumps(raised.value.problem).count(url.removeprefix("s3://"))


def test_folders_of_killed_runs_are_removed_in_the_end(url: str, draft: Workspace, machine: Any, tmp_path: Path) -> None:
    machine("worker")
    old, fresh = (tmp_path / "worker/steps" / name for name in ("old", "fresh"))
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(old, (eight_days_ago, eight_days_ago))
    machine("driver")
    transfer = Transfer.of(url, draft.root)
    machine("worker")
    WorkerFiles(transfer, worker_folder(transfer))
    assert fresh.exists()
    assert not old.exists()
