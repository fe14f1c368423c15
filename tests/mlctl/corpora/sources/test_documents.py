"""Source kind `documents` through the stage: real files, a real small encoder, a real web server, real kills."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bilingual_encoder as made
import forked
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from webserver import Server

from mlctl.config import DocumentsSource, Download, Languages
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, inspect_sources
from mlctl.errors import InputError
from mlctl.mining import runner

FRENCH = Languages(targets=("fr",))

MakeSource = Callable[..., DocumentsSource]


@pytest.fixture
def source(tmp_path: Path, encoder: Path) -> MakeSource:
    def make(**settings: Any) -> DocumentsSource:
        folders = {} if "table" in settings else {"source": f"{tmp_path}/en", "target": f"{tmp_path}/{{target}}"}
        return DocumentsSource(**{"name": "docs", "model": str(encoder), **folders, **settings})

    return make


@pytest.fixture
def documents(tmp_path: Path) -> dict[str, list[str]]:
    """Sentences of three documents in the folders en and fr; one of them has a folder, one has blank lines."""
    texts = {name: made.sentences(20, seed) for seed, name in enumerate(("a.txt", "sub/b.txt", "c.txt"))}
    for language in ("en", "fr"):
        (tmp_path / language / "sub").mkdir(parents=True)
        for name, sentences in texts.items():
            written = sentences if language == "en" else list(map(made.translated, sentences))
            (tmp_path / language / name).write_text("\n\n".join(written) + "\n")
    return texts


def run(source: DocumentsSource, folder: Path, languages: Languages = FRENCH, **settings: Any) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    download(Download(sources=(source,), lock=str(folder.parent / "x.lock"), **settings), languages, Workspace(folder))
    rows: list[dict[str, Any]] = pq.read_table(folder / "pairs" / languages.targets[0] / "00-docs.parquet").to_pylist()
    return rows


def pairs(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in rows]


def expected(texts: dict[str, list[str]], *names: str) -> list[tuple[str, str]]:
    return [(sentence, made.translated(sentence)) for name in names for sentence in texts[name]]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not {".scratch", "retrieved.json"} & {*path.parts}]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_documents_of_the_same_name_are_aligned(source: MakeSource, documents: dict[str, list[str]], tmp_path: Path) -> None:
    rows = run(source(), tmp_path / "out")
    assert pairs(rows) == expected(documents, "a.txt", "c.txt", "sub/b.txt")
    assert rows[1]["origin"] == "a.txt:3 = a.txt:3"
    assert all(0.5 < dict(row["scores"])["alignment"] <= 1 for row in rows)
    [record] = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["found"]["fr"] == {
        "documents": 3, "set_aside": 0, "pairs": 60, "sentences": 120, "without_counterpart": 0, "below_min_score": 0,
    }  # fmt: skip


def test_one_to_many_and_sentences_that_one_side_lacks(source: MakeSource, tmp_path: Path) -> None:
    sentences = made.sentences(24, 5)
    target = list(map(made.translated, sentences))
    joined = [f"{target[3]} {target[4]}", *target[5:10], *target[11:]]
    for language in ("en", "fr"):
        (tmp_path / language).mkdir()
    (tmp_path / "en/x.txt").write_text("\n".join(sentences[:15] + sentences[17:]))
    (tmp_path / "fr/x.txt").write_text("\n".join(target[:3] + joined))
    rows = run(source(split="lines"), tmp_path / "out")
    found = pairs(rows)
    assert (f"{sentences[3]} {sentences[4]}", joined[0]) in found
    assert [row["origin"] for row in rows if row["target"] == joined[0]] == ["x.txt:4+1 = x.txt:4"]
    assert not [pair for pair in found if sentences[10] in pair[0] or target[15] in pair[1] or target[16] in pair[1]]
    assert len(found) == 24 - 1 - 3
    assert not [row for row in run(source(split="lines", max_merge=1), tmp_path / "single") if "+" in row["origin"]]


def test_documents_with_the_same_text_for_the_star(source: MakeSource, documents: dict[str, list[str]], tmp_path: Path) -> None:
    for language, path in (("en", "1.en.txt"), ("fr", "1.fr.txt")):
        (tmp_path / path).write_bytes((tmp_path / language / "a.txt").read_bytes())
    rows = run(source(source=f"{tmp_path}/*.en.txt", target=f"{tmp_path}/*.{{target}}.txt"), tmp_path / "out")
    assert pairs(rows) == expected(documents, "a.txt")
    assert rows[0]["origin"] == "1.en.txt:1 = 1.fr.txt:1"
    rows = run(source(source=f"{tmp_path}/1.en.txt", target=f"{tmp_path}/1.{{target}}.txt"), tmp_path / "one")
    assert pairs(rows) == expected(documents, "a.txt"), "one file on each side"


def test_a_document_on_one_side_or_in_another_encoding_is_set_aside(
    source: MakeSource, documents: dict[str, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "en/alone.txt").write_text("x")
    (tmp_path / "fr/c.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "fr/sub/b.txt").write_text("<!DOCTYPE html><p>Bonjour</p>")
    assert pairs(run(source(), tmp_path / "out")) == expected(documents, "a.txt")
    assert caplog.text.count("1 documents have no counterpart in fr: alone.txt") == 1
    assert "2 documents are set aside" in caplog.text
    assert "c.txt, line 1 is not UTF-8" in caplog.text
    assert "b.txt is HTML" in caplog.text
    (tmp_path / "fr/a.txt").write_text("\n \n")
    with pytest.raises(InputError, match=r"none of the 3 pairs of documents in fr can be read; .*a\.txt has no text"):
        run(source(), tmp_path / "none")
    for name in ("a.txt", "c.txt", "sub/b.txt"):
        (tmp_path / "fr" / name).unlink()
    (tmp_path / "fr/z.txt").write_text("x")
    with pytest.raises(InputError, match=r"no document in fr has the name of one in en; there are a\.txt, z\.txt"):
        run(source(), tmp_path / "none")


def test_table_of_paths_and_of_texts(source: MakeSource, documents: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "paths.tsv").write_text("en/sub/b.txt\tfr/sub/b.txt\tmore\n")
    rows = run(source(table=str(tmp_path / "paths.tsv")), tmp_path / "paths")
    assert pairs(rows) == expected(documents, "sub/b.txt")
    sides = ["\\n".join(side) for side in zip(*expected(documents, "c.txt"), strict=True)]
    (tmp_path / "texts-fr.tsv").write_text("\t".join(sides) + "\n")
    rows = run(source(table=f"{tmp_path}/texts-{{target}}.tsv", cells="texts"), tmp_path / "texts")
    assert pairs(rows) == expected(documents, "c.txt")
    assert rows[2]["origin"] == "texts-fr.tsv:1:3 = texts-fr.tsv:1:3"
    (tmp_path / "paths.tsv").write_text("en/sub/b.txt\tfr/none.txt\n")
    with pytest.raises(InputError, match=r"paths\.tsv, line 1: no file .*fr/none\.txt"):
        run(source(table=str(tmp_path / "paths.tsv")), tmp_path / "none")
    (tmp_path / "paths.tsv").write_text("en/sub/b.txt\n")
    with pytest.raises(InputError, match=r"paths\.tsv, line 1 does not have two cells"):
        run(source(table=str(tmp_path / "paths.tsv")), tmp_path / "none")


def test_table_of_urls_is_fetched_and_pinned(
    source: MakeSource, documents: dict[str, list[str]], tmp_path: Path, server: Server
) -> None:
    for language in ("en", "fr"):
        server.files[f"/{language}/a.txt"] = (tmp_path / language / "a.txt").read_bytes()
    english, french = (server.url(f"/{language}/a.txt") for language in ("en", "fr"))
    (tmp_path / "urls.tsv").write_text(f"{english}\t{french}\n")
    web = source(table=str(tmp_path / "urls.tsv"), cells="urls")
    assert pairs(run(web, tmp_path / "out")) == expected(documents, "a.txt")
    locked = json.loads((tmp_path / "x.lock").read_text())["files"]
    assert sorted(locked) == [english, french]
    state = inspect_sources(Download(sources=(web,), lock=str(tmp_path / "x.lock")), FRENCH)
    assert {english, "docs: urls.tsv"} <= set(state.states)
    server.files["/fr/a.txt"] = b"changed\n"
    with pytest.raises(InputError, match=r"fr/a\.txt"):
        run(web, tmp_path / "changed")


SCRIPT = """
import os, signal, sys
from pathlib import Path
from mlctl.config import DocumentsSource, Download, Languages
from mlctl.core import checksums
from mlctl.core.workspace import Workspace
from mlctl.corpora import download
from mlctl.mining import document_job
document_job._GROUP_DOCUMENTS = 1
left, rename = int((sys.argv[4:] or [-1])[0]), checksums.commit
def commit(temporary, path):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(temporary, path)
checksums.commit = commit
text, encoder, out = sys.argv[1:4]
source = DocumentsSource(name="docs", source=text + "/en", target=text + "/{target}", model=encoder)
download(Download(sources=(source,), lock=out + ".lock"), Languages(targets=("fr",)), Workspace(Path(out)))
"""


@pytest.mark.slow
def test_killed_and_resumed_and_on_workers_the_bytes_are_equal(
    source: MakeSource, documents: dict[str, list[str]], encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (str(tmp_path), str(encoder))
    killed = tmp_path / "killed"
    killed.mkdir()
    for commits in (2, 2):
        assert forked.run_script(SCRIPT, *arguments, str(killed), str(commits)) == -signal.SIGKILL
    kept = {path: path.stat().st_ino for path in killed.rglob("rows.arrow") if ".part-" not in str(path)}
    assert len(kept) == 2
    assert not forked.run_script(SCRIPT, *arguments, str(killed))
    assert {path: path.stat().st_ino for path in kept} == kept

    monkeypatch.setattr("mlctl.mining.document_job._GROUP_DOCUMENTS", 1)
    monkeypatch.setattr(runner, "_MAX_BYTES_IN_PROCESS", -1)
    run(source(), tmp_path / "workers", workers=2)
    assert content(killed) == content(tmp_path / "workers")


def test_wrong_settings(source: MakeSource, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="set source and target, or table"):
        source(table="x.tsv", source="y")
    with pytest.raises(ValidationError, match="set source and target, or table"):
        source(source="")
    with pytest.raises(ValidationError, match="cells is only for a table"):
        source(cells="urls")
    with pytest.raises(InputError, match="names one file for fr, de"):
        run(source(table="x.tsv"), tmp_path / "out", Languages(targets=("fr", "de")))


def test_without_a_pair_the_log_says_why(
    source: MakeSource, documents: dict[str, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(InputError, match="no source has text for en-fr"):
        run(source(min_score=0.999), tmp_path / "out")
    assert (
        "docs: fr 0 pairs from 3 pairs of documents; 0 sentences without a counterpart, 60 blocks below min_score" in caplog.text
    )
