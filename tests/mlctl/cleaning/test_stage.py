from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import forked
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl.cleaning import clean
from mlctl.cleaning.reader import DownloadedRows
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.schema import FUNNEL, PAIR, REJECTED

Rows = Sequence[tuple[str | None, str | None]]
Write = Callable[[str, Rows], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a downloaded file such as `fr/00-demo`."""

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
    ("_Undo ", None),
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
        ("Save", None, "translated elsewhere"),
        ("file menu", "menu fichier", "duplicate"),
        ("undo", None, "duplicate"),
    ]
    assert pq.read_schema(out / "pairs/fr.parquet").equals(PAIR)
    assert pq.read_schema(out / "rejected/fr.parquet").equals(REJECTED)
    assert pq.read_schema(out / "funnel.parquet").equals(FUNNEL)
    funnel = rows(out / "funnel.parquet", "stage", "language", "rule", "rows_in", "rows_out")
    assert list(json.loads((out / "reasons.json").read_text(encoding="utf-8"))) == [row[2] for row in funnel]
    assert funnel[:4] == [
        ("clean", "fr", "empty", 9, 9),
        ("clean", "fr", "placeholders", 9, 8),
        ("clean", "fr", "too few letters", 8, 7),
        ("clean", "fr", "too long", 7, 7),
    ]
    assert all(after[3] == before[4] for before, after in itertools.pairwise(funnel))
    assert funnel[-2][1:] == ("fr", "translated elsewhere", 4, 3)
    assert metrics == {
        "rows_in": 9, "rows_in.fr": 9, "pairs": 2, "pairs.fr": 2, "untranslated": 1, "untranslated.fr": 1,
    }  # fmt: skip


def test_text_of_the_target_language_alone(write: Write, tmp_path: Path) -> None:
    """It is filtered as monolingual text, compared with other such text, and dropped where a pair contains it."""
    foreign = "The minister said that the government would announce its decision about the proposal before the end of the week."
    own = "Le ministre a déclaré que le gouvernement annoncerait sa décision sur la proposition avant la fin de la semaine."
    alone = [(None, "_Enregistrer"), (None, foreign), (None, own), ("Menu", None), (None, "Menu"), (None, "menu"), (None, "12")]
    write("fr/00-a", [*alone, (own, None), (None, "Привет всем"), ("", None), (None, "")])
    write("fr/01-b", [("Save", "Enregistrer")])
    metrics, out = run(tmp_path)
    assert rows(out / "untranslated/fr.parquet", "source", "target") == [(None, own), ("Menu", None), (None, "Menu")]
    assert rows(out / "pairs/fr.parquet", "source", "target") == [("Save", "Enregistrer")]
    assert rows(out / "rejected/fr.parquet", "source", "target", "rule") == [
        (None, "_Enregistrer", "translated elsewhere"),
        (None, foreign, "language"),
        (None, "menu", "duplicate"),
        (None, "12", "too few letters"),
        (own, None, "language"),
        (None, "Привет всем", "script"),
        ("", None, "empty"),
        (None, "", "empty"),
    ]
    assert (metrics["rows_in"], metrics["pairs"], metrics["untranslated"]) == (12, 1, 3)


def test_no_untranslated_file_without_untranslated_text(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", [("Yes", "Oui"), ("1", None)])
    _, out = run(tmp_path)
    assert sorted(content(out)) == ["funnel.parquet", "pairs/fr.parquet", "rejected/fr.parquet"]


@pytest.mark.slow
def test_batches_change_nothing(write: Write, tmp_path: Path) -> None:
    """More rows than fit in a batch, with duplicates far apart, in one file or in two."""
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
    with pytest.raises(
        InputError, match=r"no row of 5 is left; the rule 'identical' \(both sides .*\) dropped the most: 2 of de"
    ):
        run(tmp_path, "fr", "de")
    with pytest.raises(InputError, match="no text was downloaded"):
        run(tmp_path, "ja", out="ja")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


LINES = [f"{adjective} {noun}" for adjective in ("old", "new", "small", "red") for noun in ("house", "river", "garden", "road")]
LATIN = [f"{adjective} {noun}" for adjective in ("stari", "novi", "mali", "crni") for noun in ("grad", "narod", "dan", "put")]
CYRILLIC = [f"{adjective} {noun}" for adjective in ("стари", "нови", "мали", "црни") for noun in ("град", "народ", "дан", "пут")]


@pytest.mark.parametrize(
    ("language", "texts", "source", "message"),
    [
        ("sr", CYRILLIC[:12] + LATIN[12:], LINES, r"^sr: the rule 'script' dropped 25% of the rows \(4 of 16\): the text that should be sr is .* Latn\. .*`sr-Latn`"),
        ("sr-Latn", CYRILLIC, LINES, r"^sr-Latn: the rule 'script' dropped 100% .* in the script Cyrl\. .* name it `sr`"),
        ("ru", CYRILLIC, LATIN[:4] + CYRILLIC[5:] + CYRILLIC[:1], "^ru: the rule 'script' dropped 75% .* should be en is mostly in the script Cyrl"),
        ("zh", [f"開啟檔案{n}" for n in "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳"], LINES, "^zh: the rule 'chinese variant' dropped 100% .* Traditional Chinese: name it `zh-Hant`"),
        ("zh-Hant", [f"打开文件{n}" for n in "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳"], LINES, "dropped 100% .* Simplified Chinese: name it `zh`"),
        (
            "fr",
            [f"Die Regierung sagte am {day}, dass sie die Steuern nicht erhöhen werde." for day in LINES],
            [f"The government said on {day} that it would not raise taxes at all." for day in LINES],
            "^fr: the rule 'language' dropped 100% .* should be fr looks mostly like 'de'.*clean.language_margin",
        ),
    ],
)  # fmt: skip
def test_a_language_that_loses_much_names_the_cure(
    language: str,
    texts: list[str],
    source: list[str],
    message: str,
    write: Write,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(f"{language}/00-a", list(zip(source, texts, strict=True)))
    with contextlib.suppress(InputError):  # no text is left
        run(tmp_path, language, max_length_ratio=9, max_ratio_zscore=99, ratio_slack=99)
    (warning,) = [text for text in warnings(caplog) if "no text is left" not in text]
    assert re.search(message, warning), warning


def test_a_language_that_loses_little_warns_of_nothing(write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write("sr/00-a", list(zip(LINES, [*CYRILLIC[:15], LATIN[15]], strict=True)))
    run(tmp_path, "sr")
    assert not warnings(caplog)


def test_an_unknown_script_turns_its_rule_off_and_says_so_once(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for language in ("orv", "orv-Cyrl", "acm"):
        write(f"{language}/00-a", list(zip(LINES, CYRILLIC, strict=True)))
    metrics, _ = run(tmp_path, "orv", "orv-Cyrl")
    assert (metrics["pairs.orv"], metrics["pairs.orv-Cyrl"]) == (16, 16)
    (warning,) = warnings(caplog)
    assert re.search("^orv: its script is unknown, so the rule 'script' is off", warning)
    caplog.clear()
    run(tmp_path, "orv", out="off", min_script_share=0)
    assert not warnings(caplog)


def test_untranslated_text_alone_is_enough(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", [("Yes", None)])
    metrics, _ = run(tmp_path)
    assert metrics["untranslated"] == 1


# With a third argument the process kills itself as soon as such a file exists; with a number, when so many rows are filtered.
SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
root, when = Path(sys.argv[2]), sys.argv[3]
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def kill_in_the_middle():
    while not list(root.glob(when)):
        time.sleep(0.001)
    die()
if when and not when.isdigit():
    threading.Thread(target=kill_in_the_middle, daemon=True).start()
def progress(done, total, unit, **figures):
    if when.isdigit() and done >= int(when):
        die()
from mlctl.cleaning import clean
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
clean(Clean(workers=int(sys.argv[4])), Languages(targets=("fr", "de")), Path(sys.argv[1]), Workspace(root), progress)
"""


def script(tmp_path: Path, out: str, when: str = "", workers: int = 2) -> int:
    (tmp_path / out).mkdir(exist_ok=True)
    return forked.run_script(SCRIPT, str(tmp_path / "in"), str(tmp_path / out), when, str(workers))


def write_two_languages(write: Write) -> None:
    """Five parts of one language and one of another: enough for workers, and to learn word translations."""
    for language, count in (("fr", 33_000), ("de", 500)):
        write(f"{language}/00-a", [(f"t{n % 9000} of %s", f"{language}{n} %s" if n % 9 else None) for n in range(count)])


@pytest.mark.slow
def test_workers_and_kills_change_nothing(write: Write, tmp_path: Path) -> None:
    write_two_languages(write)
    assert script(tmp_path, "one", workers=1) == 0
    kept = {}
    # While a file is written or, if that moment is missed on a busy machine, soon after.
    for when in (".scratch/clean-fr/slices/*3*", ".scratch/clean-fr/*statistics*", "16000", "rejected/.part-fr*"):
        assert script(tmp_path, "killed", when) == -signal.SIGKILL
        filtered = list((tmp_path / "killed/.scratch/clean-fr/filtered").glob("0*"))
        assert all(path.stat().st_ino == kept.get(path.name, path.stat().st_ino) for path in filtered), "done again"
        kept = {path.name: path.stat().st_ino for path in filtered}
    assert len(kept) == 5
    assert not (tmp_path / "killed/pairs/fr.parquet").exists()
    assert script(tmp_path, "killed") == 0
    assert content(tmp_path / "killed") == content(tmp_path / "one")
    assert not list((tmp_path / "killed/.scratch").glob("clean-*"))


def test_a_finished_language_is_kept(write: Write, tmp_path: Path) -> None:
    for language in ("fr", "de"):
        write(f"{language}/00-a", [(f"text {n}", f"{language}{n}") for n in range(50)])
    metrics, out = run(tmp_path, "fr", "de", max_repeats=0)
    before, kept = content(out), (out / "pairs/de.parquet").stat().st_ino
    (out / "pairs/fr.parquet").unlink()
    left = out / ".scratch/clean-de/filtered/000000.parquet"  # by a kill just before the end
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    assert run(tmp_path, "fr", "de", max_repeats=0) == (metrics, out)
    assert not left.exists()
    assert content(out) == before
    assert (out / "pairs/de.parquet").stat().st_ino == kept


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_worker_is_an_error_with_a_remedy(write: Write, tmp_path: Path) -> None:
    write_two_languages(write)
    killed: list[int] = []

    def progress(done: int, total: int | None, unit: str, **_: float | str) -> None:
        if done and not killed:
            killed.extend(workers())
            for worker in killed:
                os.kill(worker, signal.SIGKILL)

    settings = Clean(workers=2)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"clean of \w+ \(\w+\): its process was ended by SIGKILL") as raised:
        clean(settings, Languages(targets=("fr", "de")), tmp_path / "in", Workspace(tmp_path / "out"), progress)
    assert "clean.workers" in raised.value.remedy
    assert len(killed) == 2
    assert not workers()


