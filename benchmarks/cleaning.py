"""Cleaning of text with known noise: precision and recall for each kind of noise, compared with OpusFilter's default filters.

    python benchmarks/cleaning.py --data DATA [--quick] [--opusfilter PYTHON]

DATA has `parallel/newstest` and `parallel/tico19` (line-parallel `NAME.en-XX.{en,XX}.gz`). PYTHON is an interpreter that can import
opusfilter (`python -m venv V && V/bin/pip install opusfilter`); by default the current one. Then small batches of new text are cleaned
with and without the lexicon of an earlier alignment. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from noise import KINDS, Row, dirty

from mlctl.alignment import align
from mlctl.cleaning import clean
from mlctl.cleaning.normalize import tidy
from mlctl.cleaning.row_filters import UNLIKELY
from mlctl.config import Align, Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

SETS = (("newstest", "de", "cs"), ("newstest", "ru", "cs"), ("newstest", "zh", "de"), ("tico19", "sw", "es"))
MOST_LINES = {True: 20_000, False: 40_000}
SCRIPTS = {"de": "Latin", "ru": "Cyrillic", "zh": "Han", "sw": "Latin"}
NEWS = {
    True: ("zh",),
    False: ("ru", "zh", "es", "hi"),
}  # and health text; in French about 270 lines of it are shifted in the original
NEWS_LINES = {True: 6_000, False: 40_000}
BATCHES = (300, 1000)

# Run by OpusFilter's interpreter: the rows kept by its filters with default parameters, as its own generator configures them.
PEER = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
from opusfilter.autogen import DefaultParameterFilters
from opusfilter.pipeline import FilterPipeline
job = json.load(open(sys.argv[1]))
made = DefaultParameterFilters(langs=job["languages"], scripts=job["scripts"])
made.set_filter_thresholds()
filters = FilterPipeline.from_config(made.filters).filters
start = time.perf_counter()
left = list(enumerate(map(tuple, job["pairs"])))
for each in filters:
    left = [one for one, good in zip(left, each.decisions([pair for _, pair in left])) if good]
print(json.dumps({"kept": [row for row, _ in left], "seconds": time.perf_counter() - start, "filters": [type(f).__name__ for f in filters]}))
"""


@dataclass
class Outcome:
    """Result of a cleaner: for each row whether it was dropped or repaired, and the seconds it took."""

    handled: list[bool]
    seconds: float


def lines(data: Path, corpus: str, language: str, side: str) -> list[str]:
    with gzip.open(
        data / "parallel" / corpus / f"{corpus}.en-{language}.{side}.gz", "rt", encoding="utf-8", newline="\n"
    ) as file:
        return file.read().removesuffix("\n").split("\n")


def ours(rows: Sequence[Row], language: str) -> Outcome:
    staged = stage(rows, language, {})
    by_rule(rows, staged.dropped)
    return staged.outcome(rows)


class Staged(NamedTuple):
    """Result of the stage: kept texts and the rules that dropped the others, by row, and the seconds it took."""

    kept: dict[int, str]
    dropped: dict[int, str]
    seconds: float

    def outcome(self, rows: Sequence[Row]) -> Outcome:
        handled = [n not in self.kept or repaired(row, self.kept[n]) for n, row in enumerate(rows)]
        return Outcome(handled, self.seconds)


