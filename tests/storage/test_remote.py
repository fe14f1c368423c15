"""A store behind a URL, on a real S3 server of this machine that is killed in the middle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import S3Server, needs_s3, running_server

from mlctl.core.workspace import Workspace
from storage import Draft, Result, Store, StoreError
from storage.champion_registry import ChampionRegistry, MovedError
from storage.remote import Remote

KEY = "a" * 24
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
    """Become another machine: one with a cache of its own."""

    def become(name: str) -> None:
        monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / name))

    return become


def build(store: Store, **files: str) -> Result:
    with store.building("clean", KEY) as draft:
        if isinstance(draft, Result):
            return draft
        assert isinstance(draft, Draft)
        for name, text in files.items():
            with Workspace(draft.folder).part(f"pairs/{name}") as path:
                path.write_text(text)
        return draft.seal({"stage": "clean"}, {}, {}, {})


def test_what_one_machine_made_another_fetches(url: str, machine: Any) -> None:
    machine("a")
    result = build(Store(url), fr="bonjour", de="hallo")
    assert Store(url).find("clean", KEY) == result
    machine("b")
    assert Store(url).find("clean", "b" * 24) is None
    fetched = Store(url).find("clean", KEY)
    assert fetched
    assert fetched.manifest == result.manifest
    assert fetched.folder != result.folder
    assert (fetched.folder / "pairs" / "fr").read_text() == "bonjour"
    with Store(url).building("clean", KEY) as found:
        assert isinstance(found, Result)
    machine("c")
    assert build(Store(url), fr="never written").manifest == result.manifest


def test_of_two_that_made_a_result_the_first_is_right(url: str, machine: Any) -> None:
    machine("a")
    with Store(url).building("clean", KEY) as slow:
        assert isinstance(slow, Draft)
        with Workspace(slow.folder).part("weights") as path:
            path.write_text("of the slower one")
        machine("b")
        first = build(Store(url), weights="of the faster one")
        machine("a")
        result = slow.seal({"stage": "clean"}, {}, {}, {})
    assert result.manifest == first.manifest
    assert (result.folder / "pairs" / "weights").read_text() == "of the faster one"
    assert not (result.folder / "weights").exists()
    assert Store(url).find("clean", KEY, check="always") == result


SLOW = """
    import sys, time
    from mlctl.core.workspace import Workspace
    from storage import Store, remote
    original = remote.Remote._put
    def put(self, local, remote, size):
        print(local.name, flush=True)
        time.sleep(0.5)
        original(self, local, remote, size)
    remote.Remote._put = put
    with Store(sys.argv[1]).building("clean", "a" * 24) as draft:
        for number in range(4):
            with Workspace(draft.folder).part(f"{number}") as path:
                path.write_bytes(bytes([number]) * 1_000_000)
        draft.seal({"stage": "clean"}, {}, {}, {})
"""


def test_a_machine_killed_in_mid_copy_goes_on(url: str, machine: Any) -> None:
    machine("a")
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW), url], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    machine("b")
    assert Store(url).find("clean", KEY) is None  # no manifest: nothing is there
    machine("a")
    with Store(url).building("clean", KEY) as result:
        assert isinstance(result, Result)  # it was whole here: only the copy was cut short
    machine("b")
    fetched = Store(url).find("clean", KEY, check="always")
    assert fetched
    assert [(fetched.folder / f"{n}").read_bytes()[:1] for n in range(4)] == [bytes([n]) for n in range(4)]


def test_a_server_killed_in_mid_copy_costs_nothing_that_was_made(server: S3Server, url: str, machine: Any) -> None:
    machine("a")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW), url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    server.kill()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode
    assert f"store {url} cannot be used" in stderr
    assert "run again: finished work is kept" in stderr
    server.start()
    with Store(url).building("clean", KEY) as result:
        assert isinstance(result, Result)
    machine("b")
    assert Store(url).find("clean", KEY, check="always")


def test_what_is_damaged_there_is_never_taken(url: str, machine: Any) -> None:
    import fsspec

    machine("a")
    result = build(Store(url), fr="bonjour")
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    (file,) = result.manifest.files
    files.pipe_file(f"{url}/clean/{KEY}/{file.sha256}", b"bonsoir")
    machine("b")
    with pytest.raises(StoreError, match=f"{file.sha256} is damaged"):
        Store(url).find("clean", KEY)
    files.rm_file(f"{url}/clean/{KEY}/{file.sha256}")
    with pytest.raises(StoreError, match="is missing"):
        Store(url).find("clean", KEY)
    assert not Store(url).results()


def test_a_fetch_that_was_cut_short_goes_on(url: str, machine: Any, tmp_path: Path) -> None:
    machine("a")
    result = build(Store(url), fr="bonjour", de="hallo")
    machine("b")
    folder = Store(url).folder("clean", KEY)
    shutil.copytree(result.folder, folder)
    (folder / "manifest.json").unlink()
    (folder / "pairs" / "de").write_text("ha")
    assert Store(url).find("clean", KEY, check="always")


def test_refusal_is_explained(url: str, machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match="check endpoint, credentials"):
        build(Store(url), fr="x")
    with pytest.raises(StoreError, match="unknown protocol nothing://"):
        Store("nothing://x/y")


def test_of_two_machines_that_promote_over_one_champion_one_does(url: str, machine: Any) -> None:
    machine("a")
    first, second = ChampionRegistry(Store(url), "x"), ChampionRegistry(Store(url), "x")
    first.promote(0, {"train": KEY}, "a", keep=3)
    with pytest.raises(MovedError, match="number 1 now"):
        second.promote(0, {"train": KEY}, "b", keep=3)
    document = second._revisions.latest()
    first.add_note(1, "published")
    assert not second._revisions.append(*document), "the service itself refuses, not the look before"
    machine("b")
    champion = ChampionRegistry(Store(url), "x").read().champion
    assert champion
    assert (champion.reason, champion.notes) == ("a", ("published",))


def test_files_by_name_and_a_text_that_is_replaced(url: str, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("one")
    remote = Remote(url)
    remote.upload_file(tmp_path / "weights", "1/weights")
    for text in ("1", "2"):
        remote.overwrite_text("champion.json", text)
    assert (remote.read_text("1/weights"), remote.read_text("champion.json")) == ("one", "2")
    assert remote.list_names("") == ["1", "champion.json"]
    assert (remote.read_text("nothing"), remote.list_names("nothing")) == (None, [])


def test_a_store_in_a_folder_has_no_other_half(tmp_path: Path) -> None:
    build(Store(tmp_path), fr="x")
    assert not (tmp_path / ".copied").exists()
    assert json.loads((tmp_path / "clean" / KEY / "manifest.json").read_text())["key"] == KEY
