from __future__ import annotations

import datetime
import email.utils
import gzip
import hashlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from webserver import Handler, Server, cut, etag, ignoring_ranges, reset, status, whole, without_length

from mlctl.corpora.transfer import Downloader, DownloadRequest, Fetched, TransferLimits
from mlctl.corpora.transfer.client import RefusedError, _redirected
from mlctl.corpora.transfer.partial_download import PartialDownload
from mlctl.errors import InputError

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
QUICK = TransferLimits(stall=10, retries=2, backoff=0.01, longest_pause=5)


@pytest.fixture
def server(server: Server) -> Server:
    server.files["/x"] = DATA
    return server


def fetch(server: Server, folder: Path, *paths: str, sha256: str = "", limits: TransferLimits = QUICK) -> Fetched:
    urls = tuple(server.url(path) for path in paths or ("/x",))
    return Downloader(limits).fetch_all([DownloadRequest(urls, folder / "file", sha256)])[0]


def test_a_file_arrives_once(server: Server, tmp_path: Path) -> None:
    reports: list[tuple[int, int | None, str]] = []
    downloader = Downloader(QUICK, lambda done, total, unit, **_: reports.append((done, total, unit)))
    fetched = downloader.fetch_all([DownloadRequest((server.url("/x"),), tmp_path / "deep" / "file")])[0]
    assert fetched == Fetched(tmp_path / "deep" / "file", server.url("/x"), DIGEST, len(DATA), etag(DATA))
    assert fetched.path.read_bytes() == DATA
    assert reports[-1] == (len(DATA), len(DATA), "bytes")
    assert downloader.fetch_all([DownloadRequest((server.url("/x"),), fetched.path)]) == [fetched]
    assert [(request.range, request.encodings) for request in server.requests] == [("", "identity")]


@pytest.mark.parametrize("then", [None, lambda _: time.sleep(2.5)], ids=["truncates", "stalls"])
def test_goes_on_at_the_byte_where_it_stopped(then: Callable[[Handler], None] | None, server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(70_000, then), cut(70_000, then)]
    assert fetch(server, tmp_path, limits=TransferLimits(stall=1 if then else 10, retries=2, backoff=0.01)).sha256 == DIGEST
    assert server.ranges("/x") == ["", "bytes=70000-", "bytes=140000-"]
    assert [request.condition for request in server.requests] == ["", etag(DATA), etag(DATA)]


def test_a_reset_may_lose_what_was_on_its_way_and_no_more(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(70_000, reset), cut(70_000, reset)]
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert len(server.requests) == 3


def test_next_run_goes_on_and_nothing_is_taken_twice(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000), status(404)]
    with pytest.raises(InputError, match="404"):
        fetch(server, tmp_path)
    assert not (tmp_path / "file").exists()
    assert (tmp_path / "file.part").read_bytes() == DATA[:100_000]
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert server.ranges("/x") == ["", "bytes=100000-", "bytes=100000-"]


def test_two_versions_never_mix(server: Server, tmp_path: Path) -> None:
    def change(handler: Handler) -> None:
        server.files["/x"] = OTHER

    server.plans["/x"] = [cut(100_000, change)]
    assert fetch(server, tmp_path).path.read_bytes() == OTHER


def test_two_versions_never_mix_though_the_server_ignores_if_range(server: Server, tmp_path: Path) -> None:
    def wrong(handler: Handler, data: bytes | None) -> None:
        first = 100_000
        handler.start(206, len(OTHER) - first, ETag=etag(OTHER), Content_Range=f"bytes {first}-{len(OTHER) - 1}/{len(OTHER)}")
        handler.wfile.write(OTHER[first:])

    server.plans["/x"] = [cut(100_000), wrong]
    assert fetch(server, tmp_path).path.read_bytes() == DATA
    assert server.ranges("/x") == ["", "bytes=100000-", ""]


