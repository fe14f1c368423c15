"""New and changed sources are detected for each kind, without fetching text."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from webserver import Handler, Loopback, Server, status, whole

from mlctl.config import Download, Languages, parse
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, local_files
from mlctl.corpora.catalog.changes import diff_sources, inspect_sources, settled_state
from mlctl.corpora.lockfile import Lockfile

FRENCH = Languages(targets=("fr",))


def download_settings(tmp_path: Path, *sources: dict[str, Any], **more: Any) -> Download:
    values = {"sources": list(sources), "lock": str(tmp_path / "corpora.lock"), "retries": 1, "backoff": 0.01, **more}
    return parse({"download": values}).download


def test_files_are_known_by_content_and_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for side in ("en", "fr"):
        (tmp_path / f"x.{side}").write_text(side)
    settings = download_settings(tmp_path, {"kind": "files", "name": "x", "path": str(tmp_path / "x.{language}")})
    before = inspect_sources(settings, FRENCH).states
    assert diff_sources({}, before) == ["new: x: x.en", "new: x: x.fr"]
    os.utime(tmp_path / "x.en", (1, 1))
    assert diff_sources(before, inspect_sources(settings, FRENCH, known=before).states) == [], "touched, and the same text"
    (tmp_path / "x.fr").write_text("le")
    assert diff_sources(before, inspect_sources(settings, FRENCH, known=before).states) == ["changed: x: x.fr"]
    monkeypatch.setattr("mlctl.corpora.sources.source_state.file_digest", lambda path: pytest.fail(f"{path} was read"))
    now = {
        name: (content, f"{(s := (tmp_path / name[3:]).stat()).st_size} {s.st_mtime_ns}") for name, (content, _) in before.items()
    }
    assert inspect_sources(settings, FRENCH, known=now).states == now
    assert diff_sources(before, {}) == ["gone: x: x.en", "gone: x: x.fr"]


def test_packages_get_their_newest_version(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    make_wheel("shop", {"a": b""}, "1.0")
    make_wheel("shop", {"a": b""}, "2.0")
    settings = download_settings(tmp_path, {"kind": "locales", "packages": ["shop<2", "shop", "till==0.1"]})
    state = inspect_sources(settings, FRENCH)
    assert state.sources[0].packages == ("shop==1.0", "shop==2.0", "till==0.1")  # type: ignore[union-attr]
    make_wheel("shop", {"a": b""}, "3.0")
    assert diff_sources(state.states, inspect_sources(settings, FRENCH).states) == ["changed: shop"]
    (tmp_path / "links").rename(tmp_path / "gone")
    lost = inspect_sources(settings, FRENCH, known=state.states)
    assert diff_sources(state.states, lost.states) == []
    assert "No matching distribution found for shop" in lost.unreachable["shop"]


def test_addresses_are_asked_what_they_have(server: Server, tmp_path: Path) -> None:
    server.files |= {"/x.en": b"one\ntwo\n", "/x.fr": b"un\ndeux\n"}
    settings = download_settings(tmp_path, {"kind": "url", "name": "x", "urls": [server.url("/x.{language}")]})
    state = inspect_sources(settings, FRENCH)
    assert diff_sources({}, state.states) == [f"new: {server.url(path)}" for path in ("/x.en", "/x.fr")]
    assert state.sizes == {server.url("/x.en"): 8, server.url("/x.fr"): 8}
    download(settings, FRENCH, Workspace(tmp_path / "a"))
    before = settled_state(state, settings)
    assert diff_sources(before, inspect_sources(settings, FRENCH).states) == []
    server.files["/x.fr"] = b"un\nDEUX\n"
    later = inspect_sources(settings, FRENCH)
    assert (diff_sources(before, later.states), later.changed) == ([f"changed: {server.url('/x.fr')}"], [server.url("/x.fr")])
    assert diff_sources(before, inspect_sources(settings, FRENCH, online=False).states) == []


def test_an_expired_address_is_fetched_anew_under_another_key(server: Server, tmp_path: Path) -> None:
    server.files |= {"/x.en": b"one\ntwo\n", "/x.fr": b"un\ndeux\n"}
    settings = download_settings(tmp_path, {"kind": "url", "name": "x", "urls": [server.url("/x.{language}")]})
    download(settings, FRENCH, Workspace(tmp_path / "a"))
    keys = [local_files(settings, FRENCH)]
    before = settled_state(inspect_sources(settings, FRENCH), settings)
    server.files["/x.fr"] = b"un\nDEUX\n"
    Lockfile(tmp_path / "corpora.lock").expire(inspect_sources(settings, FRENCH).changed)
    keys.append(local_files(settings, FRENCH))
    download(settings, FRENCH, Workspace(tmp_path / "b"))
    keys.append(local_files(settings, FRENCH))
    assert len({str(key) for key in keys}) == 3
    state = inspect_sources(settings, FRENCH)
    assert (state.changed, diff_sources(before, state.states)) == ([], [f"changed: {server.url('/x.fr')}"])


def test_what_cannot_be_asked_counts_as_it_was(server: Server, tmp_path: Path) -> None:
    server.files |= {"/x.en": b"one\ntwo\n", "/x.fr": b"un\ndeux\n"}
    settings = download_settings(tmp_path, {"kind": "url", "name": "x", "urls": [server.url("/x.{language}")]})
    download(settings, FRENCH, Workspace(tmp_path / "a"))
    before = settled_state(inspect_sources(settings, FRENCH), settings)
    server.plans["/x.en"] = [status(500)] * 4
    state = inspect_sources(settings, FRENCH)
    assert diff_sources(before, state.states) == []
    assert state.unreachable == {server.url("/x.en"): "it answers 500 Internal Server Error"}


def test_head_is_enough_where_a_server_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[str, str]] = []

    class Frugal(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            requests.append((self.command, self.path))
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815 - what the server looks for

        def log_message(self, *parts: object) -> None:
            del parts

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback(Frugal) as server:
        address = server.url("/x")
        state = inspect_sources(
            download_settings(tmp_path, {"kind": "url", "name": "x", "urls": [address], "format": "tsv"}), FRENCH
        )
    assert (requests, state.sizes, state.unreachable) == ([("HEAD", "/x")], {address: 5}, {})


def test_a_data_set_is_read_at_the_commit_of_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Hub({"a/b": {"x.jsonl": b"{}\n"}}) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url(""))
        settings = download_settings(tmp_path, {"kind": "huggingface", "dataset": "a/b"})
        state = inspect_sources(settings, FRENCH)
        assert state.sources[0].revision == hub.commit("a/b")  # type: ignore[union-attr]
        hub.sets = {"a/b": {"x.jsonl": b"{}\n{}\n"}}
        assert diff_sources(state.states, inspect_sources(settings, FRENCH).states) == ["changed: a/b"]


def test_latest_becomes_the_release_of_today(server: Server, tmp_path: Path) -> None:
    def answer(version: str) -> Callable[[Handler, bytes | None], None]:
        text = f'{{"corpora": [{{"corpus": "T", "version": "{version}"}}]}}'.encode()
        return lambda handler, _: whole(handler, text)

    settings = download_settings(
        tmp_path, {"kind": "opus", "corpus": "T"}, opus_api=server.url("/api"), opus_files=server.url("/files")
    )
    path = "/api?corpus=T&source=en&target=fr&preprocessing=moses&version=latest"
    server.plans[path] = [answer("v1")]
    state = inspect_sources(settings, FRENCH)
    assert [(one.version, one.targets) for one in state.sources] == [("v1", ("fr",))]  # type: ignore[union-attr]
    server.plans[path] = [answer("v2")]
    assert "changed: T, fr" in diff_sources(state.states, inspect_sources(settings, FRENCH).states)
