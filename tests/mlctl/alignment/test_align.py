from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.alignment import align
from mlctl.config import Align, Languages
from mlctl.errors import InputError
from mlctl.workspace import Workspace

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def pair(source: str, target: str | None, language: str = "fr", origin: str = "x:1") -> dict[str, Any]:
    return {
        "source_language": "en",
        "target_language": language,
        "source": source,
        "target": target,
        "corpus": "made",
        "version": "1",
        "licence": "CC0-1.0",
        "origin": origin,
        "synthetic": "",
    }


def mirrored(language: str, rows: int, seed: int = 7) -> list[dict[str, Any]]:
    """Sentences of made words; the translation says each word reversed, after a word of its own."""
    draw = random.Random(seed)
    vocabulary = [first + vowel + last for first in "bdfgl" for vowel in "aeiou" for last in "kpt"]
    made = []
    for number in range(rows):
        words = draw.sample(vocabulary, draw.randint(3, 9))
        target = " ".join(["Ze", *(word[::-1].upper() for word in words)])
        made.append(pair(" ".join(words), target, language, f"x:{number}"))
    return made


def write(folder: Path, name: str, rows: Iterable[dict[str, Any]]) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema.PAIR), file)


def workspace(path: Path) -> Workspace:
    path.mkdir(parents=True, exist_ok=True)
    return Workspace(path)


def contents(root: Path) -> dict[str, bytes]:
    files = [file for file in root.rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def linked_words(row: dict[str, Any]) -> list[tuple[str, str]]:
    def word(side: str, index: int) -> str:
        span = row[f"{side}_words"][index]
        return str(row[side][span["start"] : span["end"]])

    return [(word("source", link["source"]), word("target", link["target"])) for link in row["links"]]


@pytest.mark.parametrize("engine", ["eflomal", "fast_align"])
def test_known_links_are_found_and_any_number_of_workers_writes_the_same_bytes(tmp_path: Path, engine: Any) -> None:
    clean, translated = tmp_path / "clean", tmp_path / "translate"
    write(clean, "pairs/fr.parquet", mirrored("fr", 300))
    write(clean, "pairs/de.parquet", mirrored("de", 200, seed=8))
    write(translated, "pairs/fr/00000.parquet", mirrored("fr", 40, seed=9))
    languages, folders = Languages(targets=("fr", "de")), [clean, translated]
    results = []
    for workers in (1, 2):
        place = workspace(tmp_path / f"work{workers}")
        metrics = align(Align(engine=engine, workers=workers), languages, 3, folders, place)
        results.append((metrics, contents(place.root)))
    assert results[0] == results[1]
    assert set(results[0][1]) == {
        *("pairs/fr.parquet", "pairs/de.parquet", "rejected/fr.parquet", "rejected/de.parquet", "funnel.parquet", "summary.json")
    }
    table = pq.read_table(tmp_path / "work1/pairs/fr.parquet")
    assert table.schema == schema.ALIGNED
    assert table.num_rows == metrics["fr.pairs"] == 340
    couples = [couple for row in table.to_pylist() for couple in linked_words(row)]
    right = sum(target == source[::-1].upper() for source, target in couples)
    assert right / len(couples) > 0.9
    assert right / sum(len(row["source_words"]) for row in table.to_pylist()) > 0.9
    for row in table.to_pylist():
        links = [(link["source"], link["target"]) for link in row["links"]]
        assert links == sorted(set(links))


def test_summary_counts_links_and_linked_words(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 100))
    place = workspace(tmp_path / "work")
    align(Align(symmetrisation="intersection"), Languages(), 0, [tmp_path], place)
    rows = pq.read_table(place.path("pairs/fr.parquet")).to_pylist()
    links = sum(len(row["links"]) for row in rows)
    assert links > 0.9 * sum(len(row["source_words"]) for row in rows)  # both directions say the same
    assert json.loads(place.path("summary.json").read_text())["fr"] == {
        "pairs": 100,
        "links": links,
        "links_per_pair": round(links / 100, 4),
        # Each word has one link at most in an intersection.
        "source_linked": round(links / sum(len(row["source_words"]) for row in rows), 4),
        "target_linked": round(links / sum(len(row["target_words"]) for row in rows), 4),
    }


HOSTILE = [
    pair("", "vide"),
    pair("empty", ""),
    pair("none", None),
    pair("\u200b \x00", "rien"),
    pair("long " * 40000, "long"),
    pair("short", "mot " * 51),
    pair("a ||| b", "c ||| d"),
    pair("nul\x00inside \x00", "nul\x00dedans"),
    pair("line\u2028break\nhere\ttab", "saut\u2028de\rligne"),
    pair("NULL UNKNOWN_WORD <UNUSED_WORD>", "NULL UNKNOWN_WORD <UNUSED_WORD>"),
    pair("one", "un"),
]


