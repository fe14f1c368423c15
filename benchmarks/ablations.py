"""Ablations of training: recipes × seeds, trained and evaluated under the same conditions.

    python benchmarks/ablations.py --data DIR --out OUT (--scratch | --encoder FOLDER) [--quick] [--list]

DIR has `parallel` (newstest, tico19, multi30k, bible) and optionally `tatoeba`; or it is a store of mlctl, whose newest align result is
used. The text is aligned, tokenised and split into training rows and held-out pairs once for all recipes. Each recipe is then
trained with each seed by mlctl's training and evaluated: sentence and word retrieval among the held-out pairs, and sentence
retrieval on Tatoeba. Each training appends a line to OUT/results.jsonl; trainings with a line are skipped, and an interrupted
training resumes. Running the same command in several terminals distributes the work. The table gives mean ± standard deviation over
seeds; the last line is JSON.

    --variants base,cz-snt,separate   selected recipes (--list shows all)
    --variant "mine:objective=separate,word_pairs=5"   an additional recipe
    --set learning_rate=5e-5          for all recipes that do not set it themselves
    --trim                            reduce the encoder's vocabulary to the subwords of these texts. Without the masked-LM loss, which is
                                      switched off, this changes no score, because embeddings without a gradient do not change. It saves the optimiser
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ablation_data import CORPORA, POOLINGS, Prepared, Task, available_languages, evaluate_encoder, lines, prepare, short_digest
from filelock import FileLock, Timeout

from mlctl.config import ResolvedTrain, Train, key_settings, resolve_train
from mlctl.core.files import discard
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.encoders import scratch_model
from mlctl.modeling.model_export import save_model
from mlctl.modeling.sentence_config import Pooling
from mlctl.training import train

PAPER = {"objective": "joint", "word_pairs": 1}
SENTENCE = {"objective": "sentence", "word_pairs": 1}
SEPARATE = {"objective": "separate", "word_pairs": 3}
ANCHORED = {"temperature": 0.03, "anchor_weight": 10.0}
REFINE = {**SEPARATE, **ANCHORED, "word_temperature": 0.07}
#: Recipes: settings of `train`. The first five are the base model and the paper's recipes.
VARIANTS: dict[str, dict[str, Any] | None] = {
    "base": None,
    "info-snt": {**SENTENCE, "loss": "info-nce"},
    "cz-snt": SENTENCE,
    "ml-ctl-info": {**PAPER, "loss": "info-nce"},
    "ml-ctl-cz": PAPER,
    "joint-3": {**PAPER, "word_pairs": 3},
    "separate": SEPARATE,
    "separate-1": {**SEPARATE, "word_pairs": 1},
    "light-words": {**SEPARATE, "word_weight": 0.3},
    "info": {**SEPARATE, "loss": "info-nce"},
    "info-words": {**SEPARATE, "word_loss": "info-nce"},
    "info-sentences": {**SEPARATE, "loss": "info-nce", "word_loss": "cz-nce"},
    "warm-words": {**SEPARATE, "word_temperature": 0.1},
    "learned-temperature": {**SEPARATE, "temperature_mode": "learned"},
    "learned-temperature-info": {**SEPARATE, "loss": "info-nce", "temperature_mode": "learned"},
    "falling-temperature": {**SEPARATE, "temperature": 0.1, "temperature_mode": "linear", "final_temperature": 0.05},
    "cosine": {**SEPARATE, "lr_schedule": "cosine"},
    "languages-0.3": {**SEPARATE, "language_alpha": 0.3},
    "near-left-out": {**SEPARATE, "false_negative_similarity": 0.95},
    "no-hard-words": {**SEPARATE, "hard_word_negatives": False},
    "no-same-words": {**SEPARATE, "same_word_negatives": False},
    "last-layer": {**SEPARATE, "layers": "last"},
    "all-layers": {**SEPARATE, "layers": "all"},
    "anchored": {**SEPARATE, "anchor_weight": 1.0},
    "mlm": {**SEPARATE, "mlm_weight": 0.1},
    "tlm": {**SEPARATE, "mlm_weight": 0.1, "tlm_share": 1.0},
    "mlm-tlm": {**SEPARATE, "mlm_weight": 0.1, "tlm_share": 0.5},
    "refine": REFINE,
    "refine-sentences": {**SENTENCE, **ANCHORED},
    "refine-joint": {**PAPER, **ANCHORED},
    "refine-joint-3": {**PAPER, **ANCHORED, "word_pairs": 3},
}
QUICK, QUICK_LANGUAGES = ("base", "cz-snt", "ml-ctl-cz", "separate"), ("de", "fr")
SCORES = ("sentence", "word", "tatoeba")
CHECKPOINT_SECONDS = 600.0


@dataclass(frozen=True)
class Options:
    task: Task
    variants: dict[str, dict[str, Any] | None]
    common: dict[str, Any]
    seeds: int
    device: str
    judge_bf16: bool
    show: bool


# Training.


def settings_of(options: Options, changes: dict[str, Any]) -> ResolvedTrain:
    fixed = {"checkpoint_seconds": CHECKPOINT_SECONDS, "keep_checkpoints": 1, "trackers": (), "devices": options.device}
    forced = {"mlm_weight": 0.0} if options.task.trim else {}
    values = {**fixed, **options.common, **changes, **forced}
    return resolve_train(Train.model_validate(values), "masked-lm")  # of any model, so that settings are compared alike


def run_training(options: Options, prepared: Prepared, name: str, changes: dict[str, Any] | None, seed: int) -> dict[str, Any]:
    """Train (except for the base model) and evaluate; the folder of the training is removed."""
    folder = options.task.out / "runs" / f"{name}-{seed}-{key_of(options, prepared, changes)}"
    began = time.perf_counter(), time.process_time()
    figures: dict[str, Any] = {}
    if changes is None:
        model = base_model(prepared, seed, folder)
    else:
        figures = train(settings_of(options, changes), prepared.model, seed, prepared.rows, Workspace(folder), show(name, seed))
        model = folder / "model"
    elapsed = time.perf_counter() - began[0], time.process_time() - began[1]
    scores = evaluate_encoder(model, prepared.items, options.device, options.judge_bf16)
    return {**scores, "loss": figures.get("loss"), "seconds": round(elapsed[0], 1), "cpu_seconds": round(elapsed[1], 1)}


def base_model(prepared: Prepared, seed: int, folder: Path) -> Path:
    if prepared.model.name:
        return Path(prepared.model.name)
    network = scratch_model(prepared.model.scratch, prepared.rows / "tokenizer", 0, seed)
    discard(folder / "model")
    save_model(network, prepared.rows / "tokenizer", folder / "model", Pooling((1, network.config.num_hidden_layers)))
    return folder / "model"


def show(name: str, seed: int) -> Any:
    started, last_printed = time.monotonic(), [time.monotonic()]

    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if time.monotonic() - last_printed[0] > 60:
            last_printed[0] = time.monotonic()
            print(
                f"    {name}, seed {seed}: {done} of {total} {unit}, {last_printed[0] - started:.0f} s, loss {figures.get('loss')}",
                flush=True,
            )

    return progress


def key_of(options: Options, prepared: Prepared, changes: dict[str, Any] | None) -> str:
    """Return a digest of everything that can change the result of a training: settings, rows and model."""
    settings = "base" if changes is None else key_settings(settings_of(options, changes))
    return short_digest(prepared.digest, settings, *(["bf16"] * options.judge_bf16))


def load_results(options: Options) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the results so far; a line that a crash truncated is skipped."""
    file, results = options.task.out / "results.jsonl", {}
    for line in lines(file) if file.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        results[row["key"], row["seed"]] = row
    return results


