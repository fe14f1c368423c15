import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlctl.config import Model
from mlctl.errors import InputError
from mlctl.modeling.model_sources import identity, resolve

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}", "pytorch_model.bin": b"pickle"}
MODULES = {  # of sentence-transformers, and a folder of another framework
    "modules.json": b"[]",
    "1_Pooling/config.json": b"{}",
    "2_Dense/model.safetensors": b"dense",
    "2_Dense/pytorch_model.bin": b"pickle",
    "3_Dense/pytorch_model.bin": b"pickle",
    "onnx/model.json": b"{}",
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_folder_as_given(folder: Path) -> None:
    assert resolve(Model(name=str(folder))) == folder


@pytest.mark.parametrize(("name", "problem"), [("config.json", "no config.json"), ("model.safetensors", "no weights")])
def test_folder_without_a_model(folder: Path, name: str, problem: str) -> None:
    (folder / name).unlink()
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=problem):
        resolve(Model(name=str(folder)))


@pytest.mark.parametrize("name", ["./no/such", "./none", "../a", "/no/such", "a/b/c", "x" * 5000, "a\0b"])
def test_path_that_is_not_there_does_not_ask_the_hub(name: str) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        resolve(Model(name=name))


def test_no_name_is_scratch() -> None:
    assert identity(Model(), "weights") == "scratch"
    with pytest.raises(InputError, match=r"names no encoder.*\n.*model\.name"):
        resolve(Model())


def test_identity_is_of_the_content(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("copy")
    for name, content in FILES.items():
        (elsewhere / name).write_bytes(content)
    here, there = Model(name=str(folder)), Model(name=str(elsewhere))
    assert identity(here, "weights") == identity(there, "weights") != identity(here, "tokenizer")
    before = identity(there, "tokenizer")
    (elsewhere / "model.safetensors").write_bytes(b"Weights")
    assert identity(here, "weights") != identity(there, "weights")
    assert identity(there, "tokenizer") == before


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as its client asks for: one model, `lab/tiny`."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/lab/tiny/tree/"):
            self._json(
                [{"type": "file", "path": name, "size": len(body), "oid": name} for name, body in {**FILES, **MODULES}.items()]
            )
        elif path.startswith("/api/models/lab/tiny"):
            self._json({"id": "lab/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in {**FILES, **MODULES}]})
        elif path.startswith(f"/lab/tiny/resolve/{COMMIT}/"):
            self._send(200, {**FILES, **MODULES}[path.removeprefix(f"/lab/tiny/resolve/{COMMIT}/")])
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

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


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def resolve_elsewhere(name: str, endpoint: str, cache: Path, allow_pickle: bool = False) -> str:
    """Resolve in a process of its own: the hub client reads its settings when it is imported."""
    code = (
        "import sys; from mlctl.config import Model; from mlctl.modeling.model_sources import resolve\n"
        f"try: folder = resolve(Model(name={name!r}, allow_pickle={allow_pickle})); print(sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout


def test_hub_snapshot_then_offline_from_the_cache(hub: str, tmp_path: Path) -> None:
    # Safetensors are there: nothing pickled is fetched. Of the folders, the modules of sentence-transformers.
    expected = "['1_Pooling/config.json', '2_Dense/model.safetensors', 'config.json', 'model.safetensors', 'modules.json', 'tokenizer.json']"
    assert expected in resolve_elsewhere("lab/tiny", hub, tmp_path)
    assert expected in resolve_elsewhere("lab/tiny", "http://127.0.0.1:9", tmp_path)
    with_pickle = resolve_elsewhere("lab/tiny", hub, tmp_path, allow_pickle=True)
    assert expected.replace("'config.json'", "'3_Dense/pytorch_model.bin', 'config.json'") in with_pickle, (
        "of a module without others"
    )
    assert "InputError model.name: neither a folder nor a model on the hub: 'lab/none'" in resolve_elsewhere(
        "lab/none", hub, tmp_path
    )


def test_hub_out_of_reach_is_quick_and_clear(tmp_path: Path) -> None:
    begin = time.monotonic()
    message = resolve_elsewhere("lab/tiny", "http://127.0.0.1:9", tmp_path)
    assert "InputError" in message
    assert "the hub cannot be reached" in message
    assert "→ connect to the hub once" in message
    assert time.monotonic() - begin < 20
