from __future__ import annotations

import gzip
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from format_writers import a_zip
from webserver import Handler, Server, cut, status

from mlctl.config import Download, Languages, UrlSource, key_settings, parse
from mlctl.core.workspace import Workspace
from mlctl.core.zstandard import zstd
from mlctl.corpora import download, local_files
from mlctl.errors import InputError

EN, FR = b"one\ntwo\n", b"un\ndeux\n"
FRENCH = Languages(targets=("fr",))


def run(source: UrlSource, folder: Path, languages: Languages = FRENCH, **settings: Any) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    recipe = Download(sources=(source,), lock=str(folder.parent / "corpora.lock"), retries=1, backoff=0.01, **settings)
    download(recipe, languages, Workspace(folder))
    return list(json.loads((folder / "provenance.json").read_text()))


def pairs(folder: Path, target: str = "fr") -> list[tuple[str | None, str | None]]:
    table = pq.read_table(next((folder / "pairs" / target).glob("*.parquet")))
    return list(zip(table["source"].to_pylist(), table["target"].to_pylist(), strict=True))


def test_members_of_an_archive(server: Server, tmp_path: Path) -> None:
    server.files["/n.zip"] = archive = a_zip({"d/n.en": EN, "d/n.fr": FR})
    source = UrlSource(name="My Numbers", urls=(server.url("/n.zip"),), member="d/n.{language}", version="2", licence="CC0-1.0")
    (record,) = run(source, tmp_path / "a")
    assert pairs(tmp_path / "a") == [("one", "un"), ("two", "deux")]
    assert {name: record[name] for name in ("corpus", "kind", "version", "licence", "address", "sha256", "pairs")} == {
        "corpus": "My Numbers", "kind": "url", "version": "2", "licence": "CC0-1.0", "address": server.url("/n.zip"),
        "sha256": hashlib.sha256(archive).hexdigest(), "pairs": {"fr": 2},
    }  # fmt: skip
    assert json.loads((tmp_path / "corpora.lock").read_text())["files"][server.url("/n.zip")]["sha256"] == record["sha256"]
    assert len(server.requests) == 1


def test_a_file_a_side_and_a_table_a_target(server: Server, tmp_path: Path) -> None:
    server.files |= {"/n.en.gz": gzip.compress(EN), "/n.fr.gz": gzip.compress(FR)}
    (record,) = run(UrlSource(name="n", urls=(server.url("/n.{language}.gz"),)), tmp_path / "a")
    assert pairs(tmp_path / "a") == [("one", "un"), ("two", "deux")]
    assert record["address"] == f"{server.url('/n.en.gz')}, {server.url('/n.fr.gz')}"
    server.files |= {"/zh_CN.tsv.zst": zstd.compress("one\t一\n".encode()), "/fr.tsv.zst": zstd.compress(b"one\tun\n")}
    table = UrlSource(name="t", urls=(server.url("/{target}.tsv.zst"),), format="tsv", codes={"zh": "zh_CN"})
    run(table, tmp_path / "b", Languages(targets=("fr", "zh")))
    assert (pairs(tmp_path / "b"), pairs(tmp_path / "b", "zh")) == ([("one", "un")], [("one", "一")])


def test_text_alone_is_fetched_in_the_language_of_its_side(server: Server, tmp_path: Path) -> None:
    server.files |= {"/n.en": EN, "/n.fr": FR}
    monolingual = {"name": "n", "urls": (server.url("/n.{language}"),), "format": "lines"}
    run(UrlSource.model_validate(monolingual), tmp_path / "a")
    assert pairs(tmp_path / "a") == [("one", None), ("two", None)]
    (record,) = run(UrlSource.model_validate({**monolingual, "side": "target"}), tmp_path / "b")
    assert pairs(tmp_path / "b") == [(None, "un"), (None, "deux")]
    assert (record["pairs"], record["untranslated"]) == ({"fr": 0}, {"fr": 2})
    with pytest.raises(ValueError, match="only for monolingual text"):
        UrlSource.model_validate({**monolingual, "format": "moses", "side": "target"})


