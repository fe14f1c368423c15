"""1 and 10 million pairs of generated text from files to shards and some hundred training steps: time, memory, bytes, by stage.

    python benchmarks/pipeline_scale.py [--quick] [--pairs N …] [--folder FOLDER]

The text is that of corpora_scale.py, in two plain files. Each stage runs in a new process, on all cores, and its figures are kept in
FOLDER: run the command again after an interruption, and it goes on in the stage that was interrupted (whose time then is the sum of its
starts, and whose CPU time and memory are those of the last one). Without FOLDER a temporary one is used; 10 million pairs need some
20 GB. Peak memory is the anonymous memory of all processes, shared pages counted once; pages of mapped files, which are dropped when
memory is needed, are not part of it. --quick: 20,000 and 60,000 pairs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from corpora_scale import BATCH_ROWS, LANGUAGE, POOL, SAMPLED_EVERY, add_noise, lexicon, memory_of, process_tree, texts

from mlctl.config import Recipe

SIZES = {True: (20_000, 60_000), False: (1_000_000, 10_000_000)}
STAGES = ("download", "clean", "translate", "align", "shard", "train")
TRAINING: dict[str, Any] = {"batch_size": 64, "mlm_weight": 0.0, "devices": "cpu", "trackers": [], "judge_every": 0}
STEPS = {True: 50, False: 300}
MODEL = {"scratch": {"vocabulary": 16_000, "layers": 2, "hidden": 128, "heads": 4, "feed_forward": 256}}


@dataclass(frozen=True)
class Figures:
    """Figures of one stage: wall and CPU seconds, peak memory, bytes that it wrote, and bytes of its result."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int
    result_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs")
    parser.add_argument("--pairs", type=int, nargs="+", help="other sizes, the smallest first")
    parser.add_argument("--folder", type=Path, help="where text, store and figures are kept")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work(options.child[0], Path(options.child[1]), int(options.child[2]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        sizes = options.pairs or SIZES[options.quick]
        print(json.dumps(summary({pairs: measure(folder / str(pairs), pairs, STEPS[options.quick]) for pairs in sizes})))


def measure(folder: Path, pairs: int, steps: int) -> dict[str, Figures]:
    """Run all stages on so many pairs, but for those that are measured already, and print their figures."""
    write_text(folder / "text", pairs)
    heads = ("stage", "seconds", "CPU s", "pairs/CPU s", "peak MB", "written B/pair", "result B/pair")
    print(f"\n{pairs:,} pairs\n{heads[0]:10}" + "".join(f"{head:>16}" for head in heads[1:]), flush=True)
    figures = {}
    for stage in STAGES:
        kept = folder / f"{stage}.json"
        if not kept.exists():
            kept.write_text(json.dumps(asdict(measure_stage(folder, stage, steps))), encoding="utf-8")
        figures[stage] = one = Figures(**json.loads(kept.read_text(encoding="utf-8")))
        speed = (steps * TRAINING["batch_size"] if stage == "train" else pairs) / one.cpu_seconds
        row = (one.seconds, one.cpu_seconds, speed, one.peak_bytes / 1e6, one.written_bytes / pairs, one.result_bytes / pairs)
        print(f"{stage:10}" + "".join(f"{value:16,.0f}" for value in row), flush=True)
    return figures


def measure_stage(folder: Path, stage: str, steps: int) -> Figures:
    """Run a stage in a new process and watch all its processes."""
    clock = folder / f"{stage}.seconds"  # of earlier starts, which were interrupted
    before = float(clock.read_text(encoding="utf-8")) if clock.exists() else 0.0
    start, peak, written = time.monotonic(), 0, dict[int, int]()
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", stage, str(folder), str(steps)], stdout=subprocess.PIPE, text=True
    )
    while child.poll() is None:
        processes = process_tree(child.pid)
        peak = max(peak, sum(map(memory_of, processes)))
        written |= {process: count for process in processes if (count := written_by(process))}
        clock.write_text(str(before + time.monotonic() - start), encoding="utf-8")
        time.sleep(SAMPLED_EVERY)
    seconds = before + time.monotonic() - start
    output = child.communicate()[0]
    if child.returncode:
        raise SystemExit(f"{stage} failed")
    result = json.loads(output.splitlines()[-1])
    clock.unlink()
    return Figures(seconds, result["cpu_seconds"], peak, sum(written.values()), result["bytes"])


def written_by(pid: int) -> int:
    """Return the bytes that a process has written to files."""
    try:
        return int(psutil.Process(pid).io_counters().write_bytes)
    except psutil.Error:
        return 0


def work(stage: str, folder: Path, steps: int) -> None:
    """Entry point of the child process: make the result of one stage."""
    from mlctl.pipeline.plan import plan
    from mlctl.pipeline.stage import Ref, make, result_of
    from mlctl.pipeline.stages import stages_until

    recipe = recipe_of(folder, steps)
    chosen = stages_until(stage)[-1]  # type: ignore[arg-type]
    keys = {planned.stage: planned.key for planned in plan(recipe, stage)}  # type: ignore[arg-type]
    ref, _ = make(chosen, recipe, tuple(Ref(stage=name, key=keys[name], store=recipe.store) for name in chosen.needs))
    files = [file for file in result_of(ref).folder.rglob("*") if file.is_file()]
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(one.ru_utime + one.ru_stime for one in usage)
    print(json.dumps({"cpu_seconds": cpu_seconds, "bytes": sum(file.stat().st_size for file in files)}))


def recipe_of(folder: Path, steps: int) -> Recipe:
    """Return the recipe of a size."""
    source = {"kind": "files", "name": "synthetic", "path": str(folder / "text" / "text.{language}"), "licence": "CC0-1.0"}
    return Recipe.model_validate(
        {
            "name": "scale",
            "store": str(folder / "store"),
            "languages": {"targets": [LANGUAGE]},
            "download": {"sources": [source]},
            "model": MODEL,
            "train": {**TRAINING, "steps": steps},
        }
    )


def write_text(folder: Path, pairs: int) -> None:
    """Write two files of text, line by line each other's translation; the same ones at every start."""
    if (folder / "complete").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    words = lexicon()
    pool = texts(words, np.random.default_rng([0, 0]), max(1, int(POOL * pairs)))
    paths = [folder / f"text.{language}" for language in ("en", LANGUAGE)]
    with paths[0].open("w", encoding="utf-8") as source, paths[1].open("w", encoding="utf-8") as target:
        for number, start in enumerate(range(0, pairs, BATCH_ROWS), 1):
            sides = add_noise(words, pool, np.random.default_rng([0, number]), min(BATCH_ROWS, pairs - start))
            for file, side in zip((source, target), sides, strict=True):
                file.writelines(f"{text or ''}\n" for text in side.to_pylist())
    (folder / "complete").touch()


def summary(measured: dict[int, dict[str, Figures]]) -> dict[str, Any]:
    """Return the figures that others read; null: of a size that was not measured."""
    total = {pairs: sum(one.seconds for one in stages.values()) for pairs, stages in measured.items()}
    peak = {pairs: round(max(one.peak_bytes for one in stages.values()) / 1e6) for pairs, stages in measured.items()}
    one, ten = SIZES[False]
    largest = max(measured)
    return {
        "peak_mb_1m": peak.get(one),
        "peak_mb_10m": peak.get(ten),
        "seconds_10m_over_1m": round(total[ten] / total[one], 2) if {one, ten} <= total.keys() else None,
        "cores": len(os.sched_getaffinity(0)),
        **{
            stage: {
                "pairs_a_cpu_second": round(largest / figures.cpu_seconds, 1),
                "peak_mb": round(figures.peak_bytes / 1e6),
                "bytes_a_pair": round(figures.result_bytes / largest, 1),
                "written_bytes_a_pair": round(figures.written_bytes / largest, 1),
            }
            for stage, figures in measured[largest].items()
        },
    }


if __name__ == "__main__":
    main()
