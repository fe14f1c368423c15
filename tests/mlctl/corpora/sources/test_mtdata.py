from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import format_writers
import pyarrow.parquet as pq
import pytest
from webserver import Server, cut, serving

from mlctl.config import Download, Languages, Licences, MtdataSource, key_settings, parse
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, local_files
from mlctl.corpora.catalog.mtdata_index import MtdataEntry, index_path, write_index
from mlctl.errors import InputError

README = "Corpus Name: Toy\nLicense: CC-BY 2.0 FR\n"
ENGLISH, FRENCH = Languages(targets=("fr",)), Languages(source="fr", targets=("en",))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with serving() as server:
        yield server


def a_zip(files: dict[str, str]) -> bytes:
    with zipfile.ZipFile(out := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def a_tar(files: dict[str, str]) -> bytes:
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data := text.encode())
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def indexed(server: Server, *paths: str, name: str = "Toy-toy-1-eng-fra", **values: Any) -> str:
    """Put one entry into the cached index, and return its id."""
    languages = {"eng": "en", "fra": "fr", "deu": "de"}
    defaults = {"languages": tuple(languages[code] for code in name.split("-")[3:]), "file": paths[0].rpartition("/")[2]}
    entry = MtdataEntry(id=name, urls=tuple(map(server.url, paths)), **{**defaults, **values})
    write_index(
        [entry, MtdataEntry("Other-toy-2-fra-deu", ("fr", "de"), ("http://127.0.0.1/no",), "no.tsv", format="tsv")], index_path()
    )
    return name


def recipe(folder: Path, name: str, **values: Any) -> Download:
    settings = {key: values.pop(key) for key in ("update_lock",) if key in values}
    source = MtdataSource(id=name, **values)
    return Download(sources=(source,), lock=str(folder.parent / "corpora.lock"), retries=0, backoff=0.01, **settings)