def test_a_member_of_a_tar_in_another_format(server: Server, tmp_path: Path) -> None:
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w:xz") as archive:
        info = tarfile.TarInfo("x/t.tsv.gz")
        info.size = len(data := gzip.compress(b"1\tone\tun\n"))
        archive.addfile(info, io.BytesIO(data))
    server.files["/get?id=3"] = out.getvalue()
    source = UrlSource(name="t", urls=(server.url("/get?id=3"),), format="tsv", columns=("2", "3"))
    run(source, tmp_path / "a")  # the URL does not show that it is a tar, its content does
    assert pairs(tmp_path / "a") == [("one", "un")]
    server.files["/t.tar.xz"] = out.getvalue()
    run(source.model_copy(update={"urls": (server.url("/t.tar.xz"),)}), tmp_path / "b")
    assert pairs(tmp_path / "b") == [("one", "un")]


def test_text_that_the_server_unpacked_is_read(server: Server, tmp_path: Path) -> None:
    for number, text in enumerate((b"one\tun\n", "one\tun\n".encode("utf-16"))):
        server.files[f"/{number}.tsv.gz"] = text
        run(UrlSource(name="t", urls=(server.url(f"/{number}.tsv.gz"),), format="tsv"), tmp_path / str(number))
        assert pairs(tmp_path / str(number)) == [("one", "un")]
    server.files["/x.tsv.gz"] = b"<!DOCTYPE html><title>404</title>"
    with pytest.raises(InputError, match="error page"):
        run(UrlSource(name="t", urls=(server.url("/x.tsv.gz"),), format="tsv"), tmp_path / "x")


def test_the_lock_is_enforced_then_renewed(server: Server, tmp_path: Path) -> None:
    server.files["/t.tsv"] = old = b"one\tun\n"
    source, languages = UrlSource(name="t", urls=(server.url("/t.tsv"),), format="tsv"), FRENCH
    run(source, tmp_path / "a")
    server.files["/t.tsv"] = new = b"one\tune\n"
    with pytest.raises(InputError) as raised:
        run(source, tmp_path / "b")
    for part in (hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest(), "corpora.lock", "download.update_lock=true"):
        assert part in str(raised.value)
    settings = Download(sources=(source,), lock=str(tmp_path / "corpora.lock"))
    assert local_files(settings, languages) == {}
    run(source, tmp_path / "c", update_lock=True)
    assert pairs(tmp_path / "c") == [("one", "une")]
    assert local_files(settings, languages) == {server.url("/t.tsv"): hashlib.sha256(new).hexdigest()}
    run(source, tmp_path / "d")
    with pytest.raises(InputError, match=r"the recipe has sha256 0+, \S*corpora.lock has"):
        run(source.model_copy(update={"sha256": "0" * 64}), tmp_path / "e")


def test_mirrors_and_the_recipes_digest(server: Server, tmp_path: Path) -> None:
    server.files |= {"/bad.tsv": b"evil\tmal\n", "/good.tsv": (data := b"one\tun\n")}
    urls = tuple(server.url(path) for path in ("/none.tsv", "/bad.tsv", "/good.tsv"))
    (record,) = run(UrlSource(name="t", urls=urls, format="tsv", sha256=hashlib.sha256(data).hexdigest()), tmp_path / "a")
    assert (pairs(tmp_path / "a"), record["address"]) == ([("one", "un")], urls[0])


def test_damaged_files_are_fetched_again_and_never_pinned(server: Server, tmp_path: Path) -> None:
    server.files["/n.zip"] = b"<html>come back later</html>"
    source = UrlSource(name="n", urls=(server.url("/n.zip"),), member="n.{language}")
    with pytest.raises(InputError, match=r"http\S+/n.zip: n.zip is refused: it is not zip, it begins with b'<html>"):
        run(source, tmp_path / "a")
    assert not (tmp_path / "corpora.lock").exists()
    server.files["/n.zip"] = a_zip({"n.en": EN, "n.fr": FR})
    run(source, tmp_path / "a")
    assert len(pairs(tmp_path / "a")) == 2


