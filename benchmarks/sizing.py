"""CPU seconds and bytes per pair of the stages before training, on the generated text of corpora_scale.py.

    python benchmarks/sizing.py [--quick] [--pairs N]

Clean, align and shard run one after another on N pairs of one language, each in a new process. CPU seconds include all child processes,
so they are valid on a busy machine too. docs/scale.md uses the table for sizing a large run. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora_scale import LANGUAGE, write_corpus

PAIRS = {True: 50_000, False: 1_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work(options.child[0], Path(options.child[1]))
        return
    with tempfile.TemporaryDirectory() as workdir:
        print(json.dumps(measure(Path(workdir), options.pairs or PAIRS[options.quick])))


def measure(folder: Path, pairs: int) -> dict[str, dict[str, float]]:
    """Return by stage the input pairs per CPU second, and the bytes of its result per input pair."""
    figures = {"download": {"bytes_a_pair": round(write_corpus(folder / "download", pairs, 0) / pairs, 1)}}
    print(
        f"{pairs:,} input pairs\n{'stage':10}{'pairs / CPU second':>20}{'bytes / pair':>14}{'peak MB of a process':>22}",
        flush=True,
    )
    for stage in ("clean", "align", "shard"):
        process = subprocess.Popen([sys.executable, __file__, "--child", stage, str(folder)])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{stage} failed")
        speed = pairs / (usage.ru_utime + usage.ru_stime)
        size = sum(file.stat().st_size for file in (folder / stage).rglob("*") if file.is_file() and ".scratch" not in file.parts)
        figures[stage] = {"pairs_a_cpu_second": round(speed, 1), "bytes_a_pair": round(size / pairs, 1)}
        print(f"{stage:10}{speed:20,.0f}{size / pairs:14,.0f}{usage.ru_maxrss / 1000:22,.0f}", flush=True)
    return figures


def work(stage: str, folder: Path) -> None:
    """Entry point of the child process: one call of the stage."""
    from mlctl.alignment import align
    from mlctl.cleaning import clean
    from mlctl.config import Recipe
    from mlctl.core.workspace import Workspace
    from mlctl.sharding import shard

    recipe = Recipe.model_validate({"languages": {"targets": [LANGUAGE]}})
    workspace = Workspace(folder / stage)
    workspace.root.mkdir()
    stages: dict[str, Any] = {
        "clean": lambda: clean(recipe.clean, recipe.languages, folder / "download", workspace),
        "align": lambda: align(recipe.align, recipe.languages, 0, [folder / "clean"], workspace),
        "shard": lambda: shard(recipe.shard, recipe.model, recipe.languages, 0, folder / "align", workspace),
    }
    stages[stage]()


if __name__ == "__main__":
    main()