@pytest.mark.parametrize(("tag", "modified", "second"), [
    ("", "", ""),
    ('W/"weak"', "", ""),
    ('W/"weak"', "Sun, 01 Nov 2026 00:00:00 GMT", "bytes=100000-"),
])  # fmt: skip
def test_without_a_strong_validator(tag: str, modified: str, second: str, server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000, ETag=tag, Last_Modified=modified)]
    assert fetch(server, tmp_path).path.read_bytes() == DATA
    assert server.ranges("/x") == ["", second]


def test_a_server_that_knows_no_ranges(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000), ignoring_ranges]
    assert fetch(server, tmp_path).path.read_bytes() == DATA


def test_a_server_that_never_gets_further_is_given_up(server: Server, tmp_path: Path) -> None:
    def again(handler: Handler, data: bytes | None) -> None:
        handler.start(200, len(DATA) + 5, ETag=etag(DATA))
        handler.wfile.write(DATA)
        handler.close_connection = True

    server.plans["/x"] = [again] * 50
    with pytest.raises(InputError, match=r"given up after 3 attempts"):
        fetch(server, tmp_path)
    assert len(server.requests) == 3  # one that brought bytes, two that brought none beyond


def test_a_server_that_says_less_than_it_has_gives_another_file_than_the_pinned_one(server: Server, tmp_path: Path) -> None:
    def short(handler: Handler, data: bytes | None) -> None:
        handler.start(200, 1000, ETag=etag(DATA))
        handler.wfile.write(DATA)
        handler.close_connection = True

    server.plans["/x"], server.files["/mirror"] = [short], DATA
    assert fetch(server, tmp_path, "/x", "/mirror", sha256=DIGEST).path.read_bytes() == DATA


def test_length_is_not_known(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [without_length()]
    assert fetch(server, tmp_path).sha256 == DIGEST
    server.plans["/y"], server.files["/y"] = [without_length(b"")], DATA  # ends without saying so: was that all?
    assert fetch(server, tmp_path / "y", "/y").sha256 == DIGEST
    assert server.ranges("/y") == ["", "bytes=300000-"]  # 416 with the same length: it was


def test_416_for_a_file_that_has_become_shorter(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000), status(416, Content_Range="bytes */50")]
    assert fetch(server, tmp_path).path.read_bytes() == DATA
    assert server.ranges("/x") == ["", "bytes=100000-", ""]


@pytest.mark.parametrize("headers", [{"Content_Range": "bytes */50"}, {}])
def test_416_of_another_length_than_what_came_without_one(headers: dict[str, str], server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [without_length(b""), status(416, **headers)]
    assert fetch(server, tmp_path).path.read_bytes() == DATA
    assert server.ranges("/x") == ["", "bytes=300000-", ""]


def test_a_server_that_gives_less_than_the_range_asked_for(server: Server, tmp_path: Path) -> None:
    def some(handler: Handler, data: bytes | None) -> None:
        handler.start(206, 50_000, ETag=etag(DATA), Content_Range="bytes 100000-149999/300000")
        handler.wfile.write(DATA[100_000:150_000])

    server.plans["/x"] = [cut(100_000), some]
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert server.ranges("/x") == ["", "bytes=100000-", "bytes=150000-"]


def test_what_passes_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [status(503), status(500)]
    assert fetch(server, tmp_path).sha256 == DIGEST
    server.plans["/x"] = [status(502)] * 9
    with pytest.raises(InputError, match=r"502 Bad Gateway; given up after 3 attempts"):
        fetch(server, tmp_path / "again")


@pytest.mark.parametrize("code", [403, 404, 410, 401, 304])
def test_what_stays_is_not(code: int, server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [status(code)]
    with pytest.raises(InputError, match=rf"127.0.0.1:\d+/x: it answers {code} "):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_retry_after(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [status(429, Retry_After="1")]
    begun = time.monotonic()
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert time.monotonic() - begun >= 1
    later = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1), usegmt=True)
    for retry_after in ("3600", later):
        server.plans["/x"] = [status(503, Retry_After=retry_after)]
        with pytest.raises(InputError, match=r"asks to wait 3[56]\d\d s, longer than 5 s"):
            fetch(server, tmp_path / "late")


def test_mirrors_in_order_each_from_its_own_first_byte(server: Server, tmp_path: Path) -> None:
    server.plans["/gone"], server.files["/gone"] = [cut(100_000), status(410)], OTHER
    assert fetch(server, tmp_path, "/gone", "/x").address == server.url("/x")
    assert (tmp_path / "file").read_bytes() == DATA
    assert [(request.path, request.range) for request in server.requests] == [
        ("/gone", ""),
        ("/gone", "bytes=100000-"),
        ("/x", ""),
    ]
    with pytest.raises(InputError, match=r"/no: it answers 404(.|\n)*/never: it answers 404"):
        fetch(server, tmp_path / "none", "/no", "/never")


def test_next_run_asks_first_the_mirror_that_gave_something(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000), status(403)]
    with pytest.raises(InputError):
        fetch(server, tmp_path, "/no", "/x")
    server.requests.clear()
    fetch(server, tmp_path, "/no", "/x")
    assert [(request.path, request.range) for request in server.requests] == [("/x", "bytes=100000-")]


