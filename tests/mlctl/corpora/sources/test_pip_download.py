from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.config import Download
from mlctl.corpora.sources.pip_download import discard_unfinished, fetch_wheel
from mlctl.errors import InputError

MakeWheel = Callable[..., Path]


def test_a_fetched_wheel_is_kept(make_wheel: MakeWheel, tmp_path: Path) -> None:
    made = make_wheel("demo", {})
    content = made.read_bytes()
    fetched = fetch_wheel("demo==1.0", Download(), tmp_path)
    assert fetched.read_bytes() == content
    made.unlink()
    assert fetch_wheel("demo==1.0", Download(), tmp_path) == fetched


def test_newest_version_whatever_python_it_wants(make_wheel: MakeWheel, tmp_path: Path) -> None:
    make_wheel("demo", {}, "1.0")
    make_wheel("demo", {}, "2.0", metadata="Requires-Python: >=4\n")
    assert fetch_wheel("demo", Download(), tmp_path).name == "demo-2.0-py3-none-any.whl"


def test_wrong_package_version_and_wheel(make_wheel: MakeWheel, links: Path, tmp_path: Path) -> None:
    make_wheel("demo", {})
    with pytest.raises(InputError, match=r"no wheel matches demo==3.0; .* with one: 1.0"):
        fetch_wheel("demo==3.0", Download(), tmp_path)
    with pytest.raises(InputError, match="no package 'dmeo'"):
        fetch_wheel("dmeo", Download(), tmp_path)
    (links / "source-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match="source has no wheel"):
        fetch_wheel("source", Download(), tmp_path)
    make_wheel("other", {}, tag="cp39-cp39-win_amd64")
    with pytest.raises(InputError, match="other has no wheel for this machine"):
        fetch_wheel("other", Download(), tmp_path)
    with pytest.raises(InputError, match="no package 'absent'"):
        fetch_wheel("absent", Download(), tmp_path)
    (links / "broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"pip could not fetch broken: .*invalid"):
        fetch_wheel("broken", Download(), tmp_path)
    discard_unfinished(tmp_path)
    assert not list(tmp_path.glob("fetching-*"))


@pytest.mark.parametrize("requirement", ["", "-r /etc/passwd", "demo 1.0", "demo @ file:///x.whl", "demo; python_version > '3'"])
def test_bad_requirements(requirement: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"write .*for example"):
        fetch_wheel(requirement, Download(), tmp_path)


def test_unreachable_index(links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(InputError, match=rf"http://\S*127.0.0.1:{port}/simple cannot be reached") as raised:
        fetch_wheel("demo", Download(index_url=f"http://me:secret@127.0.0.1:{port}/simple"), tmp_path)
    assert "secret" not in str(raised.value)


def test_an_index_that_never_answers(links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        with pytest.raises(InputError, match="not fetched within 2 s"):
            fetch_wheel("demo", Download(index_url=address, timeout=2), tmp_path)