def run_all(options: Options, prepared: Prepared) -> None:
    (options.task.out / "runs").mkdir(exist_ok=True)
    for seed in range(options.seeds):
        for name, changes in options.variants.items():
            key = key_of(options, prepared, changes)
            folder = options.task.out / "runs" / f"{name}-{seed}-{key}"
            if (key, seed) in load_results(options) or (changes is None and prepared.model.name and seed):
                continue
            try:
                with FileLock(f"{folder}.lock", timeout=0):
                    if (key, seed) not in load_results(options):
                        record_result(
                            options,
                            {
                                "variant": name,
                                "seed": seed,
                                "key": key,
                                "settings": changes,
                                **train_and_evaluate(options, prepared, name, changes, seed),
                            },
                        )
                    shutil.rmtree(folder, ignore_errors=True)
            except Timeout:
                print(f"    {name}, seed {seed}: in progress in another process", flush=True)


def train_and_evaluate(
    options: Options, prepared: Prepared, name: str, changes: dict[str, Any] | None, seed: int
) -> dict[str, Any]:
    try:
        return run_training(options, prepared, name, changes, seed)
    except InputError as error:
        if "training diverged" not in error.problem:
            raise
        return {"failed": error.problem}


def record_result(options: Options, row: dict[str, Any]) -> None:
    row = {**row, "common": options.common, "encoder": str(options.task.encoder or "scratch")}
    with (options.task.out / "results.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n" * needs_end(options.task.out / "results.jsonl") + json.dumps(row) + "\n")
    scores = "  ".join(
        f"{name} {row[name]:.1f}" for score in SCORES for name in (f"{score}.pooled", f"{score}.last") if name in row
    )
    print(f"    {row['variant']}, seed {row['seed']}: {row.get('failed') or scores}  ({row.get('seconds', 0)} s)", flush=True)


