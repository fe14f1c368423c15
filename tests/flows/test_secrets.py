"""What grants access (keys in URLs and commands, webhooks) is in no file, message, log or page that a run leaves behind."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tiny
import yaml

from mlctl.cli.main import main

SECRETS = {
    "a token of a URL": "t0ken-of-the-url",
    "a signature": "s1gnature-of-the-url",
    "a password of the package index": "p4ssword-of-the-index",
    "an option of a command": "k3y-of-an-option",
    "an argument of a command": "k3y-as-an-argument",
    "a variable of a command": "k3y-of-a-variable",
    "the path of a webhook": "T00/B00/p4th-of-the-hook",
}
URL_TOKEN, SIGNATURE, PASSWORD, OPTION, ARGUMENT, VARIABLE, HOOK = SECRETS.values()
PROGRAM = "import json, sys\nwords = json.load(open(sys.argv[1]))\nfor line in sys.stdin: print(words.get(line.strip(), line.strip()))\n"


class Files(BaseHTTPRequestHandler):
    """Serves pairs to those who have the token."""

    def do_GET(self) -> None:
        allowed = URL_TOKEN in self.path and SIGNATURE in self.path
        body = "".join(f"{english}\t{french}\n" for english, french, _ in tiny.sentences()[::2]).encode() if allowed else b""
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/pairs.tsv"
        server.shutdown()


def write_recipe(folder: Path, web: str) -> Path:
    texts = [english.replace("paints", "paints and sells") for english, *_ in tiny.sentences() if "paints" in english]
    (folder / "mono.en").write_text("".join(f"{text}\n" for text in texts))
    words = {text: text.replace("paints and sells", "peint et vend").replace("the", "le") for text in texts}
    (folder / "words.json").write_text(json.dumps(words))
    (folder / "program.py").write_text(PROGRAM)
    recipe = tiny.recipe(folder / "store")
    recipe["languages"]["targets"] = ["fr"]
    recipe["align"]["engine"] = "fast_align"  # starts faster
    recipe["download"]["index_url"] = f"http://me:{PASSWORD}@127.0.0.1:9/simple"
    recipe["download"]["lock"] = str(folder / "corpora.lock")
    recipe["download"]["sources"] += [
        {"kind": "url", "name": "web", "format": "tsv", "urls": [f"{web}?access_token={URL_TOKEN}&X-Amz-Signature={SIGNATURE}"]},
        {"kind": "files", "name": "mono", "format": "lines", "path": str(folder / "mono.en")},
    ]
    arguments = [str(folder / "words.json"), "--api-key", OPTION, ARGUMENT, f"API_KEY={VARIABLE}", "{target}"]
    command = [sys.executable, str(folder / "program.py"), *arguments]
    recipe["translate"] = {"backend": "command", "command": command, "max_faulty": 1.0}  # it translates some sentences only
    recipe["train"]["steps"] = 3
    recipe["retrain"] = {"notify": [f"https://hooks.example/services/{HOOK}"]}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def contents(path: Path) -> Iterator[str]:
    """Yield the bytes of a file as text, and of a Parquet file the values and metadata too: they are compressed."""
    yield path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield f"{table.schema.metadata} {table.to_pylist()}"


def leaks(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        f"{what} in {file}" for file in files for text in contents(file) for what, secret in SECRETS.items() if secret in text
    ]


@pytest.mark.slow
def test_a_run_leaves_no_secret_behind(
    tmp_path: Path, wheels: Path, server: str, web: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    recipe, store = write_recipe(tmp_path, web), str(tmp_path / "store")
    assert main(["run", str(recipe)]) == 0, capfd.readouterr().err
    assert main(["export", str(tmp_path / "exported"), "--store", store]) == 0
    assert main(["plan", str(recipe), "train.steps=4", "translate.beams=2"]) == 0
    assert main(["explain", "translate", str(recipe), "translate.beams=2"]) == 0
    assert main(["explain", "download", str(recipe), f"download.sources.1.urls=['{web}?access_token={URL_TOKEN}&page=2']"]) == 0
    assert main(["runs", "--store", store]) == 0
    (tmp_path / "mono.en").write_text("A changed text.\n")
    assert main(["download", str(recipe), f"download.sources.1.urls=['{web}?access_token={URL_TOKEN}']"]) == 1
    wrong = [
        f"translate.command=prog --key {ARGUMENT}",
        f"store=ftp://me:{PASSWORD}@a.example/x",
        f"retrain.notify=ftp://a.example/{HOOK}",
    ]
    assert main(["plan", str(recipe), *wrong]) == 1
    shown = "".join([*capfd.readouterr(), caplog.text])
    assert "translate.command: give a list" in shown
    assert "store: remove the password" in shown
    assert "web: " in shown, "the download is logged"
    assert [what for what, secret in SECRETS.items() if secret in shown] == []
    assert leaks(tmp_path / "store") == []
    assert leaks(tmp_path / "exported") == []
    (tmp_path / "locks").mkdir()
    (tmp_path / "corpora.lock").rename(tmp_path / "locks" / "corpora.lock")
    assert leaks(tmp_path / "locks") == []
    assert leaks(Path(os.environ["PREFECT_HOME"])) == [], "parameters, logs and artifacts on the server"
