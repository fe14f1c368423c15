"""Sentences a second of the Tatoeba benchmark, side by side with XTREME's script and with mteb, on the same encoder and machine.

    python benchmarks/judging.py --encoder FOLDER [--data DIR] [--quick] [--mteb PYTHON] [--prefix TEXT] [--threads N]

DIR has the files tatoeba.XXX-eng.*; FOLDER is a Hugging Face encoder. Sentence vectors are the mean of the last layer everywhere; loading the
encoder is not timed. We are timed in bf16 (`evaluate.precision`), which the figures are of, and in fp32; the others compute in fp32, as
they do by themselves. `tatoeba_difference` shows what bf16 does to the accuracy. What XTREME does is written anew here after its released script: a language at a time, sentences tokenised
one by one, batches of 100 in the order of the file padded to their longest, means of all twelve layers, exact search. mteb runs itself, in the
interpreter PYTHON that can import it; its accuracy (not its F1) is compared with ours. What is not there is left out. `--quick` takes
some hundred sentences of each of some languages. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlctl.config import Evaluate
from mlctl.evaluation import Parts
from mlctl.evaluation.heldout import Heldout, Side
from mlctl.evaluation.subject import Subject
from mlctl.evaluation.tasks import open_task
from mlctl.evaluation.tasks.tatoeba import CARD
from mlctl.modeling.pooling import FIRST_AND_LAST
from mlctl.textfiles import lines

QUICK_CODES = "deu fra rus cmn swh tam jpn tur".split()
QUICK_PAIRS = 60
ROUNDS = 2  # of all sides in turn; the fastest counts, as other work on the machine only ever slows one down
XTREME_BATCH = 100
XTREME_LENGTH = 510  # and two special tokens
OURS, XTREME, MTEB = "mlctl, bf16", "XTREME's script", "mteb"
NOBODY = Heldout("", Side((), (), ()), Side((), (), ()), ())


@dataclass(frozen=True)
class Found:
    """Accuracy by language (foreign to English), sentences of both sides and the seconds they took."""

    accuracy: dict[str, float]
    sentences: int
    seconds: float

    @property
    def speed(self) -> float:
        return self.sentences / self.seconds

    @property
    def mean(self) -> float:
        return sum(self.accuracy.values()) / len(self.accuracy)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        data = _chosen(options, Path(scratch))
        sides: dict[str, Callable[[], Found]] = {
            OURS: lambda: ours(options, data, "bf16"),
            "mlctl, fp32": lambda: ours(options, data, "fp32"),
            XTREME: lambda: xtreme(options, data),
        }
        if options.mteb:
            sides[MTEB] = lambda: mteb(options, data)
        rounds = [{name: side() for name, side in sides.items()} for _ in range(ROUNDS)]
    found = {name: min((one[name] for one in rounds), key=lambda one: one.seconds) for name in sides}
    _show(found)
    print(json.dumps(_figures(found)))


def ours(options: argparse.Namespace, data: Path, precision: str) -> Found:
    """Judge every language as the stage does."""
    entry = {"name": "tatoeba", "source": {"kind": "folder", "path": str(data)}}
    settings = Evaluate(benchmarks=[entry], pooling="last", prefix=options.prefix, precision=precision, device="cpu")
    task = open_task(settings.benchmarks[0])
    subject = Subject("base", options.encoder, options.encoder, settings, Parts(data / "parts"), NOBODY, FIRST_AND_LAST)
    subject.vectors(["warm"])
    started = time.perf_counter()
    outcomes = {language: task.judge(subject, language, None)[0] for language in task.languages}
    seconds = time.perf_counter() - started
    accuracy = {language: outcome.figures["accuracy"] for language, outcome in outcomes.items()}
    return Found(accuracy, sum(2 * len(outcome.items) for outcome in outcomes.values()), seconds)


def xtreme(options: argparse.Namespace, data: Path) -> Found:
    """Do what XTREME's evaluate_retrieval.py does, as far as it is timed; the search here is numpy's product, which takes next to nothing."""
    from mlctl.modeling.encoders import load_encoder, load_tokenizer

    encoder, tokenizer = load_encoder(options.encoder), load_tokenizer(options.encoder)
    _all_layers(encoder, tokenizer, ["warm"])
    sides = [(code, *(lines(data / f"tatoeba.{code}-eng.{side}") for side in (code, "eng"))) for code in _codes(data)]
    started, accuracy = time.perf_counter(), {}
    for code, texts, english in sides:
        left, right = (_all_layers(encoder, tokenizer, [options.prefix + text for text in side])[-1] for side in (texts, english))
        left, right = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (left, right))
        accuracy[code] = float(((left @ right.T).argmax(1) == np.arange(len(left))).mean())
    seconds = time.perf_counter() - started
    return Found(accuracy, sum(len(texts) + len(english) for _, texts, english in sides), seconds)


@torch.no_grad()
def _all_layers(encoder: Any, tokenizer: Any, texts: Sequence[str]) -> list[np.ndarray]:
    tokens = [tokenizer.tokenize(text)[:XTREME_LENGTH] for text in texts]
    marked = [[tokenizer.cls_token, *each, tokenizer.sep_token] for each in tokens]
    layers: list[list[np.ndarray]] = [[] for _ in range(encoder.config.num_hidden_layers)]
    for first in range(0, len(tokens), XTREME_BATCH):
        batch = [tokenizer.convert_tokens_to_ids(each) for each in marked[first : first + XTREME_BATCH]]
        width = max(map(len, batch))
        ids = torch.tensor([[*each, *[tokenizer.pad_token_id] * (width - len(each))] for each in batch])
        mask = torch.tensor([[1] * len(each) + [0] * (width - len(each)) for each in batch])
        states = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        for found, state in zip(layers, states[1:], strict=True):
            found.append(((state * mask[:, :, None].float()).sum(1) / mask.sum(1)[:, None].float()).numpy())
    return [np.concatenate(found) for found in layers]


def mteb(options: argparse.Namespace, data: Path) -> Found:
    """Let mteb judge the same files, in its own interpreter."""
    given = {
        "encoder": str(options.encoder),
        "data": str(data),
        "codes": _codes(data),
        "prefix": options.prefix,
        "threads": options.threads,
    }
    done = subprocess.run([options.mteb, "-c", MTEB_PROGRAM, json.dumps(given)], check=True, capture_output=True, text=True)
    return Found(**json.loads(done.stdout.splitlines()[-1]))


MTEB_PROGRAM = """
import json, sys, time
from pathlib import Path
import datasets, mteb, torch
from sentence_transformers import SentenceTransformer, models
given = json.loads(sys.argv[1])
torch.set_num_threads(given["threads"])
body = models.Transformer(given["encoder"])
encoder = SentenceTransformer(modules=[body, models.Pooling(body.get_word_embedding_dimension())], device="cpu")
read = lambda code, side: Path(given["data"], f"tatoeba.{code}-eng.{side}").read_text(encoding="utf-8").removesuffix("\\n").split("\\n")
pairs = {code: [[given["prefix"] + text for text in read(code, side)] for side in (code, "eng")] for code in given["codes"]}
task = mteb.get_task("Tatoeba", hf_subsets=[f"{code}-eng" for code in pairs])
task.dataset = {f"{code}-eng": {"test": datasets.Dataset.from_dict({"sentence1": a, "sentence2": b})} for code, (a, b) in pairs.items()}
task.data_loaded = True
model = mteb.models.SentenceTransformerEncoderWrapper(encoder)
encoder.encode(["warm"])
started = time.perf_counter()
scores = task.evaluate(model, "test", encode_kwargs={"batch_size": 32})
seconds = time.perf_counter() - started
accuracy = {name.removesuffix("-eng"): found["accuracy"] for name, found in scores.items()}
print(json.dumps({"accuracy": accuracy, "sentences": sum(2 * len(a) for a, _ in pairs.values()), "seconds": seconds}))
"""


def _chosen(options: argparse.Namespace, folder: Path) -> Path:
    """Lay XTREME's languages, or some sentences of some of them, into a folder: every side reads the same files."""
    codes = [code for code in _codes(options.data) if not options.quick or code in QUICK_CODES]
    known = {language for code in codes for language in _tags(code) if language in CARD.languages}
    for code in codes:
        if known & set(_tags(code)) and len(code) == 3:
            for side in (code, "eng"):
                text = lines(options.data / f"tatoeba.{code}-eng.{side}")[: QUICK_PAIRS if options.quick else None]
                (folder / f"tatoeba.{code}-eng.{side}").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def _codes(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[1].removesuffix("-eng") for path in folder.glob("tatoeba.*-eng.eng"))


def _tags(code: str) -> list[str]:
    from mlctl import languages

    return [languages.canonical(code)] if languages.is_language(code) else []


def _figures(found: dict[str, Found]) -> dict[str, float | None]:
    mine, peer = found[OURS], found.get(MTEB)
    return {
        "speedup_over_xtreme": round(mine.speed / found[XTREME].speed, 2),
        "speedup_over_mteb": round(mine.speed / peer.speed, 2) if peer else None,
        "tatoeba_difference": round(mine.mean - peer.mean, 6) if peer else None,
    }


def _show(found: dict[str, Found]) -> None:
    print(
        f"{'':18} {'sentences':>9} {'seconds':>8} {'per second':>10} {'accuracy':>9}   xx→en, mean of {len(found[OURS].accuracy)} languages"
    )
    for name, one in found.items():
        print(f"{name:18} {one.sentences:9,} {one.seconds:8.1f} {one.speed:10.1f} {100 * one.mean:8.2f}%")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("shared/data/tatoeba"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mteb", help="interpreter that can import mteb")
    parser.add_argument("--prefix", default="", help="text before every sentence")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
