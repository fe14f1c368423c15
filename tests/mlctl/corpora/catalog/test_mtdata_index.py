from __future__ import annotations

import json
import os
import tempfile
from importlib import metadata
from pathlib import Path

import pytest

from mlctl.corpora.catalog import mtdata_index
from mlctl.corpora.catalog.mtdata_index import MtdataEntry, entries_for_pair, find_entry, index_path, write_index
from mlctl.corpora.sources.mtdata import unsupported_reason
from mlctl.errors import InputError

EUROPARL = MtdataEntry(
    "Statmt-europarl-9-deu-eng", ("de", "en"), ("http://www.statmt.org/europarl/v9/training/europarl-v9.de-en.tsv.gz",),
    "europarl.tsv.gz", format="tsv",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


@pytest.mark.slow
def test_the_index_of_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    (folder / "mtdata_trap.py").write_text("raise SystemExit('code of the working folder was run')")
    assert find_entry("Statmt-europarl-9-deu-eng") == EUROPARL
    opus = find_entry("OPUS-tanzil-v1-eng-swa")
    assert (opus.urls, opus.members) == (("https://object.pouta.csc.fi/OPUS-Tanzil/v1/moses/en-sw.txt.zip",), ("*.en", "*.sw"))
    assert find_entry("Facebook-wikimatrix-1-eng-swa").columns == (1, 2)
    assert find_entry("ELRC-wikipedia_health-1-eng-swa").licence == "CC-BY-SA-3.0"
    assert unsupported_reason(find_entry("Statmt-newstest_deen-2019-deu-eng")) == "SGML of WMT"
    assert find_entry("Statmt-news_crawl-2007-deu").languages == ("de",)
    with pytest.raises(InputError, match=r"has no corpus 'Statmt-europarl-9-en-de'\n.*did you mean Statmt-europarl-9-deu-eng or"):
        find_entry("Statmt-europarl-9-en-de")
    assert {entry.id for entry in entries_for_pair("sw", "en")} >= {opus.id, "AllenAi-nllb-1-eng-swh_Latn"}
    assert [path.suffix for path in sorted(index_path().parent.iterdir())] == [".parquet", ".lock"]  # nothing else is left
    assert not (folder / "home").exists()


def test_the_cached_index_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_index([EUROPARL], index_path())
    monkeypatch.setattr(mtdata_index.subprocess, "run", None)
    assert find_entry(EUROPARL.id) == EUROPARL
    assert entries_for_pair("en", "de") == entries_for_pair("de", "en") == [EUROPARL]
    assert index_path().parent.stat().st_mode & 0o777 == 0o700


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(InputError, match=r"index of mtdata is not installed\n.*pip install .*\[corpora\]"):
        find_entry("A-b-1-eng-fra")


def test_a_library_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "broken" / "mtdata").mkdir(parents=True)
    (folder / "broken" / "mtdata" / "__init__.py").write_text("raise ImportError('out of order')")
    monkeypatch.setenv("PYTHONPATH", str(folder / "broken"))
    with pytest.raises(InputError, match=r"cannot build its index: ImportError: out of order\n.*constraints.txt"):
        find_entry("A-b-1-eng-fra")
    assert not list(index_path().parent.glob("*.parquet"))


def test_unknown_languages_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other" / "mtdata" / "index").mkdir(parents=True)
    (folder / "other" / "mtdata" / "__init__.py").touch()
    rows = [{"did": f"A-b-1-{code}-fra", "url": "https://x/b.tsv", "filename": "b.tsv", "ext": "tsv"} for code in ("zz", "eng")]
    listing = "".join(json.dumps(row) + "\n" for row in rows)
    writing = (
        f"import os; open(os.environ['MTDATA'] + '/mtdata.index.{metadata.version('mtdata')}.jsonl', 'w').write({listing!r})"
    )
    (folder / "other" / "mtdata" / "index" / "__init__.py").write_text(writing)
    monkeypatch.setenv("PYTHONPATH", str(folder / "other"))
    assert [entry.id for entry in entries_for_pair("en", "fr")] == ["A-b-1-eng-fra"]
    with pytest.raises(InputError, match="did you mean A-b-1-eng-fra"):
        find_entry("A-b-1-zz-fra")


def test_a_folder_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    index_path()
    other_user = os.getuid() + 1
    index_path().parent.rename(Path(tempfile.gettempdir()) / f"mlctl-{other_user}")
    monkeypatch.setattr(os, "getuid", lambda: other_user)
    with pytest.raises(InputError, match="belongs to another user"):
        index_path()
