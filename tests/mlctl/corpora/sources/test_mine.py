"""Source kind `mine` through the stage: real text, a real small encoder, real kills."""

from __future__ import annotations

import importlib.util
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bilingual_encoder as made
import forked
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlctl.config import Download, Languages, Licences, MineSource
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, find_problems, local_files
from mlctl.errors import InputError
from mlctl.mining import index, mining_steps, runner

FRENCH = Languages(targets=("fr",))
BOTH = Languages(targets=("fr", "de"))

MakeSource = Callable[..., MineSource]


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[tuple[str, str]]]:
    """A folder with text in en, fr and de, and the pairs that are translations. fr and de have the same text."""
    folder = tmp_path_factory.mktemp("text")
    source, target, gold = made.mixed(60, 150)
    for name in ("en", "fr", "de", "en/more"):
        (folder / name).mkdir()
    (folder / "en/a.txt").write_text(" ".join(source[:90]) + "\n\n" + " ".join(source[90:150]) + "\n")
    (folder / "en/more/b.txt").write_text("\n".join([*source[150:], *source[:5], "1 2 3.", "long " * 200]) + "\n")
    for language in ("fr", "de"):
        (folder / language / "c.txt").write_text("\n".join(target) + "\n")
    return folder, gold


@pytest.fixture
def source(text: tuple[Path, set[tuple[str, str]]], encoder: Path) -> MakeSource:
    def make(**settings: Any) -> MineSource:
        folder = text[0]
        values = {"name": "mined", "source": f"{folder}/en", "target": f"{folder}/{{target}}", "model": str(encoder)}
        threshold = {} if {"min_percentile", "dev"} & set(settings) else {"min_margin": 1.3}
        return MineSource(**{**values, **threshold, **settings})

    return make


def run(source: MineSource, folder: Path, languages: Languages = FRENCH, **settings: Any) -> list[dict[str, Any]]:
    """Run the stage and return the rows of the first target language."""
    folder.mkdir(exist_ok=True)
    settings = {"sources": (source,), "lock": str(folder.parent / "x.lock"), **settings}
    download(Download(**settings), languages, Workspace(folder))
    rows: list[dict[str, Any]] = pq.read_table(folder / "pairs" / languages.targets[0] / "00-mined.parquet").to_pylist()
    return rows


def found(folder: Path, target: str = "fr") -> dict[str, Any]:
    [record] = json.loads((folder / "provenance.json").read_text())
    counts: dict[str, Any] = record["found"][target]
    return counts


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not {".scratch", "retrieved.json"} & {*path.parts}]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_planted_translations_are_found(source: MakeSource, text: tuple[Path, set[tuple[str, str]]], tmp_path: Path) -> None:
    rows = run(source(), tmp_path / "out")
    pairs, gold = {(row["source"], row["target"]) for row in rows}, text[1]
    assert len(pairs) == len(rows)
    assert len(pairs & gold) >= 58
    assert len(pairs & gold) / len(pairs) > 0.9
    margins = [dict(row["scores"])["margin"] for row in rows]
    assert margins == sorted(margins, reverse=True)
    assert min(margins) >= 1.3
    places = {row["source"]: row["origin"].partition(" = ")[0] for row in rows}
    lines = (text[0] / "en/more/b.txt").read_text().splitlines()
    for sentence, place in places.items():
        if place.startswith("more/b.txt:"):
            assert lines[int(place.rpartition(":")[2]) - 1] == sentence
        else:
            assert place.startswith(("a.txt:1/", "a.txt:3/"))
    counts = found(tmp_path / "out")
    assert counts["source"] == {"documents": 2, "set_aside": 0, "sentences": 210, "duplicates": 5, "left_out": 2}
    assert (counts["pairs"], counts["index"]) == (len(rows), "exact")
    assert sys.modules["mlctl.mining.encoder"]._load.cache_info().currsize == 0, "the stages after this one need the memory"


def test_percentile_and_number_of_pairs(source: MakeSource, tmp_path: Path) -> None:
    every = run(source(min_percentile=0), tmp_path / "all")
    half = run(source(min_percentile=50), tmp_path / "half")
    assert len(half) == pytest.approx(len(every) / 2, abs=1)
    assert half == every[: len(half)]
    assert run(source(min_percentile=0, max_pairs=7), tmp_path / "seven") == every[:7]


