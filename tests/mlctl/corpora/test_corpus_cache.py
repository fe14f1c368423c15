"""Corpora in the cache are not fetched again, and the result is the same to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from webserver import Server

from mlctl.config import Download, Languages, parse
from mlctl.core.workspace import Workspace
from mlctl.corpora import CorpusCache, Lockfile, download

FRENCH = Languages(targets=("fr",))


class Runs:
    """Runs of one recipe that share a cache."""

    def __init__(self, folder: Path, *sources: dict[str, Any], **more: Any) -> None:
        self.folder, self.cache = folder, CorpusCache(folder / "cache", 1)
        self.settings: Download = parse(
            {"download": {"sources": list(sources), "lock": str(folder / "corpora.lock"), "retries": 1, "backoff": 0.01, **more}}
        ).download

    def run(self, name: str, cache: CorpusCache | None = None) -> dict[str, str]:
        """Download, and return the digest of each file that is equal for equal runs."""
        root = self.folder / name
        root.mkdir()
        download(self.settings, FRENCH, Workspace(root), cache=cache or self.cache)
        files = [
            path for path in root.rglob("*") if path.is_file() and ".scratch" not in path.parts and path.name != "retrieved.json"
        ]
        return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def url(server: Server, name: str) -> dict[str, Any]:
    server.files |= {f"/{name}.en": b"one\ntwo\n", f"/{name}.fr": b"un\ndeux\n"}
    return {"kind": "url", "name": name, "urls": [server.url(f"/{name}.{{language}}")], "licence": "MIT"}


def requested_paths(server: Server) -> list[str]:
    """Return the paths that were requested since the last call."""
    paths = sorted(request.path for request in server.requests)
    server.requests.clear()
    return paths


def test_what_was_read_before_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    runs = Runs(tmp_path, url(server, "x"), url(server, "y"))
    first = runs.run("a")
    assert len(requested_paths(server)) == 4
    assert runs.run("b") == first
    assert requested_paths(server) == []
    assert runs.run("c", CorpusCache(tmp_path / "other", 1)) == first
    assert len(requested_paths(server)) == 4
    assert runs.run("d", CorpusCache(tmp_path / "cache", 2)) == first, "another revision of the code reads again"
    assert len(requested_paths(server)) == 4


def test_of_two_sources_the_changed_one_is_fetched(server: Server, tmp_path: Path) -> None:
    runs = Runs(tmp_path, url(server, "x"), url(server, "y"))
    first = runs.run("a")
    requested_paths(server)
    server.files["/y.fr"] = b"un\nDEUX\n"
    Lockfile(tmp_path / "corpora.lock").expire([server.url("/y.fr")])
    second = runs.run("b")
    assert requested_paths(server) == ["/y.en", "/y.fr"]
    assert {name for name in first if first[name] != second[name]} == {"pairs/fr/01-y.parquet", "provenance.json"}


def test_a_damaged_entry_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    runs = Runs(tmp_path, url(server, "x"))
    first = runs.run("a")
    (part,) = (tmp_path / "cache").glob("*/*.parquet")
    part.unlink()  # a result may be the same file
    part.write_bytes(b"rot")
    requested_paths(server)
    assert runs.run("b") == first
    assert len(requested_paths(server)) == 2
    assert runs.run("c") == first
    assert requested_paths(server) == []


def test_a_package_is_fetched_once_beside_others(
    tmp_path: Path, make_wheel: Callable[..., Path], gettext_files: SimpleNamespace
) -> None:
    members = {"locale/fr/LC_MESSAGES/x.po": gettext_files.po(("Good morning to you", "Bonjour"))}
    for name in ("shop", "till"):
        make_wheel(name, members)
    Runs(tmp_path, {"kind": "locales", "packages": ["shop==1.0"]}).run("a")
    (tmp_path / "links" / "shop-1.0-py3-none-any.whl").unlink()
    made = Runs(tmp_path, {"kind": "locales", "packages": ["till==1.0", "shop==1.0"]}).run("b")
    assert {"pairs/fr/00-till.parquet", "pairs/fr/01-shop.parquet"} <= set(made)