def run(folder: Path, name: str, languages: Languages = ENGLISH, **values: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    download(recipe(folder, name, **values), languages, Workspace(folder))
    return dict(json.loads((folder / "provenance.json").read_text())[0])


def pairs(folder: Path, target: str = "fr") -> list[tuple[str, str | None]]:
    table = pq.read_table(next((folder / "pairs" / target).glob("*.parquet")))
    return list(zip(table["source"].to_pylist(), table["target"].to_pylist(), strict=True))


def test_an_archive_of_opus_in_either_direction(server: Server, tmp_path: Path) -> None:
    path = "/OPUS-Toy/v1/moses/en-fr.txt.zip"
    server.files[path] = a_zip({"README": README, "Toy.en-fr.en": "one\ntwo\n", "Toy.en-fr.fr": "un\ndeux\n", "Toy.xml": "<x/>"})
    name = indexed(server, path, name="OPUS-toy-v1-eng-fra", members=("*.en", "*.fr"))
    record = run(tmp_path / "a", name)
    assert pairs(tmp_path / "a") == [("one", "un"), ("two", "deux")]
    assert {key: record[key] for key in ("kind", "corpus", "version", "licence", "address")} == {
        "kind": "mtdata", "corpus": name, "version": "v1", "licence": "LicenseRef-CC-BY-2.0-FR", "address": server.url(path),
    }  # fmt: skip
    assert json.loads((tmp_path / "corpora.lock").read_text())["files"][server.url(path)]["sha256"] == record["sha256"]
    run(tmp_path / "b", name, FRENCH, licence="MIT")
    assert pairs(tmp_path / "b", "en") == [("un", "one"), ("deux", "two")]
    assert len(server.requests) == 2


def test_a_table_in_either_direction(server: Server, tmp_path: Path) -> None:
    server.files["/t.tsv.gz"] = gzip.compress(b"0.9\tun\tone\n0.8\tdeux\ttwo\n")
    name = indexed(server, "/t.tsv.gz", name="Toy-toy-1-fra-eng", format="tsv", columns=(1, 2), licence="public domain")
    assert run(tmp_path / "a", name)["licence"] == "LicenseRef-Public-Domain"
    run(tmp_path / "b", name, FRENCH)
    assert pairs(tmp_path / "a") == [("one", "un"), ("two", "deux")]
    assert pairs(tmp_path / "b", "en") == [("un", "one"), ("deux", "two")]
    server.files["/u.tsv"] = b"one\tun\tmore\n"
    run(tmp_path / "c", indexed(server, "/u.tsv", format="tsv"))
    assert pairs(tmp_path / "c") == [("one", "un")]


def test_a_file_a_side(server: Server, tmp_path: Path) -> None:
    server.files |= {"/n.en.gz": gzip.compress(b"one\n"), "/n.fr.gz": gzip.compress(b"un\n")}
    record = run(tmp_path / "a", indexed(server, "/n.en.gz", "/n.fr.gz", file="n.txt"))
    assert (pairs(tmp_path / "a"), record["licence"]) == ([("one", "un")], "unknown")
    assert record["address"] == f"{server.url('/n.en.gz')}, {server.url('/n.fr.gz')}"


def test_an_archive_that_only_the_index_names(server: Server, tmp_path: Path) -> None:
    server.files["/get?id=3"] = a_tar({"a-7/x.en": "one\n", "a-7/x.fr": "un\n", "a-7/y.en": "two\n"})
    run(tmp_path / "a", indexed(server, "/get?id=3", file="x.tar.gz", members=("*/x.en", "*/x.fr")))
    assert pairs(tmp_path / "a") == [("one", "un")]
    run(tmp_path / "b", indexed(server, "/get?id=3", file="x.tar.gz", members=("a-7/x.fr", "a-7/x.en"), name="Toy-toy-1-fra-eng"))
    assert pairs(tmp_path / "b") == [("one", "un")]


def test_translation_memories_one_after_the_other(server: Server, tmp_path: Path) -> None:
    memories = {
        f"{number}.tmx": format_writers.tmx([pair]).decode() for number, pair in enumerate([("one", "un"), ("two", "deux")])
    }
    server.files["/m.zip"] = a_zip(memories)
    run(tmp_path / "a", indexed(server, "/m.zip", format="tmx", members=("0.tmx", "1.tmx")))
    assert pairs(tmp_path / "a") == [("one", "un"), ("two", "deux")]


def test_text_without_translation(server: Server, tmp_path: Path) -> None:
    languages = Languages(targets=("fr", "de"))
    server.files |= {"/news.gz": gzip.compress(b"one\ntwo\n"), "/l.tar.gz": a_tar({"l/eng-sentences.txt": "1\tone\n2\ttwo\n"})}
    run(tmp_path / "a", indexed(server, "/news.gz", name="Toy-news-1-eng"), languages)
    table = indexed(server, "/l.tar.gz", name="Toy-l-1-eng", members=("*/*-sentences.txt",), format="tsv", columns=(1,))
    run(tmp_path / "b", table, languages)
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert pairs(folder) == pairs(folder, "de") == [("one", None), ("two", None)]
    with pytest.raises(InputError, match="no source has text for en-de"):
        run(tmp_path / "c", table, languages, targets=("fr",))
    run(tmp_path / "d", table, FRENCH)  # people wrote it in the target language: to be translated back
    assert pairs(tmp_path / "d", "en") == [(None, "one"), (None, "two")]
    with pytest.raises(InputError, match=r"Toy-l-1-eng is text in en, the recipe needs fr with de\n.*must be in one of them"):
        run(tmp_path / "e", table, Languages(source="fr", targets=("de",)))


def test_an_unknown_id_and_other_languages(server: Server, tmp_path: Path) -> None:
    name = indexed(server, "/t.tsv", format="tsv")
    for wrong in ("Toy-toy-1-fr-en", "Toy-toy-1-fra-eng", "Toy-tyo-1-eng-fra", "toy-toy-2-xxx-yyy"):
        with pytest.raises(InputError, match=rf"has no corpus '{wrong}'\n.*did you mean {name}"):
            run(tmp_path / "a", wrong)
    with pytest.raises(InputError, match=r"has no corpus 'A-b-1-deu'\n.*mlctl corpora search"):
        run(tmp_path / "a", "A-b-1-deu")
    with pytest.raises(InputError, match="Other-toy-2-fra-deu is text in fr and de, the recipe needs en with fr, de"):
        run(tmp_path / "a", "Other-toy-2-fra-deu", Languages(targets=("fr", "de")))
    with pytest.raises(InputError, match=r"download\.sources\.0\.id: .*given: 'Toy'"):
        parse({"download": {"sources": [{"kind": "mtdata", "id": "Toy"}]}})
    assert not server.requests


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "sgm", "members": ("a", "b")}, "SGML of WMT"),
        ({"format": "xyz"}, "in the format xyz"),
        ({"members": ("a", "a")}, "a on both sides, an error in the index"),
        ({"members": ("a",)}, "text in 1 files for 2 languages"),
        ({"format": "tsv", "file": "x.tsv.bz2"}, "packed by bzip2"),
    ],
)
def test_what_is_not_read(server: Server, tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"Toy-toy-1-eng-fra is not supported: it is {message}"):
        run(tmp_path / "a", indexed(server, "/x.zip", **values))
    assert not server.requests