def test_the_minimum_margin_is_tuned_on_planted_pairs(
    source: MakeSource, text: tuple[Path, set[tuple[str, str]]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    dev = made.sentences(120, seed=99)
    (tmp_path / "dev.en").write_text("\n".join(dev) + "\n")
    (tmp_path / "dev.fr").write_text("\n".join(map(made.translated, dev)) + "\n")
    rows = run(source(dev=f"{tmp_path}/dev.{{language}}"), tmp_path / "out")
    pairs, counts = {(row["source"], row["target"]) for row in rows}, found(tmp_path / "out")
    assert not {row["source"] for row in rows} & set(dev)
    assert len(pairs & text[1]) / len(pairs) > 0.85
    assert len(pairs & text[1]) > 50
    assert counts["dev"]["gold"] == 30
    assert counts["dev"]["f1"] > 0.9
    assert 1.0 < counts["min_margin"] < 2.0
    assert "planted pairs: precision" in caplog.text


def test_the_source_side_is_embedded_once_for_all_targets(source: MakeSource, tmp_path: Path) -> None:
    run(source(), tmp_path / "out", BOTH)
    [root] = (tmp_path / "out/.scratch/mining").iterdir()
    assert sorted(path.name for path in (root / "vectors").iterdir()) == ["source", "target.de", "target.fr"]
    french, german = (pq.read_table(tmp_path / f"out/pairs/{target}/00-mined.parquet") for target in ("fr", "de"))
    assert french["source"].equals(german["source"])
    assert set(german["target_language"].to_pylist()) == {"de"}


@pytest.mark.slow
def test_workers_and_small_parts_change_nothing(source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = run(source(), tmp_path / "here", BOTH)
    monkeypatch.setattr(runner, "_MAX_BYTES_IN_PROCESS", -1)
    for workers in (1, 2):
        run(source(), tmp_path / f"workers{workers}", BOTH, workers=workers)
        assert content(tmp_path / f"workers{workers}") == content(tmp_path / "here")
    monkeypatch.setattr(runner, "_MAX_BYTES_IN_PROCESS", 10**9)
    monkeypatch.setattr(mining_steps, "PART_ROWS", 40)
    parts = run(source(), tmp_path / "parts", BOTH)
    [root] = (tmp_path / "parts/.scratch/mining").iterdir()
    assert len(list((root / "vectors/source").iterdir())) == 6
    # Batches of a part are padded otherwise, so that the last bits differ.
    assert [(row["source"], row["target"]) for row in parts] == [(row["source"], row["target"]) for row in here]


# With a fourth argument the process kills itself when it is about to commit the part with that number.
SCRIPT = """
import os, signal, sys
from pathlib import Path
from mlctl.config import Download, Languages, MineSource
from mlctl.core import checksums
from mlctl.core.workspace import Workspace
from mlctl.corpora import download
from mlctl.mining import mining_steps
mining_steps.PART_ROWS = 50
left, rename = int((sys.argv[4:] or [-1])[0]), checksums.commit
def commit(temporary, path):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(temporary, path)
checksums.commit = commit
text, encoder, out = sys.argv[1:4]
source = MineSource(name="mined", source=text + "/en", target=text + "/{target}", model=encoder, min_margin=1.3)
settings = Download(sources=(source,), lock=out + ".lock")
download(settings, Languages(targets=("fr", "de")), Workspace(Path(out)))
"""


@pytest.mark.slow
def test_killed_at_any_step_and_resumed_the_bytes_are_equal(
    text: tuple[Path, set[tuple[str, str]]], encoder: Path, tmp_path: Path
) -> None:
    arguments = (str(text[0]), str(encoder))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert not forked.run_script(SCRIPT, *arguments, str(whole))
    kept: dict[Path, int] = {}
    for commits in (4, 15, 24):  # each run goes on from the one before
        assert forked.run_script(SCRIPT, *arguments, str(killed), str(commits)) == -signal.SIGKILL
        assert {path: path.stat().st_ino for path in kept} == kept, "what was finished is made again"
        kept = {path: path.stat().st_ino for path in killed.rglob("*.npy") if not path.name.startswith(".part-")}
    assert len(kept) > 20
    assert not forked.run_script(SCRIPT, *arguments, str(killed))
    assert content(killed) == content(whole)


def test_a_document_in_another_encoding_is_set_aside(
    source: MakeSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sentences = made.sentences(50, seed=3)
    (tmp_path / "en").mkdir()
    (tmp_path / "en/good.txt").write_text("\n".join(sentences))
    (tmp_path / "en/bad.txt").write_bytes("\n".join(sentences[:9]).encode() + b"\ncaf\xe9 noir\n")
    (tmp_path / "fr.txt").write_text("\n".join(map(made.translated, sentences)))
    mined = source(source=str(tmp_path / "en"), target=str(tmp_path / "fr.txt"))
    assert len(run(mined, tmp_path / "out")) >= 48
    assert found(tmp_path / "out")["source"]["set_aside"] == 1
    assert "1 documents are set aside" in caplog.text
    assert "bad.txt, line 10 is not UTF-8" in caplog.text
    (tmp_path / "en/good.txt").unlink()
    with pytest.raises(InputError, match=r"the en text has no sentences; .*bad\.txt, line 10 is not UTF-8"):
        run(mined, tmp_path / "none")


def test_a_large_file_in_another_encoding_stops_the_run(
    source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlctl.mining.mining_job.GROUP_BYTES", 100)
    (tmp_path / "en.txt").write_bytes(b"\n".join(line.encode() for line in made.sentences(50)) + b"\n\xff\n")
    with pytest.raises(InputError, match=r"en\.txt, line 51 is not UTF-8"):
        run(source(source=str(tmp_path / "en.txt")), tmp_path / "out")


def test_text_that_does_not_fit_into_memory_is_refused_before_it_is_embedded(
    source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"mined: mining 210 × 210 sentences needs 0\.0 GiB of memory .* available are 0\.0 GiB"):
        run(source(), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npy"))
    assert list((tmp_path / "out").rglob("*.arrow")), "what was made is kept"


def test_wrong_settings_and_missing_files(source: MakeSource, text: tuple[Path, Any], tmp_path: Path) -> None:
    def problem(mined: MineSource, languages: Languages = FRENCH) -> str:
        [error] = find_problems(Download(sources=(mined,), lock=str(tmp_path / "l")), languages, Licences())
        return str(error)

    (tmp_path / "empty").mkdir()
    assert "names no folder and no file" in problem(source(source=str(tmp_path / "none")))
    assert "has no files" in problem(source(source=str(tmp_path / "empty")))
    assert "unknown placeholder {language}" in problem(source(source="x.{language}"))
    assert "names the same text for fr, de" in problem(source(target=str(text[0] / "fr")), BOTH)
    assert "has no config.json" in problem(source(model=str(tmp_path / "empty")))
    assert "no file" in problem(source(dev=f"{tmp_path}/dev.{{language}}"))
    assert "names one file for both sides" in problem(source(dev=f"{tmp_path}/dev"))
    with pytest.raises(ValidationError, match="set one of min_margin, min_percentile and dev, given none"):
        source(min_margin=None)
    with pytest.raises(ValidationError, match="given min_margin and min_percentile"):
        source(min_margin=1.0, min_percentile=3)


@pytest.mark.parametrize(("lines", "message"), [((40, 39), "has 40 lines, .* has 39"), ((20, 20), "dev has 20 different pairs")])
def test_dev_that_cannot_be_used(source: MakeSource, tmp_path: Path, lines: tuple[int, int], message: str) -> None:
    dev = made.sentences(40, seed=8)
    (tmp_path / "dev.en").write_text("\n".join(dev[: lines[0]]) + "\n")
    (tmp_path / "dev.fr").write_text("\n".join(dev[: lines[1]]) + "\n")
    with pytest.raises(InputError, match=message):
        run(source(dev=f"{tmp_path}/dev.{{language}}"), tmp_path / "out")


def test_an_inverted_file_needs_faiss(source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"needs FAISS(.|\n)*mine"):
        run(source(index="ivf"), tmp_path / "out")


def test_large_text_needs_faiss_and_that_is_known_before_it_is_embedded(
    source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlctl.mining.mining_job._MAX_EXACT", 210 * 210 - 1)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"needs FAISS(.|\n)*index: exact"):
        run(source(), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npy"))
    assert run(source(index="exact"), tmp_path / "exact")


@pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="FAISS is not installed")
def test_an_inverted_file_finds_what_exact_search_finds(source: MakeSource, tmp_path: Path) -> None:
    exact = run(source(), tmp_path / "exact")
    rows = run(source(index="ivf", nlist=8, nprobe=8), tmp_path / "ivf")
    assert [(row["source"], row["target"]) for row in rows] == [(row["source"], row["target"]) for row in exact]
    assert found(tmp_path / "ivf")["index"] == "ivf"


def test_digests_of_text_and_encoder_are_part_of_the_key(
    source: MakeSource, text: tuple[Path, Any], encoder: Path, tmp_path: Path
) -> None:
    def digests(mined: MineSource) -> dict[str, str]:
        return local_files(Download(sources=(mined,), lock=str(tmp_path / "l")), FRENCH)

    names = digests(source())
    assert {"0/source/a.txt", "0/source/more/b.txt", "0/target.fr/c.txt", "0/encoder/model.safetensors"} <= set(names)
    assert not [name for name in digests(source(model="champion")) if "encoder" in name]


def test_torch_is_loaded_only_to_embed(text: tuple[Path, Any], encoder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from mlctl.config import Download, FilesSource, Languages, Licences, MineSource
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, find_problems, inspect_sources, local_files
languages, lock = Languages(targets=("fr",)), {str(tmp_path / "l")!r}
mined = MineSource(name="m", source="{text[0]}/en", target="{text[0]}/fr", model={str(encoder)!r}, min_margin=1.3)
settings = Download(sources=(mined,), lock=lock)
assert not list(find_problems(settings, languages, Licences()))
local_files(settings, languages)
inspect_sources(settings, languages)
for language in ("en", "fr"):
    Path({str(tmp_path)!r}, "x." + language).write_text("a\\n")
files = FilesSource(name="f", path="{tmp_path}/x.{{language}}")
download(Download(sources=(files,), lock=lock), languages, Workspace(Path({str(tmp_path)!r}, "out")))
print(sorted({{"torch", "transformers", "faiss"}} & set(sys.modules)))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_champion_is_named_in_the_provenance(source: MakeSource, encoder: Path, tmp_path: Path) -> None:
    settings = Download(sources=(source(model="champion"),), lock=str(tmp_path / "l"))
    (tmp_path / "out").mkdir()
    download(settings, FRENCH, Workspace(tmp_path / "out"), champion=encoder)
    [record] = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["encoder"]["name"] == "champion"
    with pytest.raises(InputError, match=r"has no champion and no model\.name"):
        run(source(model="champion"), tmp_path / "none")
