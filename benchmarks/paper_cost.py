"""Cost of `mlctl run paper`, computed from throughput that is measured on this machine.

    python benchmarks/paper_cost.py [--quick] [--device cpu|cuda]

Times three operations with an encoder of mBERT's size and random weights, on generated rows with the lengths of real text: training
steps with the recipe's settings, fine-tuning steps, and the encoding of sentences. Multiplied by the recipe's amounts they give hours: on
a GPU, hours of that GPU; on a CPU, CPU hours of one core (time of other programs does not count), in the recipe's fp32 and in bf16.
Downloading, cleaning, aligning and sharding are not included. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contenders import Geometry, Ours
from made_shards import write_shards

from mlctl import recipes
from mlctl.config import Recipe, load, resolve_train
from mlctl.evaluation.finetuning.features import Row
from mlctl.evaluation.finetuning.predict import predict_labels
from mlctl.evaluation.finetuning.trainer import Budget, fine_tune
from mlctl.modeling.encoders import load_classifier

BASE = Geometry(12, 768)
#: English fine-tuning examples of each task, and their subwords; test sentences in all languages (BUCC: dev and test, both sides).
FINE_TUNED = {"xnli": (392_702, 40), "pawsx": (49_401, 60), "udpos": (21_253, 30), "panx": (20_000, 14)}
TESTED = {"xnli": (75_150, 45), "pawsx": (14_000, 60), "udpos": (100_000, 30), "panx": (340_000, 14), "tatoeba": (66_000, 12)}
MINED = {"bucc": (3_000_000, 35)}
MODELS = 2  # base and trained

Clock = Callable[[], float]


def main() -> None:
    options = _options()
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    recipe = load(recipes.find("paper"))
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as workdir:
        shards = write_shards(Path(workdir) / "shards", 2000, BASE.types)
        for precision in ("fp32", "bf16"):
            rate = training_rate(recipe, shards, device, precision, options.quick)
            figures[f"pairs_per_second_{precision}"] = rate
            figures[f"training_hours_{precision}"] = recipe.train.steps * recipe.train.batch_size / rate / 3600
        tokens = tuned_and_asked(Path(workdir), device, options.quick)
    fine_tuning_tokens = sum(count * length * _epochs(recipe, task) for task, (count, length) in FINE_TUNED.items())
    figures["fine_tuning_hours"] = MODELS * len(recipe.evaluate.seeds) * fine_tuning_tokens / tokens[0] / 3600
    encoded_tokens = sum(count * length for count, length in TESTED.values()) * len(recipe.evaluate.seeds) + sum(
        c * n for c, n in MINED.values()
    )
    figures["answering_hours"] = MODELS * encoded_tokens / tokens[1] / 3600
    device_name = torch.cuda.get_device_name() if device.type == "cuda" else "one core of this CPU"
    print(
        f"`mlctl run paper` on {device_name}, {recipe.train.steps * recipe.train.batch_size:,} pairs, {len(recipe.evaluate.seeds)} seeds"
    )
    for name, value in figures.items():
        print(f"    {name.replace('_', ' '):28} {value:12,.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def training_rate(recipe: Recipe, shards: Path, device: torch.device, precision: str, quick: bool) -> float:
    """Return the pairs per second of the recipe's training step; on a CPU of a smaller batch."""
    cpu = device.type == "cpu"
    changes = {
        "precision": precision,
        "devices": device.type,
        **({"batch_size": 16 if quick else 64} if cpu else {}),
    }
    settings = resolve_train(recipe.train.model_validate({**recipe.train.model_dump(), **changes}), "masked-lm")
    step = Ours(BASE.model(), settings, shards, device)
    return settings.batch_size / _median(_seconds(step, (1 if quick else 3) if cpu else 20, device))


def tuned_and_asked(place: Path, device: torch.device, quick: bool) -> tuple[float, float]:
    """Return the tokens per second of fine-tuning and of encoding."""
    BASE.model().bert.save_pretrained(place / "encoder")
    model, count = load_classifier(place / "encoder", 3, "classifier", 0).to(device), 3 if quick or device.type == "cpu" else 50
    rows, clock, ticks = _rows(32 * count, 40), _clock(device), list[float]()

    def tick(*_: Any, **__: Any) -> None:
        ticks.append(clock())

    fine_tune(model, rows, "classifier", Budget(1, 32, 2e-5), 0, place / "scratch", 0, None, tick)
    learned = 32 * 40 / _median([later - sooner for sooner, later in itertools.pairwise(ticks)])
    model.eval()
    answered = _seconds(lambda _: predict_labels(model, rows[:64], 0, 64), 3, device)
    return learned, 64 * 40 / _median(answered)


def _rows(count: int, length: int) -> list[Row]:
    ids = torch.randint(1000, BASE.types, (count, length), generator=torch.Generator().manual_seed(0)).tolist()
    return [Row(token_ids, [0] * length, [number % 3], number) for number, token_ids in enumerate(ids)]


def _epochs(recipe: Recipe, task: str) -> int:
    return next(int(getattr(entry, "epochs", 0)) for entry in recipe.evaluate.benchmarks if entry.name == task)


def _seconds(work: Callable[[int], object], rounds: int, device: torch.device) -> list[float]:
    """Return the seconds of each round except the first."""
    clock, durations = _clock(device), []
    for number in range(rounds + 1):
        started = clock()
        work(number)
        durations.append(clock() - started)
    return durations[1:]


def _clock(device: torch.device) -> Clock:
    def synchronised_time() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised_time if device.type == "cuda" else time.process_time


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    return parser.parse_args()


if __name__ == "__main__":
    main()