def stage(rows: Sequence[Row], language: str, lexicons: dict[str, Path]) -> Staged:
    """Run the clean stage from Parquet to Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "in/pairs", language, "00-noisy.parquet")
        part.parent.mkdir(parents=True)
        same = {
            "source_language": "en",
            "target_language": language,
            "corpus": "noisy",
            "version": "",
            "licence": "",
            "synthetic": "",
        }
        listed = [same | {"source": row.source, "target": row.target, "origin": str(n)} for n, row in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(listed, schema=PAIR), part)
        out = Path(folder, "out")
        out.mkdir()
        start = time.perf_counter()
        clean(Clean(), Languages(targets=(language,)), Path(folder, "in"), Workspace(out), lexicons=lexicons)
        seconds = time.perf_counter() - start
        kept = pq.read_table(out / f"pairs/{language}.parquet", columns=["origin", "target"]).to_pylist()
        dropped = pq.read_table(out / f"rejected/{language}.parquet", columns=["origin", "rule"]).to_pylist()
    texts, rules = ({int(row["origin"]): row[name] for row in table} for name, table in (("target", kept), ("rule", dropped)))
    return Staged(texts, rules, seconds)


def repaired(row: Row, text: str) -> bool:
    return bool(row.meant) and text == tidy(row.source, row.meant).target


def by_rule(rows: Sequence[Row], dropped: dict[int, str]) -> None:
    """Print the rows dropped by each rule, by kind of noise."""
    table: dict[str, Counter[str]] = {}
    for row, rule in dropped.items():
        table.setdefault(rule, Counter())[rows[row].kind or "clean"] += 1
    clean_rows = sum(not row.kind for row in rows)
    print(f"    {'rule':22}{'dropped':>8}{'precision':>10}{'of clean':>10}  by kind")
    for rule, kinds in sorted(table.items()):
        wrong = kinds.pop("clean", 0)
        found = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        total = kinds.total() + wrong
        print(f"    {rule:22}{total:8}{kinds.total() / total:10.0%}{wrong / clean_rows:10.2%}  {found}")


def opusfilter(rows: Sequence[Row], language: str, python: str) -> Outcome | None:
    """Run OpusFilter's default filters on the same rows, in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.json")
        pairs = [[row.source, row.target] for row in rows]
        job.write_text(json.dumps({"pairs": pairs, "languages": ["en", language], "scripts": ["Latin", SCRIPTS[language]]}))
        done = subprocess.run([python, "-c", PEER, str(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"    OpusFilter did not run: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return None
    said = json.loads(done.stdout.splitlines()[-1])
    kept = set(said["kept"])
    return Outcome([n not in kept for n in range(len(rows))], said["seconds"])


class Counts(NamedTuple):
    """Rows of a kind of noise that were found and missed, and clean rows that were dropped (false positives)."""

    found: float = 0
    missed: float = 0
    wrong: float = 0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed) if self.found else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.found / (2 * self.found + self.wrong + self.missed) if self.found else 0.0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def count(rows: Sequence[Row], outcome: Outcome) -> dict[str, Counts]:
    """Count by kind of noise; false positives are distributed over the kinds in proportion to their size."""
    kinds = Counter(row.kind for row in rows)
    found = Counter(row.kind for row, handled in zip(rows, outcome.handled, strict=True) if handled)
    noise = len(rows) - kinds[""]
    return {kind: Counts(found[kind], kinds[kind] - found[kind], found[""] * kinds[kind] / noise) for kind in KINDS}


def show(title: str, ours: dict[str, Counts], theirs: dict[str, Counts] | None) -> None:
    print(
        f"\n{title}\n    {'noise':16}{'rows':>6}   {'mlctl: precision':>16}{'recall':>8}{'F1':>7}   {'OpusFilter: precision':>21}{'recall':>8}{'F1':>7}"
    )
    for kind in (*KINDS, "all"):
        mine = total(ours) if kind == "all" else ours[kind]
        line = f"    {kind:16}{mine.found + mine.missed:6.0f}   {mine.precision:16.3f}{mine.recall:8.3f}{mine.f1:7.3f}"
        if theirs:
            peer = total(theirs) if kind == "all" else theirs[kind]
            line += f"   {peer.precision:21.3f}{peer.recall:8.3f}{peer.f1:7.3f}"
        print(line)


def total(counts: dict[str, Counts]) -> Counts:
    whole = Counts()
    for each in counts.values():
        whole = whole.plus(each)
    return whole


def added(sums: dict[str, Counts], counts: dict[str, Counts]) -> dict[str, Counts]:
    return {kind: sums.get(kind, Counts()).plus(counts[kind]) for kind in KINDS}


def peer_python(given: str) -> str | None:
    """Return an interpreter that can import opusfilter; None, with a message, if there is none."""
    python = given or sys.executable
    if subprocess.run([python, "-c", "import opusfilter"], capture_output=True, check=False).returncode == 0:
        return python
    print(f"OpusFilter cannot be imported by {python}: its columns are left out (see --opusfilter)")
    return None


def learned(data: Path, language: str, lines_: int, folder: Path) -> Path:
    """Align news, as an earlier run would have done, and return the resulting lexicon."""
    pairs = list(zip(*(lines(data, "newstest", language, side) for side in ("en", language)), strict=True))[:lines_]
    rows = [dict.fromkeys(PAIR.names, "") | {"source": source, "target": target} for source, target in pairs]
    (folder / "in/pairs").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), folder / f"in/pairs/{language}.parquet")
    (folder / "out").mkdir()
    align(Align(), Languages(targets=(language,)), 0, [folder / "in"], Workspace(folder / "out"))
    return folder / f"out/models/{language}/lexicon.parquet"