def test_a_data_set_of_the_hub(server: Server, tmp_path: Path) -> None:
    entry = MtdataEntry("A-b-1-eng-fra", ("en", "fr"), ("https://huggingface.co/datasets/a/b",), "b.hfds", ("x",), "hfds")
    write_index([entry], index_path())
    with pytest.raises(InputError, match=r"a dataset on the Hugging Face hub\n.*`dataset: a/b`"):
        run(tmp_path / "a", "A-b-1-eng-fra")


def test_members_that_do_not_fit(server: Server, tmp_path: Path) -> None:
    server.files["/x.zip"] = a_zip({"a.en": "one\n", "b.en": "two\n", "a.fr": "un\n"})
    with pytest.raises(InputError, match=r"2 members of x.zip match '\*.en', expected one\n.*it has a.en, b.en"):
        run(tmp_path / "a", indexed(server, "/x.zip", members=("*.en", "*.fr")))
    with pytest.raises(InputError, match=r"0 members of x.zip match '\*.de'"):
        run(tmp_path / "b", indexed(server, "/x.zip", members=("a.fr", "*.de")))
    with pytest.raises(InputError, match=r"x.zip has no member 'a.de'"):
        run(tmp_path / "c", indexed(server, "/x.zip", members=("a.en", "a.de")))
    assert not (tmp_path / "corpora.lock").exists()  # nothing of it was used


def test_a_damaged_archive_is_fetched_again(server: Server, tmp_path: Path) -> None:
    whole = a_zip({"a.en": "one\n", "a.fr": "un\n"})
    server.files["/x.zip"] = whole[:-30]
    name = indexed(server, "/x.zip", members=("a.en", "a.fr"))
    with pytest.raises(InputError, match=r"/x.zip: x.zip is damaged or cut off"):
        run(tmp_path / "a", name)
    server.files["/x.zip"] = whole
    run(tmp_path / "a", name)
    assert pairs(tmp_path / "a") == [("one", "un")]


def test_a_cut_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.files["/t.tsv"] = text = b"one\tun\n" * 50_000
    server.plans["/t.tsv"] = [cut(100_000)]
    name = indexed(server, "/t.tsv", format="tsv")
    (tmp_path / "a").mkdir()
    settings = recipe(tmp_path / "a", name).model_copy(update={"retries": 2})
    download(settings, ENGLISH, Workspace(tmp_path / "a"))
    assert (len(pairs(tmp_path / "a")), server.ranges("/t.tsv")) == (len(text.splitlines()), ["", "bytes=100000-"])


def test_the_lock_is_enforced_and_renewed(server: Server, tmp_path: Path) -> None:
    server.files["/t.tsv"] = b"one\tun\n"
    name = indexed(server, "/t.tsv", format="tsv")
    first = recipe(tmp_path / "a", name)
    run(tmp_path / "a", name)
    assert local_files(first, ENGLISH) == {}
    server.files["/t.tsv"] = b"one\tun\ntwo\tdeux\n"
    with pytest.raises(InputError, match=r"its sha256 is \w{64}, \S*corpora.lock has \w{64}"):
        run(tmp_path / "b", name)
    run(tmp_path / "c", name, update_lock=True)
    run(tmp_path / "d", name)
    assert len(pairs(tmp_path / "d")) == 2
    assert list(local_files(first, ENGLISH)) == [server.url("/t.tsv")]  # another key than before


def test_licences_are_looked_at_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    name = indexed(server, "/t.tsv", format="tsv", licence="CC-BY-NC-4.0")
    (tmp_path / "a").mkdir()
    for allowed, stated, licence in (("MIT", "", "CC-BY-NC-4.0"), ("MIT", "CC0-1.0", "CC0-1.0")):
        with pytest.raises(InputError, match=rf"does not cover {name} \({licence}\)\. Nothing was downloaded"):
            download(
                recipe(tmp_path / "a", name, licence=stated),
                ENGLISH,
                Workspace(tmp_path / "a"),
                licences=Licences(allow=(allowed,)),
            )
    assert not server.requests


def test_the_same_bytes_again(server: Server, tmp_path: Path) -> None:
    server.files["/t.tsv"] = b"one\tun\n"
    name = indexed(server, "/t.tsv", format="tsv")
    for folder in (tmp_path / "a", tmp_path / "b"):
        run(folder, name)
    files = [
        "provenance.json",
        *(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a" / "pairs").rglob("*.parquet")),
    ]
    assert len(files) == 2
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert key_settings(MtdataSource(id=name)) == {"kind": "mtdata", "id": name, "targets": [], "licence": ""}
