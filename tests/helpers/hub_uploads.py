"""The part of the hub's protocol that an upload takes, on loopback; model cards are checked by the hub's rules for their header."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_LICENCE = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")  # ids of the hub are lower case: apache-2.0, cc-by-4.0, unknown, other


def card_errors(card: str) -> list[str]:
    """Return what the hub would refuse in the header of a card."""
    header = yaml.safe_load(card.split("---\n")[1])
    errors = [f"{name}: {value!r}" for name in ("base_model", "datasets") for value in as_list(header.get(name))
              if not _REPOSITORY.fullmatch(str(value))]  # fmt: skip
    errors += [f"language: {code!r}" for code in as_list(header.get("language")) if not re.fullmatch(r"[a-z]{2,3}", str(code))]
    if not isinstance(header.get("license"), str) or not _LICENCE.fullmatch(header["license"]):
        errors.append(f"license: {header.get('license')!r}")
    if header.get("license") == "other" and not header.get("license_name"):
        errors.append("license_name is missing")
    for model in as_list(header.get("model-index")):
        for result in model["results"] if model.get("name") else [{}]:
            if not result.get("task", {}).get("type") or not {"type", "name"} <= set(result.get("dataset", {})):
                errors.append(f"model-index: {result}")
            errors += [f"metric: {one}" for one in result.get("metrics", [{}]) if not isinstance(one.get("value"), (int, float))]
    return errors


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


class Hub(ThreadingHTTPServer):
    """Takes models as the hub of Hugging Face does: makes a repository, says how files come, takes a commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.made: list[dict[str, Any]] = []
        self.commits: list[str] = []
        self.cards: list[str] = []
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
        elif self.path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
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

    def _validate(self, card: str) -> None:
        errors = [{"message": error} for error in card_errors(card)]
        self.server.cards.append(card)
        self._answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts: object) -> None:
        del parts


@contextlib.contextmanager
def serve_uploads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub, and make it the one of this process, with a token."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_hush")
    with Hub() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made.url)
        yield made
        made.shutdown()