def needs_end(file: Path) -> bool:
    """Return whether a crash has left an incomplete last line."""
    content = file.read_bytes() if file.exists() else b""
    return bool(content) and not content.endswith(b"\n")


# The table.


def table(options: Options, prepared: Prepared) -> dict[str, Any]:
    """Print mean ± standard deviation over seeds for each recipe as a Markdown table; return both as numbers."""
    results, summary = load_results(options), {}
    columns = [f"{score}.{pooling}" for pooling in POOLINGS for score in SCORES]
    print(
        "\naccuracy in %, mean ± standard deviation over seeds; pooled: first and last layer (or the layers of the recipe), last: last layer\n"
    )
    line("recipe", "seeds", *columns, "CPU s")
    line(*["---"] * (len(columns) + 3))
    for name, changes in options.variants.items():
        key = key_of(options, prepared, changes)
        rows = [row for (row_key, seed), row in results.items() if row_key == key and seed < options.seeds]
        completed = [row for row in rows if "failed" not in row]
        summary[name] = {column: spread([row[column] for row in completed if column in row]) for column in columns}
        count = f"{len(completed)}, {len(rows) - len(completed)} diverged" if len(completed) < len(rows) else str(len(completed))
        seconds = statistics.mean(row["cpu_seconds"] for row in completed) if completed else 0
        line(name, count, *(format_cell(cell) for cell in summary[name].values()), f"{seconds:.0f}")
    return summary


