"""Clean against known dirt: precision and recall for each kind of noise, side by side with OpusFilter's default filters.

    python benchmarks/cleaning.py --data DATA [--quick] [--opusfilter PYTHON]

DATA has `parallel/newstest` and `parallel/tico19` (line-parallel `NAME.en-XX.{en,XX}.gz`). PYTHON is an interpreter that can import
opusfilter (`python -m venv V && V/bin/pip install opusfilter`); this one is taken if it can. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.cleaning import clean
from mlctl.cleaning.tidy import tidy
from mlctl.config import Clean, Languages
from mlctl.schema import PAIR
from mlctl.workspace import Workspace

KINDS = ("shifted", "wrong language", "copy", "truncation", "mojibake", "ratio", "near duplicate")
SHARE = 0.03  # of the clean lines, for each kind
SETS = (("newstest", "de", "cs"), ("newstest", "ru", "cs"), ("newstest", "zh", "de"), ("tico19", "sw", "es"))
MOST_LINES = {True: 20_000, False: 40_000}
SCRIPTS = {"de": "Latin", "ru": "Cyrillic", "zh": "Han", "sw": "Latin"}
SHIFTED_RUN = 10

# Run by OpusFilter's Python: what is kept by its filters with their default parameters, as its own generator configures them.
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


class Row(NamedTuple):
    source: str
    target: str
    kind: str = ""  # of noise; "": clean
    meant: str = ""  # the target before mojibake: cleaning may repair it instead of dropping the row


@dataclass
class Outcome:
    """What a cleaner did: its verdict on each row (True: dropped, or repaired) and how long it took."""

    handled: list[bool]
    seconds: float


def lines(data: Path, corpus: str, language: str, side: str) -> list[str]:
    with gzip.open(
        data / "parallel" / corpus / f"{corpus}.en-{language}.{side}.gz", "rt", encoding="utf-8", newline="\n"
    ) as file:
        return file.read().removesuffix("\n").split("\n")


def dirty(pairs: Sequence[tuple[str, str]], others: Sequence[str], rng: random.Random) -> list[Row]:
    """Return clean pairs with noise of each kind in `SHARE` of them; near duplicates are added."""
    rows = [Row(*pair) for pair in pairs]
    count = max(20, int(SHARE * len(pairs)))
    used = shift(rows, count, rng)
    free = [row for row in range(len(rows)) if row not in used]
    rng.shuffle(free)
    for kind, spoil in SPOILERS.items():
        done = 0
        while done < count and free:
            row = free.pop()
            if spoiled := spoil(pairs[row], others, rng):
                rows[row] = Row(*spoiled, kind, pairs[row][1] if kind == "mojibake" else "")
                done += 1
    near = [Row(*near_copy(pairs[row], rng), KINDS[6]) for row in free if long_enough(pairs[row])][:count]
    return rows + near  # each after its original, which stands at a place that is not touched


def shift(rows: list[Row], count: int, rng: random.Random) -> set[int]:
    """Move the targets of some runs of lines by one line, as an aligner does that lost a line."""
    used: set[int] = set()
    for start in rng.sample(range(0, len(rows) - SHIFTED_RUN, SHIFTED_RUN), max(1, count // SHIFTED_RUN)):
        run = range(start, start + SHIFTED_RUN)
        targets = [rows[row].target for row in run]
        for place, row in enumerate(run):
            rows[row] = Row(rows[row].source, targets[(place + 1) % SHIFTED_RUN], "shifted")
        used.update(run)
    return used


Spoiled = tuple[str, str] | None


def wrong_language(pair: tuple[str, str], others: Sequence[str], rng: random.Random) -> Spoiled:
    return pair[0], rng.choice(others)


def copy(pair: tuple[str, str], _: Sequence[str], rng: random.Random) -> Spoiled:
    """Half are exact, half with a word lost or another case."""
    words = pair[0].split()
    if len(words) < 4:
        return None
    if rng.random() < 0.5:
        return pair[0], pair[0]
    words.pop(rng.randrange(len(words)))
    return pair[0], " ".join(words)


def truncation(pair: tuple[str, str], _: Sequence[str], rng: random.Random) -> Spoiled:
    """One side ends after 20 to 60 per cent of its characters."""
    side = rng.randrange(2)
    text = pair[side]
    if len(text) < 40:
        return None
    cut = text[: int(len(text) * rng.uniform(0.2, 0.6))].rstrip()
    return (cut, pair[1]) if side == 0 else (pair[0], cut)


def mojibake(pair: tuple[str, str], _: Sequence[str], rng: random.Random) -> Spoiled:
    """UTF-8 read as a one-byte encoding, or the reverse with losses."""
    source, target = pair
    wrong: list[Callable[[str], str]] = [
        lambda text: text.encode().decode("latin-1"),
        lambda text: text.encode().decode("cp1252", "replace"),
        lambda text: re.sub("[^\x00-\x7f]", "\ufffd", text),
    ]
    spoiled = rng.choice(wrong)(target)
    return None if spoiled == target else (source, spoiled)


def ratio(pair: tuple[str, str], _: Sequence[str], __: random.Random) -> Spoiled:
    """One side keeps its first words only, as a sentence of its own."""
    source, target = pair
    if len(source) < 80:
        return None
    short = target[: max(2, len(target) // 6)].rstrip(" .,") + target[-1]
    return source, short


SPOILERS: dict[str, Callable[[tuple[str, str], Sequence[str], random.Random], Spoiled]] = {
    "wrong language": wrong_language,
    "copy": copy,
    "truncation": truncation,
    "mojibake": mojibake,
    "ratio": ratio,
}


def long_enough(pair: tuple[str, str]) -> bool:
    return len(pair[0]) + len(pair[1]) >= 200


def near_copy(pair: tuple[str, str], rng: random.Random) -> tuple[str, str]:
    """The same pair again with a word of the source lost, and punctuation of the target changed."""
    words = pair[0].split()
    words.pop(rng.randrange(len(words)))
    return " ".join(words), pair[1].rstrip(".。।") + " …"


def ours(rows: Sequence[Row], language: str) -> Outcome:
    """Run the stage itself, from Parquet to Parquet."""
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
        clean(Clean(), Languages(targets=(language,)), Path(folder, "in"), Workspace(out))
        seconds = time.perf_counter() - start
        kept = pq.read_table(out / f"pairs/{language}.parquet", columns=["origin", "target"]).to_pylist()
        dropped = pq.read_table(out / f"rejected/{language}.parquet", columns=["origin", "rule"]).to_pylist()
    by_rule(rows, {int(row["origin"]): row["rule"] for row in dropped})
    texts = {int(row["origin"]): row["target"] for row in kept}
    return Outcome([n not in texts or repaired(row, texts[n]) for n, row in enumerate(rows)], seconds)


def repaired(row: Row, text: str) -> bool:
    return bool(row.meant) and text == tidy(row.source, row.meant).target


def by_rule(rows: Sequence[Row], dropped: dict[int, str]) -> None:
    """Print what each rule dropped, by kind of noise."""
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
    """Run OpusFilter's default filters over the same rows, in its own interpreter."""
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
    """Rows of a kind that were found and missed, and clean rows that were dropped for it."""

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
    """Count by kind; clean rows that were dropped are shared out among the kinds by their size."""
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
    """Return a Python that can import opusfilter, or None, and say so."""
    python = given or sys.executable
    if subprocess.run([python, "-c", "import opusfilter"], capture_output=True, check=False).returncode == 0:
        return python
    print(f"OpusFilter cannot be imported by {python}: its columns are left out (see --opusfilter)")
    return None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/newstest and parallel/tico19")
    parser.add_argument("--quick", action="store_true", help="at most 20,000 lines of each set")
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
            f"\n{corpus} en-{language}: {len(pairs):,} lines, {sum(bool(row.kind) for row in rows):,} of them or added to them spoiled"
        )
        mine = ours(rows, language)
        peer = opusfilter(rows, language, python) if python else None
        counted = count(rows, mine), count(rows, peer) if peer else None
        show(f"  {corpus} en-{language}", *counted)
        sums = added(sums[0], counted[0]), added(sums[1], counted[1]) if counted[1] else sums[1]
        seconds = [seconds[0] + mine.seconds, seconds[1] + (peer.seconds if peer else 0)]
        speeds = f"mlctl {len(rows) / mine.seconds:,.0f}" + (f", OpusFilter {len(rows) / peer.seconds:,.0f}" if peer else "")
        print(f"    sentence pairs a second: {speeds}")
    show("  all sets", sums[0], sums[1] or None)
    print(json.dumps(figures(sums, seconds)))


def figures(sums: tuple[dict[str, Counts], dict[str, Counts]], seconds: Sequence[float]) -> dict[str, float | None]:
    """Return the figures for machines: F1 over all noise, and how much faster this is than OpusFilter."""
    return {
        "f1_ours": round(total(sums[0]).f1, 4),
        "f1_opusfilter": round(total(sums[1]).f1, 4) if sums[1] else None,
        "speed_ratio": round(seconds[1] / seconds[0], 2) if seconds[1] else None,
    }


if __name__ == "__main__":
    main()
