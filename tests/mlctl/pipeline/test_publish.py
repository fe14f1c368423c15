"""A champion published: in a folder, behind a URL, and by the hub's own client on a hub of loopback."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from hub_uploads import Hub, serve_uploads

from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.pipeline.publish import publish
from storage import Draft, Store
from storage.champion_registry import Champion

FILES = {
    "train": {"model/config.json": "{}", "model/model.safetensors": "weights of {}"},
    "report": {"README.md": "---\nlicense: mit\n---\n# {}\n", "ATTRIBUTION.md": "a", "figures.json": "{{}}"},
}
PUBLISHED = {"config.json", "model.safetensors", "README.md", "ATTRIBUTION.md", "figures.json", "mlctl.json"}


def champion(store: Store, number: int) -> Champion:
    """Results as a run leaves them."""
    keys = dict.fromkeys(FILES, f"{number}" * 24)
    for stage, files in FILES.items():
        with store.building(stage, keys[stage]) as draft:
            assert isinstance(draft, Draft)
            for name, text in files.items():
                with Workspace(draft.folder).part(name) as path:
                    path.write_text(text.replace("{}", str(number)) if "weights" in text or "#" in text else "{}")
            draft.seal({}, {"train": keys["train"]} if stage == "report" else {}, {}, {})
    return Champion(number, keys, "2026-01-01T00:00:00+00:00", "better")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_uploads(monkeypatch) as served:
        yield served


def test_a_folder_is_replaced_whole(store: Store, tmp_path: Path) -> None:
    for number in (1, 2):
        publish(store, "x", champion(store, number), str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == PUBLISHED
    assert (tmp_path / "out" / "model.safetensors").read_text() == "weights of 2"
    assert json.loads((tmp_path / "out" / "mlctl.json").read_text())["run"] == "champion 2 of x"


def test_another_machine_publishes_what_lies_behind_the_stores_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "a"))
    made = champion(Store(url), 1)
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "b"))
    publish(Store(url), "x", made, str(tmp_path / "out"))
    assert (tmp_path / "out" / "model.safetensors").read_text() == "weights of 1"


def test_behind_a_url_the_pointer_names_the_one_that_counts(store: Store) -> None:
    url, files = f"memory://{uuid.uuid4().hex}", fsspec.filesystem("memory")
    champions = [champion(store, number) for number in (1, 2)]
    for one in (*champions, champions[0]):
        publish(store, "x", one, url)
        pointer = json.loads(fsspec.open(f"{url}/champion.json").open().read())
        assert pointer["number"] == one.number
        assert files.cat(f"{url}/{pointer['folder']}/model.safetensors").decode() == f"weights of {one.number}"
        assert {Path(path).name for path in files.ls(f"{url}/{pointer['folder']}", detail=False)} == PUBLISHED


def test_on_the_hub_it_is_one_commit_and_private(store: Store, hub: Hub) -> None:
    hub.files["of-the-one-before.bin"] = b"x"
    publish(store, "x", champion(store, 1), "hf://us/model")
    assert set(hub.files) == PUBLISHED
    assert hub.files["model.safetensors"] == b"weights of 1"
    assert hub.commits == ["champion 1 of x"]
    assert "private" in {hub.made[0].get("visibility"), *(name for name, value in hub.made[0].items() if value is True)}
    assert "Bearer hf_hush" in hub.tokens


def test_a_hub_that_cannot_be_reached_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"champion 1 of x cannot be published as hf://us/model"):
        publish(store, "x", champion(store, 1), "hf://us/model")