def test_one_file_for_several_languages(server: Server, tmp_path: Path) -> None:
    source = UrlSource(name="t", urls=(server.url("/t.tsv"),), format="tsv")
    with pytest.raises(InputError, match=r"one file for fr, de\n.*\{target\}"):
        run(source, tmp_path / "a", Languages(targets=("fr", "de")))
    assert not server.requests


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"urls": ["ftp://a.example/x"]}, "not an http or https URL"), ({"urls": ["https://me:pw@a.example/x"]}, "remove the user"),
        ({"urls": []}, "at least 1"), ({"urls": ["https://a.example/{lang}"]}, r"unknown placeholder {lang}"),
        ({"urls": ["https://a.example/x"]}, r"write {language} in urls or member"),
        ({"urls": ["https://a.example/{language}"], "sha256": "0" * 64}, "remove it"),
        ({"urls": ["https://a.example/{language}"], "sha256": "0"}, "sha256"),
        ({"urls": ["https://a.example/x"], "format": "tmx", "columns": ["1"]}, "has no columns"),
        ({"urls": ["https://a.example/{language}"], "codes": {"xxxx": "1"}}, "unknown language 'xxxx'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        parse({"download": {"sources": [{"kind": "url", "name": "t", **values}]}})
    assert "pw" not in str(raised.value)


def test_how_it_is_fetched_is_not_in_the_key() -> None:
    plain = key_settings(Download())
    assert plain == key_settings(Download(lock="x", retries=1, bandwidth=9, opus_files="https://a.example", max_file_gib=1))
    assert plain != key_settings(Download(update_lock=True))


CHILD = """
import sys
from pathlib import Path
from mlctl.config import Download, Languages, UrlSource
from mlctl.corpora import download
from mlctl.core.workspace import Workspace
source = UrlSource(name="n", urls=(sys.argv[1],), member="n.{language}")
download(Download(sources=(source,), lock=sys.argv[3]), Languages(targets=("fr",)), Workspace(Path(sys.argv[2])))
"""


def test_killed_in_mid_download_gives_the_same_bytes(server: Server, tmp_path: Path) -> None:
    server.files["/n.zip"] = a_zip({"n.en": EN * 9000, "n.fr": FR * 9000})
    reached = threading.Event()

    def hold(handler: Handler) -> None:
        reached.set()
        time.sleep(5)

    server.plans["/n.zip"] = [cut(101, hold)]
    (tmp_path / "a").mkdir()
    command = [sys.executable, "-c", CHILD, server.url("/n.zip"), str(tmp_path / "a"), str(tmp_path / "corpora.lock")]
    child = subprocess.Popen(command)
    try:
        assert reached.wait(60)
        end = time.monotonic() + 20
        while not any(path.stat().st_size == 101 for path in tmp_path.rglob("*.part")) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    source = UrlSource(name="n", urls=(server.url("/n.zip"),), member="n.{language}")
    run(source, tmp_path / "a")
    assert server.ranges("/n.zip") == ["", "bytes=101-"]
    run(source, tmp_path / "b")
    for name in ("provenance.json", "pairs/fr/00-n.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_address_that_is_gone(server: Server, tmp_path: Path) -> None:
    server.plans["/t.tsv"] = [status(410)]
    with pytest.raises(InputError, match=r"t.tsv could not be fetched from http\S+/t.tsv: it answers 410"):
        run(UrlSource(name="t", urls=(server.url("/t.tsv"),), format="tsv"), tmp_path / "a")


QUERY = "id=7&token=hunter2&X-Amz-Signature=c0ffee"


def test_what_is_secret_in_an_address_is_shown_nowhere(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "mlctl")
    server.files[f"/t.tsv?{QUERY}"] = data = b"one\tun\n"
    server.plans[f"/t.tsv?{QUERY}"] = [status(503), cut(3)]
    source = UrlSource(name="t", urls=(server.url("/gone.tsv?token=swordfish"), server.url(f"/t.tsv?{QUERY}")), format="tsv")
    (record,) = run(source, tmp_path / "a")
    assert record["address"] == server.url("/gone.tsv?token=…")
    server.files[f"/t.tsv?{QUERY}"] = data + b"two\tdeux\n"
    with pytest.raises(InputError, match=r"t\.tsv\?id=…&token=…&X-Amz-Signature=…#\w{8}: its sha256 is") as raised:
        run(source, tmp_path / "b")
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = "\n".join([str(raised.value), caplog.text, *(path.name for path in tmp_path.rglob("*"))]).encode()
    for secret in (b"hunter2", b"c0ffee", b"swordfish"):
        assert secret not in everything
        assert not any(secret in file for file in files)


def test_a_signature_that_is_renewed_names_the_same_file_and_another_id_another_one(server: Server, tmp_path: Path) -> None:
    def source(number: int, signature: str) -> UrlSource:
        address = server.url(f"/get?id={number}&Signature={signature}")
        server.files[f"/get?id={number}&Signature={signature}"] = f"text {number}\ttexte\n".encode()
        return UrlSource(name="t", urls=(address,), format="tsv")

    run(source(1, "old"), tmp_path / "a")
    run(source(2, "old"), tmp_path / "b")
    run(source(1, "new"), tmp_path / "c")
    assert [pairs(tmp_path / name)[0][0] for name in "abc"] == ["text 1", "text 2", "text 1"]
    assert len(json.loads((tmp_path / "corpora.lock").read_text())["files"]) == 2
    server.files["/get?id=1&Signature=newer"] = b"other\tautre\n"
    changed = UrlSource(name="t", urls=(server.url("/get?id=1&Signature=newer"),), format="tsv")
    with pytest.raises(InputError, match=r"corpora\.lock has"):
        run(changed, tmp_path / "d")


def test_a_wrong_address_is_told_without_what_is_secret_in_it() -> None:
    values = {"kind": "url", "name": "t", "urls": ["htps://a.example/x?token=hunter2"], "format": "tsv"}
    with pytest.raises(InputError, match=r"is not an http or https URL \(given: .*token=…") as raised:
        parse({"download": {"sources": [values]}})
    assert "hunter2" not in str(raised.value)


def test_text_to_be_translated_into_every_target(server: Server, tmp_path: Path) -> None:
    server.files |= {"/news.en.gz": gzip.compress(EN), "/news.txt": EN}
    languages = Languages(targets=("fr", "de"))
    for folder, address in (("a", "/news.{language}.gz"), ("b", "/news.txt")):
        (record,) = run(UrlSource(name="news", urls=(server.url(address),), format="lines"), tmp_path / folder, languages)
        assert record["untranslated"] == {"fr": 2, "de": 2}
        for target in languages.targets:
            assert pairs(tmp_path / folder, target) == [("one", None), ("two", None)]
    assert [request.path for request in server.requests] == ["/news.en.gz", "/news.txt"]


def test_a_memory_a_target_asks_for_no_file_of_the_source(server: Server, tmp_path: Path) -> None:
    server.files["/fr.tsv"] = b"one\tun\n"
    run(UrlSource(name="t", urls=(server.url("/{language}.tsv"),), format="tsv"), tmp_path / "a")
    assert [request.path for request in server.requests] == ["/fr.tsv"]


def test_the_time_at_which_a_file_arrived(server: Server, tmp_path: Path) -> None:
    server.files["/t.tsv"] = b"one\tun\n"
    run(UrlSource(name="t", urls=(server.url("/t.tsv"),), format="tsv"), tmp_path / "a")
    (record,) = json.loads((tmp_path / "a" / "retrieved.json").read_text())
    locked = json.loads((tmp_path / "corpora.lock").read_text())["files"][server.url("/t.tsv")]["retrieved"]
    assert record["retrieved"][server.url("/t.tsv")][:15] == locked[:15]
