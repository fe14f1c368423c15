"""Translation speed: the translate stage with ctranslate2 (int8, fp32), ctranslate2 directly, and transformers.generate.

    python benchmarks/translation.py [--quick] [--model FOLDER --text FILE] [--device cpu|cuda]

All translate the same sentences with the same model. Without --model, a Marian model of the usual geometry is constructed (512 × 6+6,
65 k tokens; with --device cuda that of a 600M model) whose weights are set so that it translates word by word. It does the same work as
a trained model, ends its sentences correctly, and the reference is known, so that chrF shows the loss from int8. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ctranslate2
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sacrebleu.metrics.chrf import CHRF
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from word_model import LARGE, MOST_TOKENS, SMALL, USUAL, build, sentences

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.core.workspace import Workspace
from mlctl.translation import ctranslate2_conversion, models, translate

TARGET = "tlh"  # the generated words are in no language that could be identified by its letters
NAIVE_BATCH = 32


@dataclass(frozen=True)
class Task:
    """A model, source sentences and reference translations."""

    folder: Path
    texts: list[str]
    references: list[str]


@dataclass(frozen=True)
class Outcome:
    """Translations, with their number of tokens and the seconds they took."""

    translations: list[str]
    tokens: int
    seconds: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


# --- implementations ----------------------------------------------------------------------------------------------------------


def timed(task: Task, work: Callable[[], list[str]]) -> Outcome:
    start = time.perf_counter()
    translations = work()
    seconds = time.perf_counter() - start
    tokenizer = AutoTokenizer.from_pretrained(task.folder)
    return Outcome(translations, sum(len(ids) for ids in tokenizer(text_target=translations)["input_ids"]), seconds)


def run_transformers(task: Task, device: str) -> Outcome:
    """Call generate in the usual way: in file order, padded, on all cores."""
    tokenizer = AutoTokenizer.from_pretrained(task.folder)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForSeq2SeqLM.from_pretrained(task.folder, dtype=dtype).to(device).eval()

    def work() -> list[str]:
        translations = []
        for start in range(0, len(task.texts), NAIVE_BATCH):
            batch = tokenizer(task.texts[start : start + NAIVE_BATCH], padding=True, return_tensors="pt").to(device)
            with torch.inference_mode():
                generated = model.generate(**batch, num_beams=1, do_sample=False, max_new_tokens=MOST_TOKENS)
            translations += tokenizer.batch_decode(generated, skip_special_tokens=True)
        return translations

    return timed(task, work)


def run_ctranslate2(task: Task, settings: Translate, cache: Path, precision: str) -> Outcome:
    """Call ctranslate2 as its documentation advises: one call for all sentences, which it sorts and batches."""
    model_folder = ctranslate2_conversion.convert(task.folder, precision, cache)
    on_gpu = settings.device != "cpu"
    threads = {} if on_gpu else {"inter_threads": len(os.sched_getaffinity(0)), "intra_threads": 1}

    def work() -> list[str]:
        tokenizer = AutoTokenizer.from_pretrained(task.folder)
        translator = ctranslate2.Translator(
            str(model_folder),
            device="cuda" if on_gpu else "cpu",
            compute_type=ctranslate2_conversion.COMPUTE_TYPES[precision],
            **threads,
        )
        tokens = [tokenizer.convert_ids_to_tokens(ids) for ids in tokenizer(task.texts)["input_ids"]]
        results = translator.translate_batch(
            tokens,
            max_batch_size=models.batch_tokens(settings, "cuda" if on_gpu else "cpu"),
            batch_type="tokens",
            beam_size=1,
            max_input_length=0,
            max_decoding_length=MOST_TOKENS,
        )
        return [
            tokenizer.decode(tokenizer.convert_tokens_to_ids(result.hypotheses[0]), skip_special_tokens=True)
            for result in results
        ]

    return timed(task, work)


def run_stage(task: Task, settings: Translate, cache: Path, precision: str, scratch: Path) -> Outcome:
    """Run the translate stage with an empty translation memory; reading and writing are timed."""
    ctranslate2_conversion.convert(task.folder, precision, cache)  # once per model: not timed
    (scratch / "cleaned" / "untranslated").mkdir(parents=True)
    rows = [row(text, number) for number, text in enumerate(task.texts)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.PAIR), scratch / "cleaned" / "untranslated" / f"{TARGET}.parquet")
    workspace = Workspace(scratch / "work")
    changed = settings.model_copy(update={"precision": precision})

    def work() -> list[str]:
        translate(
            changed, Languages(targets=(TARGET,)), scratch / "cleaned", workspace, memory=scratch / "memory.sqlite", cache=cache
        )
        files = sorted(workspace.path(f"pairs/{TARGET}").glob("*.parquet"))
        by_row = {origin: target for file in files for origin, target in zip(*columns(file), strict=True)}
        return [by_row.get(str(number), "") for number in range(len(task.texts))]

    try:
        return timed(task, work)
    finally:
        shutil.rmtree(scratch)


def columns(file: Path) -> Iterator[list[Any]]:
    table = pq.read_table(file, columns=["origin", "target"])
    return (table[name].to_pylist() for name in ("origin", "target"))


def row(text: str, number: int) -> dict[str, Any]:
    fixed = {"source_language": "en", "target_language": TARGET, "corpus": "made", "version": "1", "licence": "CC0-1.0"}
    return {**fixed, "source": text, "target": None, "origin": str(number), "synthetic": ""}


# --- comparison ------------------------------------------------------------------------------------------------------------


def chrf(outcome: Outcome, task: Task) -> float:
    return float(CHRF().corpus_score(outcome.translations, [task.references]).score)


def fastest(tries: int, works: dict[str, Callable[[], Outcome]]) -> dict[str, Outcome]:
    """Return the fastest round of each; they alternate, so that other load affects all of them."""
    outcomes_of: dict[str, list[Outcome]] = {name: [] for name in works}
    for _ in range(tries):
        for name, work in works.items():
            outcomes_of[name].append(work())
            print(f"  {name}: {outcomes_of[name][-1].speed:,.0f} tokens/s", flush=True)
    return {name: min(outcomes, key=lambda outcome: outcome.seconds) for name, outcomes in outcomes_of.items()}


def settings_for(task: Task, device: str) -> Translate:
    return Translate(backend="ctranslate2", model=str(task.folder), device=device, max_tokens=MOST_TOKENS, max_faulty=1.0)


def compare(task: Task, settings: Translate, scratch: Path, precisions: Sequence[str]) -> dict[str, Outcome]:
    """Translate the same sentences with the stage and with transformers."""
    works = {"transformers": lambda: run_transformers(task, settings.device)}
    for precision in precisions:
        works[f"stage {precision}"] = partial(run_stage, task, settings, scratch / "converted", precision, scratch / "stage")
    return print_table(task, fastest(1, works))


def overhead(task: Task, settings: Translate, scratch: Path, precision: str, tries: int) -> dict[str, Outcome]:
    """Translate the same sentences with the stage and with ctranslate2 directly."""
    works = {
        "stage": partial(run_stage, task, settings, scratch / "converted", precision, scratch / "stage"),
        "bare": partial(run_ctranslate2, task, settings, scratch / "converted", precision),
    }
    outcomes = print_table(task, fastest(tries, works))
    same = sum(
        stage_text == bare_text
        for stage_text, bare_text in zip(outcomes["stage"].translations, outcomes["bare"].translations, strict=True)
    )
    print(f"{same} of {len(task.texts)} sentences are identical (the batches are not)\n")
    return outcomes


def print_table(task: Task, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    print(f"\n{len(task.texts)} sentences\n{'':16}{'tokens/s':>10}{'seconds':>10}{'chrF':>8}")
    for name, outcome in outcomes.items():
        print(f"{name:16}{outcome.speed:>10,.0f}{outcome.seconds:>10.1f}{chrf(outcome, task):>8.2f}")
    return outcomes


def measure(task: Task, scratch: Path, device: str, quick: bool) -> dict[str, float | None]:
    """Run all measurements and return the figures."""
    settings = settings_for(task, device)
    precisions = ("bf16",) if device == "cuda" else ("int8", "fp32")
    stage_name = f"stage {precisions[0]}"
    tenth = Task(task.folder, task.texts[: len(task.texts) // 10], task.references[: len(task.texts) // 10])
    compared = compare(tenth, settings, scratch, precisions)
    bare_comparison = overhead(task, settings, scratch, precisions[0], 2 if quick else 5)
    ratio = round(compared[stage_name].speed / compared["transformers"].speed, 2)
    return {
        "int8_over_transformers": None if device == "cuda" else ratio,
        "overhead_over_bare": round(bare_comparison["stage"].seconds / bare_comparison["bare"].seconds, 3),
        "chrf_difference": round(chrf(compared[stage_name], tenth) - chrf(compared["transformers"], tenth), 3),
        "cuda_tokens_per_second": round(bare_comparison["stage"].speed) if device == "cuda" else None,
    }


def task_of(arguments: argparse.Namespace, scratch: Path, number: int) -> Task:
    if arguments.model:
        texts = arguments.text.read_text(encoding="utf-8").splitlines()[:number]
        references = Path(arguments.right).read_text(encoding="utf-8").splitlines()[:number] if arguments.right else texts
        return Task(arguments.model, texts, references)
    geometry = SMALL if arguments.small else LARGE if arguments.device == "cuda" else USUAL
    words = build(scratch / "model", geometry)
    return Task(scratch / "model", *sentences(*words, number))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer sentences and rounds")
    parser.add_argument("--small", action="store_true", help="a tiny geometry, for testing the script")
    parser.add_argument("--model", type=Path, help="folder of a Hugging Face translation model for one language pair")
    parser.add_argument("--text", type=Path, help="source sentences, one per line")
    parser.add_argument("--right", type=Path, help="reference translations, for chrF")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--sentences",
        type=int,
        default=0,
        help="sentences for the fast implementations, a tenth of them for transformers; 0: 2000 with --quick, otherwise 8000",
    )
    arguments = parser.parse_args()
    if arguments.model and not arguments.text:
        parser.error("--model requires --text")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.WARNING)
    number = arguments.sentences or (2000 if arguments.quick else 8000)
    with tempfile.TemporaryDirectory() as folder:
        task = task_of(arguments, Path(folder), number)
        print(json.dumps(measure(task, Path(folder), arguments.device, arguments.quick)))


if __name__ == "__main__":
    main()
