from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl.cleaning import clean
from mlctl.config import Clean, Languages
from mlctl.errors import InputError
from mlctl.schema import FUNNEL, PAIR, REJECTED
from mlctl.workspace import Workspace

Rows = Sequence[tuple[str, str | None]]
Write = Callable[[str, Rows], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a part such as `fr/00-demo` of a download."""

    def write(name: str, rows: Rows) -> None:
        path = tmp_path / f"in/pairs/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        language, _, corpus = name.partition("/")
        same = {
            "source_language": "en",
            "target_language": language,
            "corpus": corpus,
            "version": "1",
            "licence": "MIT",
            "synthetic": "",
        }
        listed = [same | {"source": s, "target": t, "origin": f"{corpus}:{n}"} for n, (s, t) in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(listed, schema=PAIR), path)

    return write


def run(tmp_path: Path, *targets: str, out: str = "out", **settings: Any) -> tuple[dict[str, Any], Path]:
    folder = tmp_path / out
    folder.mkdir(exist_ok=True)
    return clean(Clean(**settings), Languages(targets=targets or ("fr",)), tmp_path / "in", Workspace(folder)), folder


def rows(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in pq.read_table(path).select(columns).to_pylist()]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


DEMO = [
    ("&File  menu", "Menu _fichier"),
    ("OK", "ok"),
    ("%d items", "éléments"),
    ("12:30", "12 h 30"),
    ("Save", None),
    ("Undo", None),
]


def test_tables_and_funnel(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", DEMO)
    write("fr/01-b", [("Save", "Enregistrer"), ("file menu", "menu fichier"), ("undo", None)])
    metrics, out = run(tmp_path)
    assert rows(out / "pairs/fr.parquet", "source", "target", "origin") == [
        ("File menu", "Menu fichier", "00-a:0"),
        ("Save", "Enregistrer", "01-b:0"),
    ]
    assert rows(out / "untranslated/fr.parquet", "source", "target", "corpus") == [("Undo", None, "00-a")]
    assert rows(out / "rejected/fr.parquet", "source", "target", "rule") == [
        ("OK", "ok", "identical"),
        ("%d items", "éléments", "placeholders"),
        ("12:30", "12 h 30", "too few letters"),
        ("file menu", "menu fichier", "duplicate"),
        ("Save", None, "translated elsewhere"),
        ("undo", None, "duplicate"),
    ]
    assert pq.read_schema(out / "pairs/fr.parquet").equals(PAIR)
    assert pq.read_schema(out / "rejected/fr.parquet").equals(REJECTED)
    assert pq.read_schema(out / "funnel.parquet").equals(FUNNEL)
    funnel = rows(out / "funnel.parquet", "stage", "language", "rule", "rows_in", "rows_out")
    assert funnel[:4] == [
        ("clean", "fr", "empty", 9, 9),
        ("clean", "fr", "placeholders", 9, 8),
        ("clean", "fr", "too few letters", 8, 7),
        ("clean", "fr", "too long", 7, 7),
    ]
    assert all(after[3] == before[4] for before, after in itertools.pairwise(funnel))
    assert funnel[-1][1:] == ("fr", "translated elsewhere", 4, 3)
    assert metrics == {
        "rows_in": 9, "rows_in.fr": 9, "pairs": 2, "pairs.fr": 2, "untranslated": 1, "untranslated.fr": 1,
    }  # fmt: skip


def test_no_untranslated_file_without_untranslated_text(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", [("Yes", "Oui"), ("1", None)])
    _, out = run(tmp_path)
    assert sorted(content(out)) == ["funnel.parquet", "pairs/fr.parquet", "rejected/fr.parquet"]


def test_batches_change_nothing(write: Write, tmp_path: Path) -> None:
    """More rows than a batch holds, with duplicates far apart, in one part or in two."""
    many = [(f"text number {n % 9000}", f"texte numéro {n % 9000}") for n in range(20_000)]
    write("fr/00-a", many)
    _, out = run(tmp_path, max_repeats=0)
    once = pq.read_table(out / "pairs/fr.parquet")
    assert once["origin"].to_pylist() == [f"00-a:{n}" for n in range(9000)]
    write("fr/00-a", many[:7001])
    write("fr/01-a", many[7001:])
    _, again = run(tmp_path, out="again", max_repeats=0)
    assert pq.read_table(again / "pairs/fr.parquet")["source"].equals(once["source"])


def test_the_usual_ratio_of_the_language_is_learned(write: Write, tmp_path: Path) -> None:
    short = [
        (
            f"an English sentence that is long enough for rule {'abcdefghij'[n]}",
            f"中文句子很短没关系吗{'甲乙丙丁戊己庚辛壬癸'[n]}",
        )
        for n in range(10)
    ]
    write("zh/00-a", [*short, ("yes", "一个非常长的中文句子" * 5)])
    _, out = run(tmp_path, "zh")
    assert pq.read_metadata(out / "pairs/zh.parquet").num_rows == 10
    assert rows(out / "rejected/zh.parquet", "source", "rule") == [("yes", "length ratio")]


def test_a_language_without_text_is_named_but_others_go_on(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write("fr/00-a", [("Yes", "Oui")])
    metrics, out = run(tmp_path, "fr", "de")
    assert metrics["pairs.de"] == 0
    assert pq.read_metadata(out / "pairs/de.parquet").num_rows == 0
    assert "de: no text is left" in caplog.text


def test_nothing_left_names_the_rule_and_the_language(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", [("OK", "OK"), ("1", "2")])
    write("de/00-a", [("OK", "OK"), ("PDF", "PDF"), ("1", "2")])
    with pytest.raises(InputError, match=r"none of 5 rows; most went by the rule 'identical' \(both sides .*\): 2 of de"):
        run(tmp_path, "fr", "de")
    with pytest.raises(InputError, match="no text came in"):
        run(tmp_path, "ja", out="ja")


def test_untranslated_text_alone_is_enough(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", [("Yes", None)])
    metrics, _ = run(tmp_path)
    assert metrics["untranslated"] == 1


# With a third argument the process kills itself while the second part is being written.
SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
def kill_in_the_middle():
    while not list(Path(sys.argv[2]).glob("pairs/.part-de*")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3:]:
    threading.Thread(target=kill_in_the_middle, daemon=True).start()
from mlctl.cleaning import clean
from mlctl.config import Clean, Languages
from mlctl.workspace import Workspace
clean(Clean(), Languages(targets=("fr", "de", "es")), Path(sys.argv[1]), Workspace(Path(sys.argv[2])))
"""


def test_sigkill_loses_no_finished_language(write: Write, tmp_path: Path) -> None:
    for language in ("fr", "de", "es"):
        write(f"{language}/00-a", [(f"text {n} of %s", f"{language}{n} %s" if n % 9 else None) for n in range(6_000)])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "in")]
    subprocess.run([*command, str(whole)], check=True)
    assert subprocess.run([*command, str(killed), "kill"], check=False).returncode == -signal.SIGKILL
    assert not (killed / "pairs/de.parquet").exists()
    kept = (killed / "pairs/fr.parquet").stat().st_ino
    subprocess.run([*command, str(killed)], check=True)
    assert content(killed) == content(whole)
    assert (killed / "pairs/fr.parquet").stat().st_ino == kept
