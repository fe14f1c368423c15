from __future__ import annotations

from pathlib import Path

import pytest
from webserver import Server, serving

from mlctl.config import Recipe, parse
from mlctl.pipeline.stage import make, result_of
from tasks.download import STAGE


def recipe(server: Server, folder: Path, query: str) -> Recipe:
    server.files[f"/t.tsv?{query}"] = b"one\tun\n"
    source = {"kind": "url", "name": "t", "urls": [server.url(f"/t.tsv?{query}")], "format": "tsv"}
    download = {"sources": [source], "lock": str(folder / "corpora.lock")}
    return parse({"name": "x", "store": str(folder / "store"), "languages": {"targets": ["fr"]}, "download": download})


def test_times_and_secrets_are_no_part_of_what_a_result_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        (tmp_path / "b").mkdir()
        first, _ = make(STAGE, recipe(server, tmp_path, "id=1&token=hunter2"), ())
        again, found = make(STAGE, recipe(server, tmp_path, "id=1&token=renewed"), ())
        other, _ = make(STAGE, recipe(server, tmp_path, "id=2&token=hunter2"), ())
        elsewhere, _ = make(STAGE, recipe(server, tmp_path / "b", "id=1&token=hunter2"), ())
    assert (again, found) == (first, True)
    assert other["key"] != first["key"]
    manifest = result_of(first).manifest
    assert manifest.content == result_of(elsewhere).manifest.content
    assert {file.name: file.volatile for file in manifest.files}["retrieved.json"]
    files = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files
    assert not any(b"hunter2" in data or b"renewed" in data for data in files)