@pytest.mark.parametrize("engine", ["eflomal", "fast_align"])
def test_hostile_pairs_are_set_aside_by_name_or_aligned(tmp_path: Path, engine: Any) -> None:
    write(tmp_path, "pairs/fr.parquet", [*HOSTILE, *mirrored("fr", 30)])
    place = workspace(tmp_path / "work")
    align(Align(engine=engine, max_words=50), Languages(targets=("fr", "de")), 0, [tmp_path], place)
    rejected = pq.read_table(place.path("rejected/fr.parquet"))
    assert rejected.schema == schema.REJECTED
    assert rejected["rule"].to_pylist() == ["no words"] * 4 + ["too many words"] * 2
    kept = pq.read_table(place.path("pairs/fr.parquet")).to_pylist()
    assert [row["source"] for row in kept[:5]] == [row["source"] for row in HOSTILE[6:]]
    for row in kept:
        assert all(source and target for source, target in linked_words(row))
    funnel = [tuple(row.values())[1:] for row in pq.read_table(place.path("funnel.parquet")).to_pylist()]
    assert funnel == [
        ("fr", "no words", 41, 37),
        ("fr", "too many words", 37, 35),
        ("de", "no words", 0, 0),
        ("de", "too many words", 0, 0),
    ]
    assert pq.read_metadata(place.path("pairs/de.parquet")).num_rows == 0


def test_a_lost_language_is_made_again_and_the_others_are_left_alone(tmp_path: Path) -> None:
    for language in ("fr", "de"):
        write(tmp_path, f"pairs/{language}.parquet", mirrored(language, 40))
    place, languages = workspace(tmp_path / "work"), Languages(targets=("fr", "de"))
    metrics = align(Align(), languages, 0, [tmp_path], place)
    before, inode = contents(place.root), place.path("pairs/de.parquet").stat().st_ino
    place.path("pairs/fr.parquet").unlink()
    assert align(Align(), languages, 0, [tmp_path], place) == metrics
    assert contents(place.root) == before
    assert place.path("pairs/de.parquet").stat().st_ino == inode


def test_nothing_to_align_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sentence pairs"):
        align(Align(), Languages(), 0, [tmp_path], workspace(tmp_path / "work"))
    write(tmp_path, "pairs/fr.parquet", [pair("a b c", "d e f")])
    with pytest.raises(InputError, match="max_words"):
        align(Align(max_words=2), Languages(), 0, [tmp_path], workspace(tmp_path / "work"))


def children(process: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def wait_for_worker(parent: int) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in children(parent):
            command = Path(f"/proc/{child}/cmdline")
            if command.exists() and b"mlctl.alignment.worker" in command.read_bytes():
                return child
        time.sleep(0.02)
    raise AssertionError("no worker was started")


@linux
def test_a_crash_in_a_worker_names_the_language(tmp_path: Path) -> None:
    write(tmp_path, "pairs/de.parquet", mirrored("de", 5000))
    raised: list[BaseException] = []

    def run() -> None:
        try:
            align(Align(), Languages(targets=("de",)), 0, [tmp_path], workspace(tmp_path / "work"))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    os.kill(wait_for_worker(os.getpid()), signal.SIGSEGV)
    thread.join(30)
    assert isinstance(raised[0], InputError)
    assert "alignment of de" in raised[0].problem
    assert "SIGSEGV" in raised[0].problem
    assert "align.workers=1" in raised[0].remedy


@linux
def test_workers_die_with_the_parent(tmp_path: Path) -> None:
    write(tmp_path, "pairs/de.parquet", mirrored("de", 5000) * 30)
    code = (
        "import sys; from pathlib import Path; from mlctl.alignment import align; from mlctl.config import Align, Languages;"
        "from mlctl.workspace import Workspace; root = Path(sys.argv[1]);"
        "align(Align(), Languages(targets=('de',)), 0, [root], Workspace(root / 'work'))"
    )
    workspace(tmp_path / "work")
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    worker = wait_for_worker(parent.pid)
    while not list((tmp_path / "work" / ".scratch").glob("words-*")):  # it has come as far as its work
        time.sleep(0.05)
        assert parent.poll() is None
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{worker}/cmdline").exists() and Path(f"/proc/{worker}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def test_a_full_disk_or_missing_folder_is_said_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "pairs/fr.parquet", mirrored("fr", 5))
    place = workspace(tmp_path / "work")
    (tmp_path / "work" / "rejected").write_text("in the way")
    with pytest.raises(OSError, match="alignment of fr"):
        align(Align(), Languages(), 0, [tmp_path], place)
