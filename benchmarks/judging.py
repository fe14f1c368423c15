"""Sentences per second of the Tatoeba benchmark, compared with XTREME's script and with mteb on the same encoder and machine.

    python benchmarks/judging.py --encoder FOLDER [--data DIR] [--pairs N | --quick] [--peers PYTHON] [--xtreme FOLDER] [--prefix TEXT] [--threads N]

DIR has the files tatoeba.XXX-eng.*; FOLDER is a Hugging Face encoder. PYTHON is an interpreter with mteb, sentence-transformers and
faiss-cpu; `--xtreme` is a checkout of github.com/google-research/xtreme, whose third_party/evaluate_retrieval.py runs in that interpreter
(see `judging_peers.py`). A peer that is not available is skipped, and its figure is null.

Sentence embeddings are the mean of the last layer everywhere; encoder loading time is excluded. mlctl is timed in bf16 (`evaluate.precision`),
which the figures are computed from, and in fp32; the peers use their default, fp32. `tatoeba_difference` shows the effect of bf16 on the
accuracy compared with mteb's (its accuracy, not its F1). XTREME's script retrieves from English, so its accuracy is another one. All languages of
XTREME are evaluated, with `--pairs` on that many pairs of each; `--quick` uses some pairs of some languages and one round. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from mlctl import languages
from mlctl.config import Evaluate
from mlctl.core.text_lines import lines
from mlctl.evaluation import ScoreCache
from mlctl.evaluation.data.heldout import Heldout, Side
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.registry import open_task
from mlctl.evaluation.tasks.tatoeba import TatoebaTask
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth

QUICK_CODES = "deu fra rus cmn swh tam jpn tur".split()
QUICK_PAIRS = 60
ROUNDS = 2  # (quick: 1) of all programs in turn; the fastest counts, as other load on the machine can only slow a program down
MLCTL, XTREME, MTEB = "mlctl, bf16", "XTREME's script", "mteb"
PEERS_SCRIPT = Path(__file__).with_name("judging_peers.py")
NO_PAIRS = Heldout("", Side((), (), ()), Side((), (), ()), ())


@dataclass(frozen=True)
class Measurement:
    """Accuracy by language, number of sentences of both sides and seconds."""

    accuracy: dict[str, float]
    sentences: int
    seconds: float

    @property
    def speed(self) -> float:
        return self.sentences / self.seconds

    @property
    def mean_accuracy(self) -> float:
        return sum(self.accuracy.values()) / len(self.accuracy)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    rounds = []
    for _ in range(1 if options.quick else ROUNDS):
        with tempfile.TemporaryDirectory() as scratch:  # a new one each time, so that no scores are cached
            data = _write_subset(options, Path(scratch))
            rounds.append({name: measure(data) for name, measure in _programs(options).items()})
    fastest = {name: min((results[name] for results in rounds), key=lambda result: result.seconds) for name in rounds[0]}
    _print_table(fastest)
    print(json.dumps(_figures(fastest)))


def _programs(options: argparse.Namespace) -> dict[str, Callable[[Path], Measurement]]:
    programs: dict[str, Callable[[Path], Measurement]] = {
        MLCTL: lambda data: measure_mlctl(options, data, "bf16"),
        "mlctl, fp32": lambda data: measure_mlctl(options, data, "fp32"),
    }
    if options.peers and options.xtreme:
        programs[XTREME] = lambda data: measure_peer(options, data, "xtreme")
    if options.peers:
        programs[MTEB] = lambda data: measure_peer(options, data, "mteb")
    for name, required in ((XTREME, "--peers and --xtreme"), (MTEB, "--peers")):
        if name not in programs:
            print(f"{name} is skipped: it needs {required}")
    return programs


def measure_mlctl(options: argparse.Namespace, data: Path, precision: str) -> Measurement:
    """Evaluate every language as the stage does."""
    entry = {"name": "tatoeba", "source": {"kind": "folder", "path": str(data)}}
    settings = Evaluate(benchmarks=[entry], prefix=options.prefix, precision=precision, device="cpu")
    task, cache = open_task(settings.benchmarks[0]), ScoreCache(data / "parts")
    last_layer = SentenceConfig(Pooling((encoder_depth(options.encoder),)), options.prefix)
    model = ModelUnderTest("base", options.encoder, options.encoder, settings, cache, NO_PAIRS, last_layer)
    model.encode(["warm up"])
    started = time.perf_counter()
    scores = {language: task.evaluate(model, language, None)[0] for language in task.languages}
    seconds = time.perf_counter() - started
    accuracy = {language: item_scores.metrics["accuracy"] for language, item_scores in scores.items()}
    return Measurement(accuracy, sum(2 * len(item_scores.items) for item_scores in scores.values()), seconds)


def measure_peer(options: argparse.Namespace, data: Path, name: str) -> Measurement:
    """Run another program on the same files, in its own interpreter; its files include the prefix."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in data.glob("tatoeba.*"):
            text = "".join(f"{options.prefix}{line}\n" for line in lines(file))
            (Path(scratch) / file.name).write_text(text, encoding="utf-8")
        arguments = {
            "encoder": str(options.encoder),
            "data": scratch,
            "codes": _codes(data),
            "threads": options.threads,
            "xtreme": str(options.xtreme),
        }
        command = [options.peers, "-X", "utf8", str(PEERS_SCRIPT), name, json.dumps(arguments)]
        process = subprocess.run(command, check=False, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:-1])} failed:\n{process.stderr[-3000:]}")
    return Measurement(**json.loads(process.stdout.splitlines()[-1]))