def line(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def spread(values: Sequence[float]) -> tuple[float, float | None] | None:
    """Return mean and standard deviation; for a single value the latter is None."""
    return (statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None) if values else None


def format_cell(cell: tuple[float, float | None] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell[0]:.1f}" if cell[1] is None else f"{cell[0]:.1f} ± {cell[1]:.1f}"


# The command line.


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with parallel and tatoeba, or a store of mlctl")
    parser.add_argument("--out", type=Path, default=Path("ablations"), help="output folder (ablations)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--encoder", type=Path, help="folder of a Hugging Face encoder or masked-language model")
    start.add_argument("--scratch", action="store_true", help="a BERT of 2 layers of 192 with random weights (the default)")
    parser.add_argument("--languages", type=names, help="languages besides English, e.g. de,fr (all languages of the corpora)")
    parser.add_argument("--tatoeba", type=names, help="languages evaluated on Tatoeba (the same)")
    parser.add_argument("--corpora", type=names, default=CORPORA, help=f"corpora, in this order ({','.join(CORPORA)})")
    parser.add_argument("--pairs", type=int, help="maximum pairs per language, 0: all (20000)")
    parser.add_argument(
        "--characters", type=int, default=0, help="maximum characters of a sentence, 0: any; short ones cost less (0)"
    )
    parser.add_argument("--variants", type=names, help="recipes, e.g. base,cz-snt (all)")
    parser.add_argument(
        "--variant", type=variant_of, action="append", default=[], metavar="NAME:K=V,K=V", help="an additional recipe"
    )
    parser.add_argument("--set", type=setting_of, action="append", default=[], metavar="K=V", help="a setting for all recipes")
    parser.add_argument("--seeds", type=int, help="(5)")
    parser.add_argument("--steps", type=int, help="(250)")
    parser.add_argument("--batch", type=int, default=64, help="pairs per step (64)")
    parser.add_argument("--max-length", type=int, default=96, help="maximum subwords of a sentence (96)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--judge-bf16", action="store_true", help="evaluate in bf16: about three times as fast on a CPU that supports it"
    )
    parser.add_argument("--trim", action="store_true", help="reduce the encoder's vocabulary; no masked-LM loss")
    parser.add_argument("--quick", action="store_true", help="a few recipes, one seed, 60 steps, little text")
    parser.add_argument("--show", action="store_true", help="train nothing; print the table of existing results")
    parser.add_argument("--list", action="store_true", help="list the recipes and exit")
    parsed = parser.parse_args()
    variants = variants_of(parser, parsed)
    if parsed.data is None:
        parser.error("--data is required")
    defaults = {"seeds": 1, "steps": 60, "pairs": 4000} if parsed.quick else {"seeds": 5, "steps": 250, "pairs": 20_000}
    for name, value in defaults.items():
        setattr(parsed, name, value if getattr(parsed, name) is None else getattr(parsed, name))
    return Options(task_of(parsed), variants, common_of(parsed), parsed.seeds, parsed.device, parsed.judge_bf16, parsed.show)


def task_of(parsed: argparse.Namespace) -> Task:
    available = available_languages(parsed.data, parsed.corpora)
    quick = tuple(language for language in QUICK_LANGUAGES if language in available) or available[:2]
    languages = parsed.languages or (quick if parsed.quick else available)
    encoder = parsed.encoder and parsed.encoder.resolve()
    folders = parsed.data.resolve(), parsed.out.resolve(), encoder
    text = parsed.corpora, parsed.pairs, parsed.characters
    return Task(*folders, languages, parsed.tatoeba or languages, *text, parsed.max_length, parsed.trim)


def variants_of(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> dict[str, dict[str, Any] | None]:
    variants = {**VARIANTS, **dict(parsed.variant)}
    if parsed.list:
        print("\n".join(f"{name:26}{changes or 'the base model'}" for name, changes in variants.items()))
        raise SystemExit(0)
    requested = [*(parsed.variants or (QUICK if parsed.quick else VARIANTS)), *dict(parsed.variant)]
    if unknown := [name for name in requested if name not in variants]:
        parser.error(f"no recipe {', '.join(unknown)}; known: {', '.join(variants)}")
    return {name: variants[name] for name in requested}


def common_of(parsed: argparse.Namespace) -> dict[str, Any]:
    rate = 3e-5 if parsed.encoder else 1e-3
    common = {"steps": parsed.steps, "batch_size": parsed.batch, "threads": parsed.threads}
    return {**common, "learning_rate": rate, "warmup_steps": parsed.steps // 10, "lr_schedule": "linear", **dict(parsed.set)}


def names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def variant_of(text: str) -> tuple[str, dict[str, Any]]:
    name, _, settings = text.partition(":")
    return name, dict(map(setting_of, settings.split(",")))


def setting_of(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, yaml.safe_load(value)  # YAML 1.1 reads 5e-5 as a string; pydantic converts it to a number


def main() -> None:
    options = arguments()
    for changes in options.variants.values():
        settings_of(options, changes or {})  # report wrong settings before any work
    prepared = prepare(options.task)
    tatoeba = f"{len(prepared.items.tatoeba)} languages on Tatoeba" if prepared.items.tatoeba else "no Tatoeba"
    print(f"{len(options.variants)} recipes × {options.seeds} seeds, {', '.join(options.task.languages)}, {tatoeba}", flush=True)
    if not options.show:
        run_all(options, prepared)
    print(json.dumps(table(options, prepared)))


if __name__ == "__main__":
    main()
