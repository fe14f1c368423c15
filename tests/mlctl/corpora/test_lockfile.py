from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from mlctl.corpora.lockfile import Lockfile, renewed_digests
from mlctl.corpora.transfer import Fetched
from mlctl.errors import InputError

A, B = "https://a.example/x", "https://b.example/y"


def fetched(digest: str) -> Fetched:
    return Fetched(Path("x"), A, digest, 3)


def test_written_once_and_enforced_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "corpora.lock"
    Lockfile(path).record({A: fetched("1" * 64)}, {"opus T en-fr": "v1"})
    before = path.read_bytes()
    lock = Lockfile(path)
    assert (lock.pinned_digest(A), lock.pinned_digest(B), lock.pinned_version("opus T en-fr"), lock.pinned_version("other")) == (
        "1" * 64,
        "",
        "v1",
        "",
    )
    lock.record({A: fetched("2" * 64)}, {"opus T en-fr": "v1"})
    assert path.read_bytes() == before
    lock.record({B: fetched("3" * 64)})
    values = json.loads(path.read_text())
    assert {address: entry["sha256"] for address, entry in values["files"].items()} == {A: "1" * 64, B: "3" * 64}
    assert values["files"][A]["size"] == 3
    assert values["files"][A]["retrieved"].endswith("+00:00")


def test_renewed_on_request(tmp_path: Path) -> None:
    path = tmp_path / "corpora.lock"
    Lockfile(path).record({A: fetched("1" * 64)}, {"c": "v1"})
    update = Lockfile(path, update=True)
    assert (update.pinned_digest(A), update.pinned_version("c"), update.recorded_version("c")) == ("", "", "v1")
    update.record({A: fetched("2" * 64)}, {"c": "v2"})
    assert (Lockfile(path).pinned_digest(A), Lockfile(path).pinned_version("c")) == ("2" * 64, "v2")


def test_what_goes_into_a_key(tmp_path: Path) -> None:
    path = tmp_path / "corpora.lock"
    assert renewed_digests(Lockfile(path), [A]) == {}
    Lockfile(path).record({A: fetched("1" * 64), B: fetched("3" * 64)})
    assert renewed_digests(Lockfile(path), [A, B]) == {}  # or the second run would have another key than the first
    first = renewed_digests(Lockfile(path, update=True), [A])
    Lockfile(path, update=True).record({A: fetched("2" * 64)})
    assert renewed_digests(Lockfile(path), [A, B]) == {A: "2" * 64}
    assert renewed_digests(Lockfile(path, update=True), [A]) not in ({}, first)


def test_several_runs_share_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "corpora.lock"
    locks = [Lockfile(path) for _ in range(8)]
    threads = [
        threading.Thread(target=lock.record, args=({f"https://a.example/{number}": fetched("1" * 64)},))
        for number, lock in enumerate(locks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(path.read_text())["files"]) == 8


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "cannot be read"), ("[]", "not of format 1"), ('{"format": 2}', "not of format 1"), ('{"format": 1}', "is invalid"),
        ('{"format": 1, "versions": {}, "files": {"x": {}}}', "an entry has no sha256"), ("\x00\xff", "cannot be read"),
    ],
)  # fmt: skip
def test_a_lock_that_is_none(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "corpora.lock").write_text(text)
    with pytest.raises(InputError, match=problem) as raised:
        Lockfile(tmp_path / "corpora.lock")
    assert str(tmp_path / "corpora.lock") in str(raised.value)


def test_where_nothing_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lock = Lockfile(tmp_path / "new" / "corpora.lock")
    lock.path = tmp_path / "file" / "corpora.lock"
    with pytest.raises(InputError, match=r"corpora\.lock"):
        lock.record({A: fetched("1" * 64)})
