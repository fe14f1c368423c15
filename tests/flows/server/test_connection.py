"""A configured Prefect server that cannot be used is one message."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server.connection import check_server
from mlctl.errors import InputError


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 401 if "locked" in self.path else 200
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def message(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(InputError) as error:
        check_server()
    return str(error.value)


def test_a_server_that_runs(server: str) -> None:
    with temporary_settings({PREFECT_API_URL: server}):
        check_server()


def test_no_server_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}/api"
    text = message(url)
    assert "cannot be reached" in text
    assert "unset PREFECT_API_URL" in text
    assert "mlctl up" in text
    assert "secret" not in text


def test_another_program(other_server: str) -> None:
    assert "not as the API of a Prefect server" in message(f"{other_server}/api")


def test_wrong_credentials(other_server: str) -> None:
    assert "PREFECT_API_AUTH_STRING" in message(f"{other_server}/locked/api")
