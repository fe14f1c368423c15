"""A champion published: in a folder, behind a URL, and by the hub's own client on a hub of loopback."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

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


class Hub(ThreadingHTTPServer):
    """Takes models as the hub of Hugging Face does: makes a repository, says how files come, takes a commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.made: list[dict[str, Any]] = []
        self.commits: list[str] = []
        self.tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        if "/tree/" in self.path:
            entries = [{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in self.server.files.items()]
            self._answer(entries)
        else:
            siblings = [{"rfilename": path} for path in self.server.files]
            self._answer({"id": "us/model", "sha": "0" * 40, "private": True, "tags": [], "siblings": siblings})

    def do_POST(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization", ""))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            self._answer({"url": f"{self.server.url}/us/model", "id": "us/model", "name": "us/model"})
        elif "/preupload/" in self.path:
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._answer({})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.commits.append(value["summary"])
            elif line["key"] == "deletedFile":
                self.server.files.pop(value["path"], None)
            else:
                self.server.files[value["path"]] = base64.b64decode(value["content"])
        self._answer({"success": True, "commitUrl": f"{self.server.url}/us/model/commit/{'1' * 40}", "commitOid": "1" * 40})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts: object) -> None:
        del parts


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_hush")
    with Hub() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made.url)
        yield made
        made.shutdown()


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