def workers() -> list[int]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread or a child may end meanwhile
            children = map(int, (task / "children").read_text().split())
            found += [child for child in children if b"mlctl.cleaning.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return found


def test_progress_counts_the_filtered_rows_of_the_largest_language_first(write: Write, tmp_path: Path) -> None:
    write("fr/00-a", [(f"text {n}", f"fr{n}") for n in range(20)])
    write("de/00-a", [(f"text {n}", f"de{n}") for n in range(10)])
    calls: list[tuple[int, int | None, str]] = []
    (tmp_path / "out").mkdir()
    languages = Languages(targets=("de", "fr"))
    clean(Clean(), languages, tmp_path / "in", Workspace(tmp_path / "out"), lambda *arguments, **_: calls.append(arguments))
    assert calls == [(0, 30, "rows"), (20, 30, "rows"), (30, 30, "rows"), (30, 30, "rows")]


def test_a_range_of_rows_is_read_over_files_and_row_groups(write: Write, tmp_path: Path) -> None:
    for part, count in enumerate((5, 0, 9)):
        path = tmp_path / f"in/pairs/fr/{part:02}-a.parquet"
        write(f"fr/{part:02}-a", [(f"{part}.{n}", None if n % 4 == 3 else f"x{part}.{n}") for n in range(count)])
        pq.write_table(pq.read_table(path), path, row_group_size=4)
    inputs = DownloadedRows(tmp_path / "in", "fr")
    whole = [f"0.{n}" for n in range(5)] + [f"2.{n}" for n in range(9)]
    for first, last in itertools.combinations(range(15), 2):
        assert inputs.read(first, last)["source"].to_pylist() == whole[first:last]
    assert (inputs.rows, inputs.untranslated, inputs.parts) == (14, 3, [(0, 14)])
    sample = [source for source, _ in inputs.sample(4, 0, 14)]
    assert sample == ["0.0", "0.2", "0.4", "2.1", "2.5"]  # every other one; 2.3 and 2.7 have no translation
    for cut in range(15):
        assert [source for ends in ((0, cut), (cut, 14)) for source, _ in inputs.sample(4, *ends)] == sample
    assert inputs.slices == [(0, 14)]
    assert DownloadedRows(tmp_path / "in", "ja").parts == []
