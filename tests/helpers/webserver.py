"""A web server on loopback with a scripted behaviour for each request."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self


class Request(NamedTuple):
    """Path and headers of a request."""

    path: str
    range: str
    condition: str
    encodings: str


class Handler(BaseHTTPRequestHandler):
    """Answers with what is planned for the path, else with the file, as a well-behaved server does."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            header = self.headers.get
            self.server.requests.append(
                Request(self.path, header("Range", ""), header("If-Range", ""), header("Accept-Encoding", ""))
            )
            plan = self.server.plans.get(self.path, [])
            behave = plan.pop(0) if plan else whole
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            behave(self, self.server.files.get(self.path))

    def start(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *parts: object) -> None:
        del parts


Behaviour = Callable[[Handler, bytes | None], None]


class Loopback(ThreadingHTTPServer):
    """A server on a free port of this machine, for the length of a `with`."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class Server(Loopback):
    """Files by path, plans by path (a behaviour for each of the next requests) and the requests so far."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, list[Behaviour]] = {}
        self.requests: list[Request] = []
        self.lock = threading.Lock()

    def ranges(self, path: str) -> list[str]:
        """The Range headers of all requests for a path; "" for none."""
        return [request.range for request in self.requests if request.path == path]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        yield server


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def whole(handler: Handler, data: bytes | None) -> None:
    """What RFC 9110 asks of a server."""
    if data is None:
        handler.start(404, 0)
        return
    first = _first(handler, etag(data))
    if first is None:
        handler.start(200, len(data), ETag=etag(data))
        handler.wfile.write(data)
    elif first >= len(data):
        handler.start(416, 0, Content_Range=f"bytes */{len(data)}")
    else:
        handler.start(206, len(data) - first, ETag=etag(data), Content_Range=f"bytes {first}-{len(data) - 1}/{len(data)}")
        handler.wfile.write(data[first:])


def _first(handler: Handler, version: str) -> int | None:
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(found[1]) if found and handler.headers.get("If-Range", version) == version else None


def cut(size: int, then: Callable[[Handler], None] | None = None, **headers: str) -> Behaviour:
    """Send `size` bytes of the requested range, then close the connection (or do something else)."""

    def behave(handler: Handler, data: bytes | None) -> None:
        assert data is not None
        first = _first(handler, etag(data)) or 0
        named = {"ETag": etag(data), **headers} if "ETag" not in headers else headers
        if first:
            named["Content_Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        handler.start(206 if first else 200, len(data) - first, **{key: value for key, value in named.items() if value})
        handler.wfile.write(data[first : first + size])
        handler.wfile.flush()
        if then:
            then(handler)
        handler.close_connection = True

    return behave


def reset(handler: Handler) -> None:
    """Let the connection fall with RST instead of FIN."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    handler.connection.close()


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    def behave(handler: Handler, data: bytes | None) -> None:
        handler.start(code, len(body), **headers)
        handler.wfile.write(body)

    return behave


def ignoring_ranges(handler: Handler, data: bytes | None) -> None:
    assert data is not None
    handler.start(200, len(data), ETag=etag(data))
    handler.wfile.write(data)


def without_length(last: bytes = b"0\r\n\r\n") -> Behaviour:
    """Send the file in chunks, without its length; `last` ends it."""

    def behave(handler: Handler, data: bytes | None) -> None:
        assert data is not None
        handler.start(200, None, Transfer_Encoding="chunked", ETag=etag(data))
        for start in range(0, len(data), 50_000):
            piece = data[start : start + 50_000]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        handler.wfile.write(last)
        handler.close_connection = True

    return behave
