"""Scores of the evaluate stage on published files, compared with an independent implementation.

    python benchmarks/judging_check.py --encoder FOLDER --data DIR [--quick] [--only TASK …] [--prefix TEXT] [--threads N]

DIR has some of tatoeba, bucc, xnli, pawsx, udpos/xtreme, ner; FOLDER is a Hugging Face encoder. The independent implementation takes sentence
vectors from sentence-transformers (mean of the last layer), nearest neighbours from numpy over all pairs, and mines in plain loops;
fine-tuned models are loaded by transformers and predict sentence by sentence without padding; sklearn and seqeval score.

To save time, XNLI and PAWS-X are fine-tuned on few examples of English dev, XNLI is tested on a thousand pairs, and BUCC is mined among its gold
sentences and a few thousand others: the scores are for comparison only. Exit code 1 if two scores differ by more than 0.2 points
(batching changes the last bits of a vector). The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from mlctl.config import Evaluate
from mlctl.evaluation import Parts
from mlctl.evaluation.data.heldout import Heldout, Side
from mlctl.evaluation.model_under_test import Subject
from mlctl.evaluation.tasks import open_task
from mlctl.modeling.pooling import FIRST_AND_LAST

TOLERANCE = 0.2  # points
NEIGHBOURS = 4
LENGTH = 128
NOBODY = Heldout("", Side((), (), ()), Side((), (), ()), ())
FEW = {"examples": 960, "epochs": 1, "batch_size": 32, "learning_rate": 1e-4}
#: Task, folder, language, settings of the benchmark; the first of each task are used with --quick.
FINE_TUNED = [
    ("pawsx", "pawsx", "de", {"train": "dev-en.tsv"}),
    ("panx", "ner", "yo", {}),
    ("udpos", "udpos/xtreme", "yo", {}),
    ("xnli", "xnli", "sw", {"train": "dev-en.tsv"}),
]
XNLI_PAIRS = 1000
BUCC_OTHERS = 2000  # sentences of each side outside the gold pairs
TATOEBA = ("deu", "swh", "jpn")
CODES = {"deu": "de", "swh": "sw", "jpn": "ja"}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    scores: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, language, mlctl_score, independent_score in _all(options, Path(folder)):
            scores[f"{name} {language}"] = mlctl_score, independent_score
            print(
                f"    {name:10} {language:4} mlctl {mlctl_score:6.2f}   independent {independent_score:6.2f}   {'' if _same(mlctl_score, independent_score) else 'DIFFERENT'}",
                flush=True,
            )
    print(json.dumps({name: {"ours": round(a, 3), "independent": round(b, 3)} for name, (a, b) in scores.items()}))
    sys.exit(not all(_same(*pair) for pair in scores.values()))


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE


def _all(options: argparse.Namespace, workdir: Path) -> Any:
    print("score in %: mlctl's evaluate stage and the independent implementation")
    for code in TATOEBA[: 1 if options.quick else None]:
        if _is_selected(options, "tatoeba", "tatoeba"):
            yield (
                "tatoeba",
                CODES[code],
                _ours(options, workdir, "tatoeba", options.data / "tatoeba", CODES[code], {})[0],
                _tatoeba(options, code),
            )
    for task, folder, language, settings in FINE_TUNED[: 2 if options.quick else None]:
        if _is_selected(options, task, folder):
            data = _write_xnli(options.data / folder, workdir / "xnli") if task == "xnli" else options.data / folder
            yield task, language, *_fine_tuned(options, workdir, task, data, language, settings)
    if _is_selected(options, "bucc", "bucc") and not options.quick:
        data = _write_bucc(options.data / "bucc", workdir / "bucc")
        yield "bucc", "zh", _ours(options, workdir, "bucc", data, "zh", {})[0], _bucc(options, data)


def _is_selected(options: argparse.Namespace, task: str, folder: str) -> bool:
    return (options.data / folder).is_dir() and task in (options.only or [task])


def _write_xnli(published: Path, folder: Path) -> Path:
    """Write the English examples and the first pairs of the tested language."""
    (folder / "labels").mkdir(parents=True)
    for name, limit in (("dev-en.tsv", None), ("test-sw.tsv", XNLI_PAIRS), ("labels/test-sw.tsv", XNLI_PAIRS)):
        (folder / name).write_text("\n".join(_lines(published / name)[:limit]) + "\n", encoding="utf-8")
    return folder


def _write_bucc(published: Path, folder: Path) -> Path:
    """Write the gold pairs of dev and the first of the other sentences."""
    folder.mkdir()
    gold = _lines(published / "zh-en.dev.gold")
    for column, side in enumerate(("zh", "en")):
        gold_ids, remaining, lines = {pair.split("\t")[column] for pair in gold}, BUCC_OTHERS, []
        for line in _lines(published / f"zh-en.dev.{side}"):
            is_gold = line.split("\t")[0] in gold_ids
            remaining -= not is_gold
            lines += [line] if is_gold or remaining >= 0 else []
        (folder / f"zh-en.dev.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "zh-en.dev.gold").write_text("\n".join(gold) + "\n", encoding="utf-8")
    return folder


def _ours(
    options: argparse.Namespace, place: Path, task: str, data: Path, language: str, settings: dict[str, Any]
) -> tuple[float, Path]:
    entry = {"name": task, "source": {"kind": "folder", "path": str(data)}, **settings}
    evaluate = Evaluate(benchmarks=[entry], pooling="last", prefix=options.prefix, device="cpu")
    parts = place / f"parts-{task}"
    subject = Subject("base", options.encoder, options.encoder, evaluate, Parts(parts), NOBODY, FIRST_AND_LAST)
    outcome = open_task(evaluate.benchmarks[0]).judge(subject, language, 0)[0]
    return 100 * outcome.figures["f1" if task in ("bucc", "panx", "udpos") else "accuracy"], parts


# Sentence vectors.


def _vectors(options: argparse.Namespace, texts: Sequence[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(options.encoder), max_seq_length=512)
    model = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension(), "mean")], device="cpu")
    vectors = model.encode([options.prefix + text for text in texts], normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float64)


def _lines(file: Path) -> list[str]:
    file = file if file.exists() else file.with_name(f"{file.name}.gz")
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return data.decode("utf-8").removesuffix("\n").split("\n")


def _tatoeba(options: argparse.Namespace, code: str) -> float:
    foreign, english = (_lines(options.data / "tatoeba" / f"tatoeba.{code}-eng.{side}") for side in (code, "eng"))
    cosines = _vectors(options, foreign) @ _vectors(options, english).T
    return 100 * float(accuracy_score(range(len(foreign)), cosines.argmax(1)))


def _bucc(options: argparse.Namespace, data: Path) -> float:
    """Mine Chinese–English dev by margin (arXiv 1811.01136), tune on one half of the Chinese sentences, score the other half."""
    sides = [[line.split("\t", 1) for line in _lines(data / f"zh-en.dev.{side}")] for side in ("zh", "en")]
    gold = {tuple(line.split("\t")) for line in _lines(data / "zh-en.dev.gold")}
    cosines = _vectors(options, [text for _, text in sides[0]]) @ _vectors(options, [text for _, text in sides[1]]).T
    neighbour_means = [np.sort(matrix, 1)[:, -NEIGHBOURS:].mean(1) for matrix in (cosines, cosines.T)]
    margins = cosines / ((neighbour_means[0][:, None] + neighbour_means[1][None, :]) / 2)
    proposals = []
    for matrix, similarity, transposed in ((margins, cosines, False), (margins.T, cosines.T, True)):
        for row, nearest in enumerate(np.argsort(-similarity, 1)[:, :NEIGHBOURS]):
            best = max(nearest, key=lambda column: matrix[row, column])
            proposals.append((matrix[row, best], *((best, row) if transposed else (row, best))))
    pairs, used = [], (set[int](), set[int]())
    for score, i, j in sorted(proposals, key=lambda proposal: -proposal[0]):
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            pairs.append((score, sides[0][i][0], sides[1][j][0]))
    halves = [[pair for pair in pairs if (_bit(pair[1]) == half)] for half in (0, 1)]
    golds = [{pair for pair in gold if _bit(pair[0]) == half} for half in (0, 1)]
    threshold = max((score for score, *_ in halves[0]), key=lambda threshold: _f1(halves[0], golds[0], threshold))
    return 100 * _f1(halves[1], golds[1], threshold)


def _bit(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0] >> 7


def _f1(pairs: Sequence[tuple[Any, ...]], gold: set[Any], threshold: float) -> float:
    accepted = {tuple(pair[1:]) for pair in pairs if pair[0] >= threshold}
    return 2 * len(accepted & gold) / max(1, len(accepted) + len(gold))


# Fine-tuned models.


def _fine_tuned(
    options: argparse.Namespace, place: Path, task: str, data: Path, language: str, settings: dict[str, Any]
) -> tuple[float, float]:
    ours, parts = _ours(options, place, task, data, language, {**FEW, **settings})
    (model,) = parts.glob("*.folder")
    theirs = (
        _tags(options, model, data, task, language) if task in ("panx", "udpos") else _pairs(options, model, data, task, language)
    )
    return ours, 100 * theirs


def _pairs(options: argparse.Namespace, folder: Path, data: Path, task: str, language: str) -> float:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.encoder)
    names = {"pawsx": ["0", "1"], "xnli": ["contradiction", "entailment", "neutral"]}[task]
    rows = [line.split("\t")[:2] for line in _lines(data / f"test-{language}.tsv")]
    labels = [line.strip() for line in _lines(data / "labels" / f"test-{language}.tsv")]
    answers = []
    for first, second in rows:
        tokens = tokenizer(first, second, truncation="longest_first", max_length=LENGTH, return_tensors="pt")
        with torch.inference_mode():
            answers.append(names[int(model(**tokens).logits.argmax())])
    labelled = [n for n, label in enumerate(labels) if label != "-1"]
    return float(accuracy_score([labels[n] for n in labelled], [answers[n] for n in labelled]))


def _tags(options: argparse.Namespace, folder: Path, data: Path, task: str, language: str) -> float:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.encoder)
    names = {
        "panx": "O B-LOC I-LOC B-ORG I-ORG B-PER I-PER",
        "udpos": "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _",
    }[task].split()
    gold, answers = [], []
    for words, tags in _sentences(next(data.glob(f"*-{language}.tsv*"))):
        tokens = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            predicted = model(**tokens).logits[0].argmax(-1).tolist()
        first: dict[int, str] = {}
        for position, word in enumerate(tokens.word_ids()):
            if word is not None:
                first.setdefault(word, names[predicted[position]])
        gold.append(tags)
        answers.append([first.get(word, names[0]) for word in range(len(words))])
    return float(f1_score(gold, answers, zero_division=0))


def _sentences(file: Path) -> list[tuple[list[str], list[str]]]:
    sentences, words, tags = [], list[str](), list[str]()
    for line in [*_lines(file.with_name(file.name.removesuffix(".gz"))), ""]:
        if line.strip():
            word, tag = line.rsplit("\t", 1)
            words.append(word)
            tags.append(tag.strip())
        elif words:
            sentences.append((words, tags))
            words, tags = [], []
    return sentences


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a Hugging Face encoder")
    parser.add_argument("--data", type=Path, required=True, help="folder with tatoeba, bucc, pawsx, …")
    parser.add_argument("--prefix", default="", help="text before every sentence of the retrieval tasks")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores")
    parser.add_argument("--only", nargs="+", help="run only these tasks", metavar="TASK")
    parser.add_argument("--quick", action="store_true", help="one language of some tasks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
