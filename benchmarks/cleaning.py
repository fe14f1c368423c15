"""Precision and recall of cleaning on corpora with known noise, compared with OpusFilter's default filters.

    python benchmarks/cleaning.py --data DATA [--quick] [--opusfilter PYTHON]

DATA has `parallel/newstest` and `parallel/tico19` (line-parallel `NAME.en-XX.{en,XX}.gz`). PYTHON is an interpreter that can import
opusfilter (`python -m venv V && V/bin/pip install opusfilter`); the default is the running one. The second part cleans small batches of
new text, with and without the lexicon of an earlier alignment. The last line is JSON.
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
from noise import KINDS, Row, add_noise

from mlctl.alignment import align
from mlctl.cleaning import clean
from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation
from mlctl.cleaning.normalize import normalize_pair
from mlctl.config import Align, Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

SETS = (("newstest", "de", "cs"), ("newstest", "ru", "cs"), ("newstest", "zh", "de"), ("tico19", "sw", "es"))
MOST_LINES = {True: 20_000, False: 40_000}
SCRIPTS = {"de": "Latin", "ru": "Cyrillic", "zh": "Han", "sw": "Latin"}
NEWS = {
    True: ("zh",),
    False: ("ru", "zh", "es", "hi"),
}  # languages with news and health text; not French, where some 270 lines of the health text are shifted already
NEWS_LINES = {True: 6_000, False: 40_000}
BATCHES = (300, 1000)

# Runs in OpusFilter's Python: prints the rows that its filters keep with the default parameters of its own generator.
PEER = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
from opusfilter.autogen import DefaultParameterFilters
from opusfilter.pipeline import FilterPipeline
job = json.load(open(sys.argv[1]))
defaults = DefaultParameterFilters(langs=job["languages"], scripts=job["scripts"])
defaults.set_filter_thresholds()
filters = FilterPipeline.from_config(defaults.filters).filters
start = time.perf_counter()
kept = list(enumerate(map(tuple, job["pairs"])))
for rule in filters:
    kept = [item for item, accepted in zip(kept, rule.decisions([pair for _, pair in kept])) if accepted]
print(json.dumps({"kept": [row for row, _ in kept], "seconds": time.perf_counter() - start, "filters": [type(f).__name__ for f in filters]}))
"""


@dataclass
class Outcome:
    """Result of a cleaner: for each row whether it was dropped or repaired, and the time in seconds."""

    handled: list[bool]
    seconds: float


def lines(data: Path, corpus: str, language: str, side: str) -> list[str]:
    with gzip.open(
        data / "parallel" / corpus / f"{corpus}.en-{language}.{side}.gz", "rt", encoding="utf-8", newline="\n"
    ) as file:
        return file.read().removesuffix("\n").split("\n")


def run_mlctl(rows: Sequence[Row], language: str) -> Outcome:
    result = run_stage(rows, language, {})
    print_rules(rows, result.dropped)
    return result.outcome(rows)


class StageResult(NamedTuple):
    """Result of the stage: the kept targets and the rules that dropped the other rows, by row, the time in seconds, and kept rows' scores."""

    kept: dict[int, str]
    dropped: dict[int, str]
    seconds: float
    scores: dict[int, dict[str, float]]

    def outcome(self, rows: Sequence[Row]) -> Outcome:
        handled = [n not in self.kept or is_repaired(row, self.kept[n]) for n, row in enumerate(rows)]
        return Outcome(handled, self.seconds)


