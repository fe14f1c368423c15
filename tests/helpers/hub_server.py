"""As much of the hub's protocol as its client asks for, on loopback: one model, `lab/tiny`, whose files are those of a folder."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_API = "/api/models/lab/tiny"


class _Hub(BaseHTTPRequestHandler):
    folder: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        files = {file.relative_to(self.folder).as_posix(): file for file in self.folder.rglob("*") if file.is_file()}
        name = path.partition("/resolve/")[2].partition("/")[2]
        if path.startswith(f"{_API}/commits"):
            self._json([{"id": COMMIT, "title": "a", "message": "", "date": "2026-01-01T00:00:00.000Z", "authors": []}])
        elif path.startswith(f"{_API}/tree"):
            self._json([{"type": "file", "path": one, "size": file.stat().st_size, "oid": one} for one, file in files.items()])
        elif path.startswith(_API):
            listed = [{"rfilename": one} for one in files]
            self._json({"id": "lab/tiny", "sha": COMMIT, "tags": ["sentence-transformers"], "siblings": listed})
        elif name in files:
            self._send(200, files[name].read_bytes())
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound" if name else "RepoNotFound"})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, "ETag": f'"{hash(body)}"', **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a model's folder; yield the address of the hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"folder": folder}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