def test_digest(server: Server, tmp_path: Path) -> None:
    other = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(InputError, match=rf"its sha256 is {DIGEST}, the recipe has {other}"):
        fetch(server, tmp_path, sha256=other)
    assert not list(tmp_path.glob("file"))
    server.files["/mirror"] = OTHER
    assert fetch(server, tmp_path, "/x", "/mirror", sha256=other).address == server.url("/mirror")
    assert fetch(server, tmp_path, "/x", sha256=DIGEST).sha256 == DIGEST  # the existing file does not have the pinned digest


def test_redirects(server: Server, tmp_path: Path) -> None:
    server.plans["/a"] = [status(302, Location="/b?q=1")]
    server.plans["/b?q=1"] = [status(308, Location=server.url("/x"))]
    assert fetch(server, tmp_path, "/a").address == server.url("/a")
    server.plans.update({"/l": [status(301, Location="/m")] * 9, "/m": [status(301, Location="/l")] * 9})
    with pytest.raises(InputError, match="redirects in a circle"):
        fetch(server, tmp_path / "loop", "/l")
    server.plans.update({f"/{n}": [status(307, Location=f"/{n + 1}")] for n in range(20)})
    with pytest.raises(InputError, match="redirects more than 10 times"):
        fetch(server, tmp_path / "long", "/0")
    server.plans["/f"] = [status(302, Location="file:///etc/passwd")]
    with pytest.raises(InputError, match="redirects to file"):
        fetch(server, tmp_path / "scheme", "/f")
    for nowhere in ("http://[broken?token=hunter2", "http://a b/?token=hunter2", "http://127.0.0.1:99999/?token=hunter2"):
        server.plans["/n"] = [status(302, Location=nowhere)]
        with pytest.raises(InputError, match=r"invalid URL|no connection") as raised:
            fetch(server, tmp_path / "nowhere", "/n")
        assert "hunter2" not in str(raised.value)
    with pytest.raises(RefusedError, match="from https to http"):
        _redirected("https://a.example/x", "http://a.example/x", set())


