from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Languages, Translate
from mlctl.config.translate_openai import OpenAI
from mlctl.errors import InputError
from mlctl.translation.licences import backend_name, check_licence, licence, record

CARD = "---\nlanguage:\n- en\nlicense: cc-by-nc-4.0\n---\n# NLLB\n"
LANGUAGES = Languages(targets=("fr", "de"))


def model(folder: Path, card: str | None) -> Path:
    folder.mkdir(parents=True)
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def settings(name: object, **more: Any) -> Translate:
    return Translate(backend="ctranslate2", model=str(name), **more)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (CARD, "CC-BY-NC-4.0"),
        ("\ufeff---\r\nlicense: apache-2.0\r\n---\r\ntext", "Apache-2.0"),
        ("---\nlicense: [mit, cc-by-4.0]\n---\n", "MIT AND CC-BY-4.0"),
        ("---\nlicense: other\nlicense_name: tongue-1\n---\n", "LicenseRef-tongue-1"),
        ("---\nlicense:\n---\n", "unknown"),
        ("---\n{ not yaml\n---\n", "unknown"),
        ("---\n- a\n- list\n---\n", "unknown"),
        ("license: mit\n", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_card_says_the_licence(tmp_path: Path, card: str | None, expected: str) -> None:
    folder = model(tmp_path / "model", card)
    assert licence(settings(folder), LANGUAGES) == expected
    assert licence(settings(folder, licence="MIT"), LANGUAGES) == "MIT"


def test_each_model_is_asked_also_those_of_the_pivot(tmp_path: Path) -> None:
    model(tmp_path / "en-fr", "---\nlicense: mit\n---\n")
    model(tmp_path / "en-de", "---\nlicense: cc-by-nc-4.0\n---\n")
    model(tmp_path / "es-de", "---\nlicense: apache-2.0\n---\n")
    chosen = settings(f"{tmp_path}/{{source}}-{{target}}", pivot="es")
    assert licence(chosen, Languages()) == "MIT"
    assert licence(chosen, LANGUAGES) == "Apache-2.0 AND CC-BY-NC-4.0 AND MIT"
    through = {"backend": "pivot", "en→es backend": "ctranslate2", "es→de backend": "ctranslate2"}
    assert record(chosen, through, "en", "de")["licence"] == "Apache-2.0"  # of the pivot's steps; there is no model from en to es
    entry = record(chosen, {"backend": "ctranslate2", "model": f"{tmp_path}/en-fr", "digest": "1"}, "en", "fr")
    assert (entry["direction"], entry["name"], entry["licence"]) == ("en→fr", "ctranslate2 en-fr", "MIT")


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"backend": "ctranslate2", "model": "marian-1a2b3c4d", "digest": "1"}, "ctranslate2 marian-1a2b3c4d"),
        ({"backend": "command", "command": "'/opt/bin/marian' '--key' 'a secret'"}, "command marian"),
        ({"backend": "apertium", "mode": "eng-spa"}, "apertium eng-spa"),
        ({"backend": "other"}, "other"),
        (
            {"backend": "pivot", "en→es backend": "a", "en→es model": "x", "es→de backend": "b", "es→de model": "y"},
            "a x, b y",
        ),
    ],
)
def test_what_a_backend_is_called(identity: dict[str, str], expected: str) -> None:
    assert backend_name(identity) == expected


def test_programs_and_rules() -> None:
    assert licence(Translate(), LANGUAGES) == ""
    assert licence(Translate(backend="apertium"), LANGUAGES) == ""  # the output of a program is not under the program's licence
    assert licence(Translate(backend="command", command=("marian",)), LANGUAGES) == "unknown"
    assert licence(Translate(backend="command", command=("marian",), licence="cc-by-4.0"), LANGUAGES) == "CC-BY-4.0"
    server = OpenAI(base_url="http://localhost:8000/v1")
    assert licence(Translate(backend="openai", model="owner/name", openai=server), LANGUAGES) == "unknown"
    assert licence(Translate(backend="openai", model="owner/name", openai=server, licence="mit"), LANGUAGES) == "MIT"


def test_a_model_outside_the_list_stops_the_run_by_name(tmp_path: Path) -> None:
    folder = model(tmp_path / "nllb", "---\nlicense: cc-by-nc-4.0\n---\n")
    check_licence(settings(folder), LANGUAGES, {"CC-BY-NC-4.0"}.__contains__)
    with pytest.raises(
        InputError, match=r"does not cover the translation backend .*nllb \(CC-BY-NC-4\.0\)\. Nothing was started"
    ) as raised:
        check_licence(settings(folder), LANGUAGES, {"MIT"}.__contains__)
    assert "add CC-BY-NC-4.0 to licences.allow" in raised.value.remedy
    with pytest.raises(InputError, match=r"backend marian \(unknown\)"):
        check_licence(Translate(backend="command", command=("marian",)), LANGUAGES, {"MIT"}.__contains__)
    for free in (Translate(), Translate(backend="apertium")):
        check_licence(free, LANGUAGES, set[str]().__contains__)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """A hub that serves model cards: `lab/nllb` has one, `lab/bare` has none, others do not exist."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        known = self.path.startswith(("/api/models/lab/nllb", "/api/models/lab/bare", "/lab/nllb/resolve/"))
        info = json.dumps({"id": "lab/x", "sha": COMMIT, "siblings": []})
        body = (info if self.path.startswith("/api/") else CARD).encode() if known else b""
        self.send_response(200 if known else 404)
        headers = {"X-Repo-Commit": COMMIT, "ETag": '"1"', "Content-Type": "application/json"}
        if not known:
            headers["X-Error-Code"] = "EntryNotFound" if self.path.startswith("/lab/bare/") else "RepoNotFound"
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def licences_in_new_process(names: list[str], endpoint: str, cache: Path) -> list[str]:
    """Return the licences, found in a new process: the hub client reads its settings when it is imported."""
    code = (
        "import sys; from mlctl.config import Languages, Translate; from mlctl.translation.licences import licence\n"
        "print([licence(Translate(backend='ctranslate2', model=name), Languages()) for name in sys.argv[1:]])\n"
        "assert 'torch' not in sys.modules"
    )
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True, env=environment)
    return list(json.loads(done.stdout.replace("'", '"')))


def test_cards_on_the_hub_and_then_without_it(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = ["lab/nllb", "lab/bare", "lab/none", "no/such/place"]
    expected = ["CC-BY-NC-4.0", "unknown", "", ""]  # a model that does not exist translates nothing
    assert licences_in_new_process(names, f"http://127.0.0.1:{server.server_port}", tmp_path) == expected
    server.shutdown()
    server.server_close()
    assert licences_in_new_process(["lab/nllb", "lab/none"], "http://127.0.0.1:9", tmp_path) == ["CC-BY-NC-4.0", ""]
