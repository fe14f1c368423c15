"""What an encoder's score adds to the rules of clean: F1 by kind of noise, and clean lines lost, with and without it.

    python benchmarks/scores.py --data DATA --encoder FOLDER [--quick] [--catalogues WHEEL …]

DATA has `parallel/{newstest,tico19,bible}` (line-parallel `NAME.en-XX.{en,XX}.gz`). FOLDER is a sentence encoder (`benchmarks/pretrained.py`
writes multilingual-e5-small). WHEEL is a package with message catalogues, which get no noise: what is dropped of them is lost. The
lines have the seven kinds of noise of `cleaning.py`, and three that are fluent: the translation of another sentence, one other word,
and the translation of a sentence nearby. The cut of each score is chosen on the first set: the best F1 over the three kinds among
those that drop at most 0.1% of its clean lines. It is applied to all others. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cleaning import Counts, Outcome, StageResult, lines, run_stage
from noise import HARD_KINDS, KINDS, Row, add_noise

from mlctl.config import Clean, Languages
from mlctl.corpora.sources.locales import LocalesCorpus

SETS = (
    ("newstest", "de", "cs"),
    ("newstest", "ru", "cs"),
    ("newstest", "zh", "de"),
    ("tico19", "sw", "es"),
    ("bible", "fr", "es"),
)
CATALOGUE_LANGUAGES = ("de", "sw")
LINES = {True: 1_500, False: 10_000}
METRICS = ("margin", "cosine")
MAX_CLEAN_LOSS = 0.001
ALL_KINDS = (*KINDS, *HARD_KINDS)


class Measured(NamedTuple):
    """The rows of a set and what the rules and the scores say of them."""

    name: str
    rows: list[Row]
    result: StageResult

    def counts(self, metric: str = "", cut: float = 0.0) -> dict[str, Counts]:
        """Return the counts by kind, of the rules alone or with a score's cut; dropped clean rows are divided among the kinds."""
        handled = self.result.outcome(self.rows).handled
        if metric:
            handled = [done or self.is_below(row, metric, cut) for row, done in enumerate(handled)]
        outcome = Outcome(handled, self.result.seconds)
        kinds = Counter(row.kind for row in self.rows)
        found = Counter(row.kind for row, done in zip(self.rows, outcome.handled, strict=True) if done)
        noise = max(1, len(self.rows) - kinds[""])
        return {kind: Counts(found[kind], kinds[kind] - found[kind], found[""] * kinds[kind] / noise) for kind in ALL_KINDS}

    def clean_loss(self, metric: str = "", cut: float = 0.0) -> float:
        """Return the share of clean rows that the rules drop or, with a metric, that its cut drops besides."""
        clean_rows = [number for number, row in enumerate(self.rows) if not row.kind]
        if not metric:
            return sum(number in self.result.dropped for number in clean_rows) / len(clean_rows)
        return sum(self.is_below(number, metric, cut) for number in clean_rows) / len(clean_rows)

    def is_below(self, row: int, metric: str, cut: float) -> bool:
        """Return whether a cut drops a row; rows that are dropped already, or are too short, have no score."""
        return self.result.scores.get(row, {}).get(metric, cut) < cut


def measure(name: str, rows: list[Row], language: str, encoder: Path) -> Measured:
    scores = {metric: {"kind": "encoder", "model": str(encoder), "metric": metric} for metric in METRICS}
    return Measured(
        name, rows, run_stage(rows, language, {}, Clean.model_validate({"scores": scores}), dict.fromkeys(scores, encoder))
    )


def noisy_rows(data: Path, corpus: str, language: str, other: str, most: int, seed: int) -> list[Row]:
    pairs = list(zip(*(lines(data, corpus, language, side) for side in ("en", language)), strict=True))[:most]
    return add_noise(pairs, lines(data, corpus, other, other), random.Random(seed), hard=True)