def test_bytes_stay_as_they_were_sent(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(b"text" * 1000)
    server.plans["/x"] = [status(200, packed, Content_Encoding="gzip")]
    assert fetch(server, tmp_path).path.read_bytes() == packed


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(InputError, match=rf"127.0.0.1:{port}/x: no connection: .*refused"):
        Downloader(QUICK).fetch_all([DownloadRequest((f"http://127.0.0.1:{port}/x",), tmp_path / "x")])


def test_the_environments_proxy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    server.files["http://mirror.example/x"] = DATA
    fetched = Downloader(QUICK).fetch_all([DownloadRequest(("http://mirror.example/x",), tmp_path / "x")])
    assert fetched[0].sha256 == DIGEST


def test_an_empty_file_and_one_too_large(server: Server, tmp_path: Path) -> None:
    server.files["/empty"] = b""
    assert fetch(server, tmp_path, "/empty").size == 0
    with pytest.raises(InputError, match="it has more than 1000 bytes"):
        fetch(server, tmp_path / "large", limits=TransferLimits(largest=1000))


def test_connections_side_by_side_and_no_more(server: Server, tmp_path: Path) -> None:
    here, most, lock = 0, 0, threading.Lock()

    def slow(handler: Handler, data: bytes | None) -> None:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        time.sleep(0.15)
        with lock:
            here -= 1
        whole(handler, DATA)

    wanted = []
    for number in range(6):
        server.plans[f"/{number}"] = [slow]
        wanted.append(DownloadRequest((server.url(f"/{number}"),), tmp_path / str(number)))
    fetched = Downloader(TransferLimits(connections=3)).fetch_all(wanted)
    assert [file.path.name for file in fetched] == list("012345")
    assert most == 3


def test_one_failure_ends_all_and_keeps_what_is_there(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000, lambda _: time.sleep(0.3))]
    wanted = [DownloadRequest((server.url(path),), tmp_path / path[1:]) for path in ("/x", "/none")]
    with pytest.raises(InputError, match="404"):
        Downloader(QUICK).fetch_all(wanted)
    assert not (tmp_path / "x").exists()
    assert Downloader(QUICK).fetch_all(wanted[:1])[0].sha256 == DIGEST


def test_bandwidth_of_all_connections_together(server: Server, tmp_path: Path) -> None:
    server.files["/y"] = DATA
    begun = time.monotonic()
    limits = TransferLimits(bandwidth=600_000, connections=2)
    Downloader(limits).fetch_all([DownloadRequest((server.url(path),), tmp_path / path[1:]) for path in ("/x", "/y")])
    assert time.monotonic() - begun > 0.8  # 600,000 bytes, of which the last chunk is not waited for


def test_a_damaged_state_means_afresh(server: Server, tmp_path: Path) -> None:
    for state in ("", "{}", "[1]", '{"version": 3, "durable": 0, "boot": ""}'):
        (tmp_path / "file.part").write_bytes(b"junk")
        (tmp_path / "file.state").write_text(state)
        assert fetch(server, tmp_path).path.read_bytes() == DATA
        (tmp_path / "file").unlink()


def test_after_a_power_cut_only_what_was_flushed_counts(server: Server, tmp_path: Path) -> None:
    server.plans["/x"] = [cut(100_000), status(404)]
    with pytest.raises(InputError):
        fetch(server, tmp_path)
    state = json.loads((tmp_path / "file.state").read_text())
    (tmp_path / "file.state").write_text(json.dumps(state | {"boot": "another", "durable": 40_000}))
    with PartialDownload(tmp_path / "file") as part:
        assert part.size == 40_000
    assert fetch(server, tmp_path).sha256 == DIGEST
    assert server.ranges("/x")[-1] == "bytes=40000-"


CHILD = """
import sys
from pathlib import Path
from mlctl.corpora.transfer import Downloader, TransferLimits, DownloadRequest
Downloader(TransferLimits(stall=60)).fetch_all([DownloadRequest((sys.argv[1],), Path(sys.argv[2]))])
"""


def test_killed_in_mid_download_then_exactly_the_rest(server: Server, tmp_path: Path) -> None:
    reached = threading.Event()

    def hold(handler: Handler) -> None:
        reached.set()
        time.sleep(5)

    server.plans["/x"] = [cut(123_457, hold)]
    child = subprocess.Popen([sys.executable, "-c", CHILD, server.url("/x"), str(tmp_path / "file")])
    try:
        assert reached.wait(60)
        end = time.monotonic() + 20
        while (tmp_path / "file.part").stat().st_size < 123_457 and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    fetched = fetch(server, tmp_path)
    assert server.ranges("/x") == ["", "bytes=123457-"]
    assert (fetched.sha256, fetched.size) == (DIGEST, len(DATA))