def small_batches(options: argparse.Namespace) -> None:
    """Print F1 on small batches of new text, each by itself and with the lexicon of earlier text of another domain."""
    print("\nsmall batches of health text, each cleaned by itself; lexicon: learned from news")
    print(
        f"    {'':6}{'pairs':>6}   {'shifted, by likelihood: F1 without':>34}{'with lexicon':>14}   {'all: F1 without':>15}{'with lexicon':>14}"
    )
    for language in NEWS[options.quick]:
        pairs = list(zip(*(lines(options.data, "tico19", language, side) for side in ("en", language)), strict=True))
        rows = dirty(pairs, lines(options.data, "tico19", "sw", "sw"), random.Random(options.seed))[: len(pairs)]
        with tempfile.TemporaryDirectory() as folder:
            file = learned(options.data, language, NEWS_LINES[options.quick], Path(folder))
            for size in BATCHES:
                batches = [rows[first : first + size] for first in range(0, len(rows) - size + 1, size)]
                (few, alone), (many, joined) = (judged(batches, language, known) for known in ({}, {language: file}))
                print(f"    {language:6}{size:6}   {few.f1:34.3f}{many.f1:14.3f}   {alone.f1:15.3f}{joined.f1:14.3f}")


def judged(batches: Sequence[Sequence[Row]], language: str, lexicons: dict[str, Path]) -> tuple[Counts, Counts]:
    """Return the counts of the likelihood rule on shifted and clean rows of all batches, and those of all rules on all rows."""
    sums, unlikely = dict[str, Counts](), Counts()
    for rows in batches:
        staged = stage(rows, language, lexicons)
        sums = added(sums, count(rows, staged.outcome(rows)))
        kinds = Counter(rows[row].kind for row, rule in staged.dropped.items() if rule == UNLIKELY)
        missed = sum(row.kind == "shifted" for row in rows) - kinds["shifted"]
        unlikely = unlikely.plus(Counts(kinds["shifted"], missed, kinds[""]))
    return unlikely, total(sums)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/newstest and parallel/tico19")
    parser.add_argument("--quick", action="store_true", help="at most 20,000 lines per set")
    parser.add_argument("--opusfilter", default="", metavar="PYTHON", help="an interpreter that can import opusfilter")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    python = peer_python(options.opusfilter)
    sums: tuple[dict[str, Counts], dict[str, Counts]] = ({}, {})
    seconds = [0.0, 0.0]
    for corpus, language, other in SETS:
        sides = (lines(options.data, corpus, language, side) for side in ("en", language))
        pairs = list(zip(*sides, strict=True))[: MOST_LINES[options.quick]]
        others = lines(options.data, corpus, other, other)
        rows = dirty(pairs, others, random.Random(options.seed))
        print(
            f"\n{corpus} en-{language}: {len(pairs):,} lines, {sum(bool(row.kind) for row in rows):,} noisy rows changed or added"
        )
        mine = ours(rows, language)
        peer = opusfilter(rows, language, python) if python else None
        counted = count(rows, mine), count(rows, peer) if peer else None
        show(f"  {corpus} en-{language}", *counted)
        sums = added(sums[0], counted[0]), added(sums[1], counted[1]) if counted[1] else sums[1]
        seconds = [seconds[0] + mine.seconds, seconds[1] + (peer.seconds if peer else 0)]
        speeds = f"mlctl {len(rows) / mine.seconds:,.0f}" + (f", OpusFilter {len(rows) / peer.seconds:,.0f}" if peer else "")
        print(f"    sentence pairs per second: {speeds}")
    show("  all sets", sums[0], sums[1] or None)
    small_batches(options)
    print(json.dumps(figures(sums, seconds)))


def figures(sums: tuple[dict[str, Counts], dict[str, Counts]], seconds: Sequence[float]) -> dict[str, float | None]:
    """Return the figures of the JSON line: F1 over all noise, and the speed relative to OpusFilter."""
    return {
        "f1_ours": round(total(sums[0]).f1, 4),
        "f1_opusfilter": round(total(sums[1]).f1, 4) if sums[1] else None,
        "speed_ratio": round(seconds[1] / seconds[0], 2) if seconds[1] else None,
    }


if __name__ == "__main__":
    main()