def catalogue_rows(wheel: Path, language: str, most: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        corpus = LocalesCorpus(wheel, wheel.name, Languages(targets=(language,)), Path(folder))
        return [Row(row.source, row.target) for row in corpus.rows(language) if row.source and row.target][:most]


def hard_f1(counts: dict[str, Counts]) -> float:
    whole = Counts()
    for kind in HARD_KINDS:
        whole = whole.plus(counts[kind])
    return whole.f1


def choose_cut(tuned: Measured, metric: str) -> float:
    """Return the cut with the best F1 over the hard kinds among those that lose few clean rows."""
    values = sorted(scores[metric] for scores in tuned.result.scores.values() if metric in scores)
    candidates = np.quantile(values, np.linspace(0, 0.3, 301)).tolist()
    allowed = [cut for cut in candidates if tuned.clean_loss(metric, cut) <= MAX_CLEAN_LOSS]
    return max(allowed, key=lambda cut: hard_f1(tuned.counts(metric, cut)))


def print_set(measured: Measured, cuts: dict[str, float]) -> None:
    print(f"\n{measured.name}: {len(measured.rows):,} rows")
    by_cut = {"rules": measured.counts(), **{metric: measured.counts(metric, cut) for metric, cut in cuts.items()}}
    if any(row.kind for row in measured.rows):
        print(f"    {'noise':18}{'rows':>6}" + "".join(f"{name:>10}" for name in by_cut) + "   (F1)")
        for kind in ALL_KINDS:
            rows = by_cut["rules"][kind].detected + by_cut["rules"][kind].missed
            print(f"    {kind:18}{rows:6.0f}" + "".join(f"{counts[kind].f1:10.3f}" for counts in by_cut.values()))
    losses = [measured.clean_loss(), *(measured.clean_loss(metric, cut) for metric, cut in cuts.items())]
    print(f"    {'clean lines lost':24}" + "".join(f"{loss:10.2%}" for loss in losses) + "   (of a score: besides the rules')")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel/{newstest,tico19,bible}")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a sentence encoder")
    parser.add_argument(
        "--catalogues", type=Path, nargs="*", default=[], metavar="WHEEL", help="packages with message catalogues"
    )
    parser.add_argument("--quick", action="store_true", help=f"{LINES[True]:,} lines of each set instead of {LINES[False]:,}")
    parser.add_argument("--lines", type=int, default=0, help="another number of lines")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    most = options.lines or LINES[options.quick]
    cuts: dict[str, float] = {}
    sums: dict[str, dict[str, Counts]] = {name: dict.fromkeys(ALL_KINDS, Counts()) for name in ("rules", *METRICS)}
    losses: dict[str, dict[str, float]] = {metric: {} for metric in METRICS}
    for corpus, language, other in SETS:
        rows = noisy_rows(options.data, corpus, language, other, most, options.seed)
        measured = measure(f"{corpus} en-{language}", rows, language, options.encoder)
        is_tuned = not cuts
        cuts = cuts or {metric: choose_cut(measured, metric) for metric in METRICS}
        print_set(measured, cuts)
        if is_tuned:
            print("    cuts, chosen here:", ", ".join(f"{metric} {cut:.4f}" for metric, cut in cuts.items()), flush=True)
            continue
        for name in sums:
            counts = measured.counts() if name == "rules" else measured.counts(name, cuts[name])
            sums[name] = {kind: sums[name][kind].plus(counts[kind]) for kind in ALL_KINDS}
        for metric in METRICS:
            losses[metric][measured.name] = measured.clean_loss(metric, cuts[metric])
    for wheel in options.catalogues:
        for language in CATALOGUE_LANGUAGES:
            rows = catalogue_rows(wheel, language, most)
            measured = measure(f"{wheel.name} en-{language}", rows, language, options.encoder)
            print_set(measured, cuts)
            for metric in METRICS:
                losses[metric][measured.name] = measured.clean_loss(metric, cuts[metric])
    print("\nall sets but the first, F1")
    for kind in ALL_KINDS:
        print(f"    {kind:18}" + "".join(f"{sums[name][kind].f1:10.3f}" for name in sums))
    f1 = {name: {kind: round(sums[name][kind].f1, 4) for kind in ALL_KINDS} for name in sums}
    print(json.dumps({"cuts": cuts, "f1": f1, "clean_loss": losses}))


if __name__ == "__main__":
    main()
