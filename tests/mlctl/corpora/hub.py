"""A server on loopback with the part of the Hugging Face hub's API that reads datasets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from webserver import Loopback

Files = Mapping[str, bytes]


class Hub(Loopback):
    """Datasets by name, each at one commit; `private` ones need a login, and `requests` has all requested paths."""

    def __init__(self, sets: Mapping[str, Files], private: tuple[str, ...] = ()) -> None:
        super().__init__(_Handler)
        self.sets, self.private = sets, private
        self.broken = ""  # a file whose content fails
        self.gone = False  # hangs up on everybody; `GET /-/go` makes it so
        self.requests: list[str] = []

    def commit(self, name: str) -> str:
        return hashlib.sha1(repr(sorted(self.sets[name].items())).encode(), usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.gone = self.server.gone or self.path == "/-/go"
        if self.server.gone:
            self.close_connection = True
            return
        size = int(self.headers.get("Content-Length") or 0)
        self._query = parse_qs(self.rfile.read(size).decode())
        address = urlsplit(self.path)
        steps = [unquote(step) for step in address.path.strip("/").split("/")]
        if steps[:2] == ["api", "datasets"]:
            self._about("/".join(steps[2:4]), steps[4:])
        elif steps[0] == "datasets" and steps[3:4] == ["resolve"]:
            self._file("/".join(steps[1:3]), steps[4], "/".join(steps[5:]))
        else:
            self._fail(404, "EntryNotFound")

    do_HEAD = do_POST = do_GET  # noqa: N815 - what the server looks for

    def _known(self, name: str, revision: str) -> bool:
        """Return whether a dataset exists, or send the hub's error."""
        if name in self.server.private:
            self._fail(401, "GatedRepo", "Access to dataset is restricted")
        elif name not in self.server.sets:
            self._fail(401, "RepoNotFound")
        elif revision not in ("main", self.server.commit(name)):
            self._fail(404, "RevisionNotFound")
        else:
            return True
        return False

    def _about(self, name: str, rest: list[str]) -> None:
        revision = rest[1] if len(rest) > 1 else "main"
        if not self._known(name, revision):
            return
        files = self.server.sets[name]
        if rest[:1] == ["tree"]:
            self._json(_tree(files, "/".join(rest[2:])))
        elif rest[:1] == ["paths-info"]:
            self._json([entry for path in self._query.get("paths", []) for entry in _entries(files, path)])
        else:
            card = files.get("README.md", b"").decode()
            licence = card.partition("license: ")[2].partition("\n")[0]
            siblings = [{"rfilename": path} for path in sorted(files)]
            about = {"id": name, "sha": self.server.commit(name), "private": False, "tags": [], "siblings": siblings}
            self._json(about | {"cardData": {"license": licence} if licence else {}})

    def _file(self, name: str, revision: str, path: str) -> None:
        if not self._known(name, revision):
            return
        data = self.server.sets[name].get(path)
        if data is None:
            self._fail(404, "EntryNotFound")
        elif path == self.server.broken and self.command == "GET":
            self._fail(500, "")
        else:
            commit = self.server.commit(name)
            self._send(200, data, ETag=f'"{_blob(data)}"', X_Repo_Commit=commit, Accept_Ranges="bytes")

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), Content_Type="application/json")

    def _fail(self, status: int, code: str, message: str = "") -> None:
        self._send(status, b"", X_Error_Code=code, X_Error_Message=message)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *parts: object) -> None:
        del parts


def _blob(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _tree(files: Files, folder: str) -> list[dict[str, Any]]:
    """Return the entries below a folder, including folders."""
    inside = [path for path in files if path.startswith(f"{folder}/" if folder else "")]
    folders = {path.rsplit("/", depth)[0] for path in inside for depth in range(1, path.count("/") + 1)} - {folder}
    return [entry for path in sorted({*inside, *folders}) for entry in _entries(files, path)]


def _entries(files: Files, path: str) -> list[dict[str, Any]]:
    if path in files:
        return [{"type": "file", "path": path, "size": len(files[path]), "oid": _blob(files[path])}]
    below = any(other.startswith(f"{path}/") for other in files)
    return [{"type": "directory", "path": path, "oid": _blob(path.encode())}] if below else []