def run_stage(
    rows: Sequence[Row],
    language: str,
    lexicons: dict[str, Path],
    settings: Clean | None = None,
    encoders: dict[str, Path] | None = None,
) -> StageResult:
    """Run the stage, from Parquet to Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "in/pairs", language, "00-noisy.parquet")
        part.parent.mkdir(parents=True)
        constant = {
            "source_language": "en",
            "target_language": language,
            "corpus": "noisy",
            "version": "",
            "licence": "",
            "synthetic": "",
        }
        table = [constant | {"source": row.source, "target": row.target, "origin": str(n)} for n, row in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(table, schema=PAIR), part)
        out = Path(folder, "out")
        out.mkdir()
        start = time.perf_counter()
        languages = Languages(targets=(language,))
        clean(settings or Clean(), languages, Path(folder, "in"), Workspace(out), lexicons=lexicons, encoders=encoders)
        seconds = time.perf_counter() - start
        kept = pq.read_table(out / f"pairs/{language}.parquet", columns=["origin", "target", "scores"]).to_pylist()
        dropped = pq.read_table(out / f"rejected/{language}.parquet", columns=["origin", "rule"]).to_pylist()
    texts, rules = ({int(row["origin"]): row[name] for row in columns} for name, columns in (("target", kept), ("rule", dropped)))
    return StageResult(texts, rules, seconds, {int(row["origin"]): dict(row["scores"] or ()) for row in kept})


def is_repaired(row: Row, text: str) -> bool:
    return bool(row.original) and text == normalize_pair(row.source, row.original).target


def print_rules(rows: Sequence[Row], dropped: dict[int, str]) -> None:
    """Print what each rule dropped, by kind of noise."""
    table: dict[str, Counter[str]] = {}
    for row, rule in dropped.items():
        table.setdefault(rule, Counter())[rows[row].kind or "clean"] += 1
    clean_rows = sum(not row.kind for row in rows)
    print(f"    {'rule':22}{'dropped':>8}{'precision':>10}{'of clean':>10}  by kind")
    for rule, kinds in sorted(table.items()):
        wrong = kinds.pop("clean", 0)
        noise = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        total = kinds.total() + wrong
        print(f"    {rule:22}{total:8}{kinds.total() / total:10.0%}{wrong / clean_rows:10.2%}  {noise}")


def run_opusfilter(rows: Sequence[Row], language: str, python: str) -> Outcome | None:
    """Run OpusFilter's default filters over the same rows, in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.json")
        pairs = [[row.source, row.target] for row in rows]
        job.write_text(json.dumps({"pairs": pairs, "languages": ["en", language], "scripts": ["Latin", SCRIPTS[language]]}))
        done = subprocess.run([python, "-c", PEER, str(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"    OpusFilter did not run: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return None
    result = json.loads(done.stdout.splitlines()[-1])
    kept = set(result["kept"])
    return Outcome([n not in kept for n in range(len(rows))], result["seconds"])


class Counts(NamedTuple):
    """Noisy rows of a kind that were detected and missed, and clean rows that were dropped."""

    detected: float = 0
    missed: float = 0
    wrong: float = 0

    @property
    def precision(self) -> float:
        return self.detected / (self.detected + self.wrong) if self.detected else 0.0

    @property
    def recall(self) -> float:
        return self.detected / (self.detected + self.missed) if self.detected else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.detected / (2 * self.detected + self.wrong + self.missed) if self.detected else 0.0

    def plus(self, other: Counts) -> Counts:
        return Counts(*map(sum, zip(self, other, strict=True)))


def count(rows: Sequence[Row], outcome: Outcome) -> dict[str, Counts]:
    """Count by kind; dropped clean rows are divided among the kinds by their size."""
    kinds = Counter(row.kind for row in rows)
    handled_kinds = Counter(row.kind for row, handled in zip(rows, outcome.handled, strict=True) if handled)
    noise = len(rows) - kinds[""]
    return {
        kind: Counts(handled_kinds[kind], kinds[kind] - handled_kinds[kind], handled_kinds[""] * kinds[kind] / noise)
        for kind in KINDS
    }


def print_table(title: str, mlctl_counts: dict[str, Counts], peer_counts: dict[str, Counts] | None) -> None:
    print(
        f"\n{title}\n    {'noise':16}{'rows':>6}   {'mlctl: precision':>16}{'recall':>8}{'F1':>7}   {'OpusFilter: precision':>21}{'recall':>8}{'F1':>7}"
    )
    for kind in (*KINDS, "all"):
        counts = total(mlctl_counts) if kind == "all" else mlctl_counts[kind]
        line = (
            f"    {kind:16}{counts.detected + counts.missed:6.0f}   {counts.precision:16.3f}{counts.recall:8.3f}{counts.f1:7.3f}"
        )
        if peer_counts:
            peer = total(peer_counts) if kind == "all" else peer_counts[kind]
            line += f"   {peer.precision:21.3f}{peer.recall:8.3f}{peer.f1:7.3f}"
        print(line)


def total(counts: dict[str, Counts]) -> Counts:
    whole = Counts()
    for count_of_kind in counts.values():
        whole = whole.plus(count_of_kind)
    return whole


def add_counts(sums: dict[str, Counts], counts: dict[str, Counts]) -> dict[str, Counts]:
    return {kind: sums.get(kind, Counts()).plus(counts[kind]) for kind in KINDS}


def peer_python(python: str) -> str | None:
    """Return an interpreter that can import opusfilter; without one print a message and return None."""
    python = python or sys.executable
    if subprocess.run([python, "-c", "import opusfilter"], capture_output=True, check=False).returncode == 0:
        return python
    print(f"OpusFilter cannot be imported by {python}: its columns are left out (see --opusfilter)")
    return None


def train_lexicon(data: Path, language: str, max_lines: int, folder: Path) -> Path:
    """Align news, as an earlier run would have done, and return the lexicon."""
    pairs = list(zip(*(lines(data, "newstest", language, side) for side in ("en", language)), strict=True))[:max_lines]
    rows = [dict.fromkeys(PAIR.names[:-1], "") | {"source": source, "target": target} for source, target in pairs]
    (folder / "in/pairs").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), folder / f"in/pairs/{language}.parquet")
    (folder / "out").mkdir()
    align(Align(), Languages(targets=(language,)), 0, [folder / "in"], Workspace(folder / "out"))
    return folder / f"out/models/{language}/lexicon.parquet"


def small_batches(options: argparse.Namespace) -> None:
    """Print how well small batches of new text are cleaned without and with the lexicon of earlier text of another domain."""
    print("\nsmall batches of health text, each cleaned by itself; lexicon: learned from news")
    print(
        f"    {'':6}{'pairs':>6}   {'shifted, by likelihood: F1 without':>34}{'with lexicon':>14}   {'all: F1 without':>15}{'with lexicon':>14}"
    )
    for language in NEWS[options.quick]:
        pairs = list(zip(*(lines(options.data, "tico19", language, side) for side in ("en", language)), strict=True))
        rows = add_noise(pairs, lines(options.data, "tico19", "sw", "sw"), random.Random(options.seed))[: len(pairs)]
        with tempfile.TemporaryDirectory() as folder:
            file = train_lexicon(options.data, language, NEWS_LINES[options.quick], Path(folder))
            for size in BATCHES:
                batches = [rows[first : first + size] for first in range(0, len(rows) - size + 1, size)]
                (few, alone), (many, joined) = (clean_batches(batches, language, lexicons) for lexicons in ({}, {language: file}))
                print(f"    {language:6}{size:6}   {few.f1:34.3f}{many.f1:14.3f}   {alone.f1:15.3f}{joined.f1:14.3f}")


def clean_batches(batches: Sequence[Sequence[Row]], language: str, lexicons: dict[str, Path]) -> tuple[Counts, Counts]:
    """Return the counts of the likelihood rule on shifted rows, and those of all rules on all noise, over all batches."""
    sums, unlikely = dict[str, Counts](), Counts()
    for rows in batches:
        result = run_stage(rows, language, lexicons)
        sums = add_counts(sums, count(rows, result.outcome(rows)))
        kinds = Counter(rows[row].kind for row, rule in result.dropped.items() if rule == UnlikelyTranslation.name)
        missed = sum(row.kind == "shifted" for row in rows) - kinds["shifted"]
        unlikely = unlikely.plus(Counts(kinds["shifted"], missed, kinds[""]))
    return unlikely, total(sums)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/newstest and parallel/tico19")
    parser.add_argument("--quick", action="store_true", help="at most 20,000 lines of each set")
    parser.add_argument("--opusfilter", default="", metavar="PYTHON", help="an interpreter that can import opusfilter")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    python = peer_python(options.opusfilter)
    sums: tuple[dict[str, Counts], dict[str, Counts]] = ({}, {})
    seconds = [0.0, 0.0]
    for corpus, language, other in SETS:
        sides = (lines(options.data, corpus, language, side) for side in ("en", language))
        pairs = list(zip(*sides, strict=True))[: MOST_LINES[options.quick]]
        others = lines(options.data, corpus, other, other)
        rows = add_noise(pairs, others, random.Random(options.seed))
        print(
            f"\n{corpus} en-{language}: {len(pairs):,} lines; {sum(bool(row.kind) for row in rows):,} noisy rows among them or added"
        )
        ours = run_mlctl(rows, language)
        peer = run_opusfilter(rows, language, python) if python else None
        counts = count(rows, ours), count(rows, peer) if peer else None
        print_table(f"  {corpus} en-{language}", *counts)
        sums = add_counts(sums[0], counts[0]), add_counts(sums[1], counts[1]) if counts[1] else sums[1]
        seconds = [seconds[0] + ours.seconds, seconds[1] + (peer.seconds if peer else 0)]
        speeds = f"mlctl {len(rows) / ours.seconds:,.0f}" + (f", OpusFilter {len(rows) / peer.seconds:,.0f}" if peer else "")
        print(f"    sentence pairs a second: {speeds}")
    print_table("  all sets", sums[0], sums[1] or None)
    small_batches(options)
    print(json.dumps(figures(sums, seconds)))


def figures(sums: tuple[dict[str, Counts], dict[str, Counts]], seconds: Sequence[float]) -> dict[str, float | None]:
    """Return the figures of the JSON line: F1 over all noise, and the ratio of OpusFilter's time to ours."""
    return {
        "f1_ours": round(total(sums[0]).f1, 4),
        "f1_opusfilter": round(total(sums[1]).f1, 4) if sums[1] else None,
        "speed_ratio": round(seconds[1] / seconds[0], 2) if seconds[1] else None,
    }


if __name__ == "__main__":
    main()