def _write_subset(options: argparse.Namespace, folder: Path) -> Path:
    """Write XTREME's languages, or some sentences of some of them, to a folder that every program reads."""
    limit = QUICK_PAIRS if options.quick else options.pairs
    for code in _codes(options.data):
        selected = code in QUICK_CODES if options.quick else _is_in_xtreme(code)
        for side in (code, "eng") if selected else ():
            text = lines(options.data / f"tatoeba.{code}-eng.{side}")[:limit]
            (folder / f"tatoeba.{code}-eng.{side}").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def _codes(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[1].removesuffix("-eng") for path in folder.glob("tatoeba.*-eng.eng"))


def _is_in_xtreme(code: str) -> bool:
    return len(code) == 3 and languages.is_language(code) and languages.canonical(code) in TatoebaTask.metadata.languages


def _figures(results: dict[str, Measurement]) -> dict[str, float | None]:
    mlctl = results[MLCTL]
    speedups = {
        f"speedup_over_{key}": round(mlctl.speed / results[name].speed, 2) if name in results else None
        for key, name in (("xtreme", XTREME), ("mteb", MTEB))
    }
    difference = round(mlctl.mean_accuracy - results[MTEB].mean_accuracy, 6) if MTEB in results else None
    return {**speedups, "tatoeba_difference": difference}


def _print_table(results: dict[str, Measurement]) -> None:
    head = f"{'':18} {'sentences':>9} {'seconds':>8} {'per second':>10} {'accuracy':>9}"
    print(f"{head}   mean of {len(results[MLCTL].accuracy)} languages to English (XTREME's script: from English)")
    for name, result in results.items():
        accuracy = 100 * result.mean_accuracy
        print(f"{name:18} {result.sentences:9,} {result.seconds:8.1f} {result.speed:10.1f} {accuracy:8.2f}%")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a Hugging Face encoder")
    parser.add_argument("--data", type=Path, default=Path("shared/data/tatoeba"), help="folder with tatoeba.XXX-eng.*")
    parser.add_argument("--pairs", type=int, help="maximum number of pairs of each language (all)")
    parser.add_argument("--quick", action="store_true", help="some sentences of some languages")
    parser.add_argument("--peers", help="interpreter with mteb, sentence-transformers and faiss-cpu")
    parser.add_argument("--xtreme", type=Path, help="checkout of github.com/google-research/xtreme")
    parser.add_argument("--prefix", default="", help="text before every sentence")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
