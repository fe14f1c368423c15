"""Sentences per second of the Tatoeba benchmark, compared with XTREME's script and with mteb, on the same encoder and machine.

    python benchmarks/judging.py --encoder FOLDER [--data DIR] [--pairs N | --quick] [--peers PYTHON] [--xtreme FOLDER] [--prefix TEXT] [--threads N]

DIR has the files tatoeba.XXX-eng.*; FOLDER is a Hugging Face encoder. PYTHON is an interpreter with mteb, sentence-transformers and
faiss-cpu; `--xtreme` is a checkout of github.com/google-research/xtreme, whose third_party/evaluate_retrieval.py runs in that interpreter
(see `judging_peers.py`). Missing programs are skipped, and their figures are null.

Sentence vectors are the mean of the last layer everywhere; encoder loading time is excluded. mlctl is timed in bf16 (`evaluate.precision`; the
JSON figures) and in fp32; the others compute in fp32, their default. `tatoeba_difference` is mlctl's accuracy in bf16 minus mteb's accuracy
(not its F1). XTREME's script queries from English, so its accuracy differs. All languages of XTREME are scored, with `--pairs` on at most that
many pairs each; `--quick` uses some pairs of some languages and one round. The last line is JSON.
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
from mlctl.evaluation import Parts
from mlctl.evaluation.data.heldout import Heldout, Side
from mlctl.evaluation.model_under_test import Subject
from mlctl.evaluation.tasks import open_task
from mlctl.evaluation.tasks.tatoeba import CARD
from mlctl.modeling.pooling import FIRST_AND_LAST

QUICK_CODES = "deu fra rus cmn swh tam jpn tur".split()
QUICK_PAIRS = 60
ROUNDS = (
    2  # (quick: 1) of all implementations in turn; the fastest counts, because other load on the machine only slows a run down
)
OURS, XTREME, MTEB = "mlctl, bf16", "XTREME's script", "mteb"
PEERS = Path(__file__).with_name("judging_peers.py")
NOBODY = Heldout("", Side((), (), ()), Side((), (), ()), ())


@dataclass(frozen=True)
class Timing:
    """Accuracy by language, number of sentences of both sides, and seconds."""

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
    rounds = []
    for _ in range(1 if options.quick else ROUNDS):
        with tempfile.TemporaryDirectory() as scratch:  # a new folder per round, so that nothing is cached
            data = _write_data(options, Path(scratch))
            rounds.append({name: run(data) for name, run in _implementations(options).items()})
    results = {name: min((timings[name] for timings in rounds), key=lambda timing: timing.seconds) for name in rounds[0]}
    _show(results)
    print(json.dumps(_figures(results)))


def _implementations(options: argparse.Namespace) -> dict[str, Callable[[Path], Timing]]:
    implementations: dict[str, Callable[[Path], Timing]] = {
        OURS: lambda data: ours(options, data, "bf16"),
        "mlctl, fp32": lambda data: ours(options, data, "fp32"),
    }
    if options.peers and options.xtreme:
        implementations[XTREME] = lambda data: peer(options, data, "xtreme")
    if options.peers:
        implementations[MTEB] = lambda data: peer(options, data, "mteb")
    for name, option in ((XTREME, "--peers and --xtreme"), (MTEB, "--peers")):
        if name not in implementations:
            print(f"{name} is skipped: it needs {option}")
    return implementations


def ours(options: argparse.Namespace, data: Path, precision: str) -> Timing:
    """Score every language as the evaluate stage does."""
    entry = {"name": "tatoeba", "source": {"kind": "folder", "path": str(data)}}
    settings = Evaluate(benchmarks=[entry], pooling="last", prefix=options.prefix, precision=precision, device="cpu")
    task = open_task(settings.benchmarks[0])
    subject = Subject("base", options.encoder, options.encoder, settings, Parts(data / "parts"), NOBODY, FIRST_AND_LAST)
    subject.vectors(["warm"])
    started = time.perf_counter()
    outcomes = {language: task.judge(subject, language, None)[0] for language in task.languages}
    seconds = time.perf_counter() - started
    accuracy = {language: outcome.figures["accuracy"] for language, outcome in outcomes.items()}
    return Timing(accuracy, sum(2 * len(outcome.items) for outcome in outcomes.values()), seconds)


def peer(options: argparse.Namespace, data: Path, name: str) -> Timing:
    """Score the same files with another program in its own interpreter; its files already contain the prefix."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in data.glob("tatoeba.*"):
            text = "".join(f"{options.prefix}{line}\n" for line in lines(file))
            (Path(scratch) / file.name).write_text(text, encoding="utf-8")
        job = {"encoder": str(options.encoder), "data": scratch, "codes": _codes(data), "threads": options.threads}
        job |= {"xtreme": str(options.xtreme)}
        command = [options.peers, "-X", "utf8", str(PEERS), name, json.dumps(job)]
        process = subprocess.run(command, check=False, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:-1])} failed:\n{process.stderr[-3000:]}")
    return Timing(**json.loads(process.stdout.splitlines()[-1]))


def _write_data(options: argparse.Namespace, folder: Path) -> Path:
    """Write XTREME's languages, or some sentences of some of them, to a folder that all implementations read."""
    for code in _codes(options.data):
        included = code in QUICK_CODES if options.quick else _is_in_xtreme(code)
        for side in (code, "eng") if included else ():
            text = lines(options.data / f"tatoeba.{code}-eng.{side}")[: QUICK_PAIRS if options.quick else options.pairs]
            (folder / f"tatoeba.{code}-eng.{side}").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def _codes(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[1].removesuffix("-eng") for path in folder.glob("tatoeba.*-eng.eng"))


def _is_in_xtreme(code: str) -> bool:
    return len(code) == 3 and languages.is_language(code) and languages.canonical(code) in CARD.languages


def _figures(results: dict[str, Timing]) -> dict[str, float | None]:
    mlctl_result = results[OURS]
    return {
        **{
            f"speedup_over_{key}": round(mlctl_result.speed / results[name].speed, 2) if name in results else None
            for key, name in (("xtreme", XTREME), ("mteb", MTEB))
        },
        "tatoeba_difference": round(mlctl_result.mean - results[MTEB].mean, 6) if MTEB in results else None,
    }


def _show(results: dict[str, Timing]) -> None:
    head = f"{'':18} {'sentences':>9} {'seconds':>8} {'per second':>10} {'accuracy':>9}"
    print(f"{head}   mean of {len(results[OURS].accuracy)} languages to English (XTREME's script: from English)")
    for name, result in results.items():
        print(f"{name:18} {result.sentences:9,} {result.seconds:8.1f} {result.speed:10.1f} {100 * result.mean:8.2f}%")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a Hugging Face encoder")
    parser.add_argument("--data", type=Path, default=Path("shared/data/tatoeba"), help="folder with tatoeba.XXX-eng.*")
    parser.add_argument("--pairs", type=int, help="maximum pairs per language (all)")
    parser.add_argument("--quick", action="store_true", help="some sentences of some languages")
    parser.add_argument("--peers", help="interpreter with mteb, sentence-transformers and faiss-cpu")
    parser.add_argument("--xtreme", type=Path, help="checkout of github.com/google-research/xtreme")
    parser.add_argument("--prefix", default="", help="text before every sentence")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
