"""All measurements that need a GPU, in one command and under nine minutes: correctness, speed, and where the time goes.

    python benchmarks/gpu.py [--device cuda|cpu] [--only SECTION …] [--minutes M] [--out FOLDER]
    python benchmarks/gpu.py --kit FOLDER [--python 3.12]

Writes `gpu.json` and `gpu.md` into FOLDER, after each measurement: a run that is cut off leaves what it has. A measurement that fails or
runs out of memory is a row with the error's text; one that no longer fits into M minutes is a row "not run". Needs torch and transformers,
and the packages that `--kit` packs for a machine without network, with `run.sh` to start them (gpu_kit.py). On a CPU the encoder and the
batches are small, which shows that the program runs and measures nothing else. The exit status is 1 if a correctness check did not pass.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `mlctl` sets it; must precede the import of torch

DEFAULT_MINUTES = 8.5
SECTIONS = ("device", "correctness", "step", "authors", "trainers", "loader", "encoding", "alignment", "roofline")
_AIMS = {"mfu": 0.4, "authors": 30.0, "trainers": 2.0, "loader": 10.0}


def main() -> None:
    options = _options()
    if options.kit:
        from gpu_kit import pack

        pack(options.kit, options.python)
        return
    sys.exit(measure(options))


def measure(options: argparse.Namespace) -> int:
    """Run the measurements; return the exit status."""
    deadline = time.monotonic() + 60 * options.minutes
    import torch
    import transformers
    from gpu_runner import FAILED, Runner
    from gpu_setup import CPU, GPU, QUICK, Bench

    logging.basicConfig(level=logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    name = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU: check nvidia-smi and torch.version.cuda, or use --device cpu")
    device = torch.device("cuda", 0) if name == "cuda" else torch.device("cpu")
    scale = QUICK if options.quick else GPU if name == "cuda" else CPU
    scratch = Path(tempfile.mkdtemp(prefix="mlctl-gpu-"))
    bench = Bench(scale, device, scratch)
    try:
        runner = Runner(
            options.out, deadline, _about(bench), partial(aims, bench), partial(shutil.rmtree, scratch, ignore_errors=True)
        )
        plan = [measurement for section in options.only for measurement in measurements(bench, section, options)]
        runner.run(plan)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"\n{(options.out / 'gpu.md').read_text(encoding='utf-8')}")
    checks = [row for row in runner.rows if row.section == "correctness"]
    return int(any(row.status == FAILED or row.figures.get("passed") is False for row in checks))


def measurements(bench: Any, section: str, options: argparse.Namespace) -> Iterator[Any]:
    """Yield the measurements of a section."""
    import gpu_correctness
    import gpu_inference
    import gpu_roofline
    import gpu_speed
    from gpu_setup import QUICK

    roofline: dict[str, Any] = {}
    if bench.scale is QUICK:
        roofline = {"geometry": QUICK.geometry, "cases": ((8, False, 256),)}
    elif not bench.is_gpu and options.only != ["roofline"]:
        roofline = {"cases": gpu_roofline.CASES[:1]}  # each takes half a minute on a core
    makers: dict[str, Callable[[Any], Iterator[Any]]] = {
        "device": gpu_inference.device,
        "correctness": gpu_correctness.measurements,
        "step": gpu_speed.steps,
        "authors": gpu_speed.authors,
        "trainers": gpu_speed.trainers,
        "loader": gpu_speed.loader,
        "encoding": gpu_inference.encoding,
        "alignment": gpu_inference.alignment,
        "roofline": partial(gpu_roofline.measurements, **roofline),
    }
    return makers[section](bench)


def aims(bench: Any, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the aims for one H100 or H200 with what was measured; on a CPU none is reached or missed."""
    from gpu_speed import AUTHORS, LOADER, STEP, TRAINERS

    def speed(section: str, start: str, figure: str = "pairs_per_s") -> float | None:
        found = [
            row.figures[figure]
            for row in rows
            if row.section == section and row.name.startswith(start) and row.figures.get(figure)
        ]
        return max(found, default=None)

    def ratios(section: str, ours: str, others: Sequence[str], batches: Sequence[int]) -> float | None:
        found = []
        for batch in batches:
            mine = speed(section, f"{ours}, batch {batch}")
            theirs = [value for other in others if (value := speed(section, f"{other}, batch {batch}"))]
            found += [mine / max(theirs)] if mine and theirs else []
        return min(found, default=None)

    scale, read, eaten = bench.scale, speed(LOADER, ""), speed(STEP, "")
    measured = {
        f"MFU in bf16 at batch {scale.middle}": (_AIMS["mfu"], speed(STEP, f"bf16, batch {scale.middle}", "mfu")),
        "times the authors' fp32 step": (_AIMS["authors"], ratios(AUTHORS, "mlctl, bf16", ["authors, fp32"], scale.authors)),
        "times sentence-transformers' trainer, the faster of its losses": (
            _AIMS["trainers"],
            ratios(TRAINERS, "mlctl", ["MNRL", "CachedMNRL"], scale.trainers),
        ),
        "times the fastest step: the loader": (_AIMS["loader"], read / eaten if read and eaten else None),
    }
    return [
        {"aim": f"≥ {least:g} {name}", "measured": value, "reached": value >= least if value and bench.is_gpu else None}
        for name, (least, value) in measured.items()
    ]


def _about(bench: Any) -> dict[str, Any]:
    import torch
    import transformers

    import mlctl

    gpu = torch.cuda.get_device_name(bench.device) if bench.is_gpu else None
    return {
        "device": gpu or f"CPU ({platform.machine()}), small amounts: no measurement of a GPU",
        "cuda": torch.version.cuda if bench.is_gpu else None,
        "encoder": f"{bench.scale.geometry}, random weights",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "mlctl": mlctl.__version__,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="deadline of the whole run")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="smallest amounts: only shows that everything runs")
    parser.add_argument(
        "--kit", type=Path, metavar="FOLDER", help="pack what a machine without network needs into FOLDER, and end"
    )
    parser.add_argument("--python", default=".".join(map(str, sys.version_info[:2])), help="Python version of that machine")
    return parser.parse_args()


if __name__ == "__main__":
    main()
