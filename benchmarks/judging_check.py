"""Scores of mlctl's evaluation on published files, compared with computations that share no code with it.

    python benchmarks/judging_check.py --encoder FOLDER --data DIR [--quick] [--only TASK …] [--prefix TEXT] [--threads N]

DIR has some of tatoeba, bucc, xnli, pawsx, udpos/xtreme, ner; FOLDER is a Hugging Face encoder. The reference's sentence embeddings are those of
sentence-transformers (mean of the last layer), its nearest neighbours are numpy's over all pairs, mining is a plain loop,
fine-tuned models are loaded by transformers and predict sentence by sentence without padding, and sklearn and seqeval compute the metrics. XNLI and
PAWS-X are fine-tuned on a few examples of English dev, as their training sets are large, XNLI is evaluated on a thousand pairs, and BUCC is mined
among its gold sentences and some thousand others: the scores are compared with each other, they do not show what a model can do. The exit code is 1 if
two scores differ by more than 0.2 points (batches change the last bits of an embedding). The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from mlctl.config import Evaluate
from mlctl.evaluation import ScoreCache
from mlctl.evaluation.data.heldout import Heldout, Side
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.registry import open_task
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth

TOLERANCE = 0.2  # points
NEIGHBOURS = 4
LENGTH = 128
NO_PAIRS = Heldout("", Side((), (), ()), Side((), (), ()), ())
BUDGET = {"examples": 960, "epochs": 1, "batch_size": 32, "learning_rate": 1e-4}
#: Task, folder, language, settings of the entry; --quick uses the first two.
FINE_TUNED = [
    ("pawsx", "pawsx", "de", {"train": "dev-en.tsv"}),
    ("panx", "ner", "yo", {}),
    ("udpos", "udpos/xtreme", "yo", {}),
    ("xnli", "xnli", "sw", {"train": "dev-en.tsv"}),
]
XNLI_PAIRS = 1000
BUCC_OTHERS = 2000  # sentences of each side that are in no gold pair
TATOEBA = ("deu", "swh", "jpn")
CODES = {"deu": "de", "swh": "sw", "jpn": "ja"}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    scores: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for task, language, mlctl, reference in _scores(options, Path(folder)):
            scores[f"{task} {language}"] = mlctl, reference
            mark = "" if _agree(mlctl, reference) else "DIFFERENT"
            print(f"    {task:10} {language:4} mlctl {mlctl:6.2f}   reference {reference:6.2f}   {mark}", flush=True)
    print(json.dumps({name: {"ours": round(a, 3), "independent": round(b, 3)} for name, (a, b) in scores.items()}))
    sys.exit(not all(_agree(*pair) for pair in scores.values()))


def _agree(score: float, reference: float) -> bool:
    return abs(score - reference) <= TOLERANCE


def _scores(options: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield task, language, mlctl's score and the reference, in percent."""
    print("score in %, by mlctl and by the reference")
    for code in TATOEBA[: 1 if options.quick else None]:
        if _is_selected(options, "tatoeba", "tatoeba"):
            score, _ = _mlctl_score(options, scratch, "tatoeba", options.data / "tatoeba", CODES[code], {})
            yield "tatoeba", CODES[code], score, _tatoeba(options, code)
    for task, folder, language, settings in FINE_TUNED[: 2 if options.quick else None]:
        if _is_selected(options, task, folder):
            data = options.data / folder
            data = _xnli_subset(data, scratch / "xnli") if task == "xnli" else data
            yield task, language, *_fine_tuned(options, scratch, task, data, language, settings)
    if _is_selected(options, "bucc", "bucc") and not options.quick:
        data = _bucc_subset(options.data / "bucc", scratch / "bucc")
        score, _ = _mlctl_score(options, scratch, "bucc", data, "zh", {})
        yield "bucc", "zh", score, _bucc(options, data)


def _is_selected(options: argparse.Namespace, task: str, folder: str) -> bool:
    return (options.data / folder).is_dir() and task in (options.only or [task])


def _xnli_subset(source: Path, folder: Path) -> Path:
    """Write the English examples and the first pairs of the test language."""
    (folder / "labels").mkdir(parents=True)
    for name, limit in (("dev-en.tsv", None), ("test-sw.tsv", XNLI_PAIRS), ("labels/test-sw.tsv", XNLI_PAIRS)):
        (folder / name).write_text("\n".join(_lines(source / name)[:limit]) + "\n", encoding="utf-8")
    return folder


def _bucc_subset(source: Path, folder: Path) -> Path:
    """Write the gold pairs of dev and the first of the other sentences."""
    folder.mkdir()
    gold = _lines(source / "zh-en.dev.gold")
    for column, side in enumerate(("zh", "en")):
        gold_ids, others, selected = {pair.split("\t")[column] for pair in gold}, BUCC_OTHERS, []
        for line in _lines(source / f"zh-en.dev.{side}"):
            is_gold = line.split("\t")[0] in gold_ids
            others -= not is_gold
            selected += [line] if is_gold or others >= 0 else []
        (folder / f"zh-en.dev.{side}").write_text("\n".join(selected) + "\n", encoding="utf-8")
    (folder / "zh-en.dev.gold").write_text("\n".join(gold) + "\n", encoding="utf-8")
    return folder


def _mlctl_score(
    options: argparse.Namespace, scratch: Path, task: str, data: Path, language: str, settings: dict[str, Any]
) -> tuple[float, Path]:
    """Return mlctl's score in percent and the folder of its score cache."""
    entry = {"name": task, "source": {"kind": "folder", "path": str(data)}, **settings}
    evaluate = Evaluate(benchmarks=[entry], prefix=options.prefix, device="cpu")
    cache = scratch / f"parts-{task}"
    last_layer = SentenceConfig(Pooling((encoder_depth(options.encoder),)), options.prefix)
    model = ModelUnderTest("base", options.encoder, options.encoder, evaluate, ScoreCache(cache), NO_PAIRS, last_layer)
    scores = open_task(evaluate.benchmarks[0]).evaluate(model, language, 0)[0]
    return 100 * scores.metrics["f1" if task in ("bucc", "panx", "udpos") else "accuracy"], cache


# Sentence embeddings.


def _embeddings(options: argparse.Namespace, texts: Sequence[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    transformer = Transformer(str(options.encoder), max_seq_length=512)
    model = SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension(), "mean")], device="cpu")
    embeddings = model.encode([options.prefix + text for text in texts], normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(embeddings, np.float64)


def _lines(file: Path) -> list[str]:
    file = file if file.exists() else file.with_name(f"{file.name}.gz")
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return data.decode("utf-8").removesuffix("\n").split("\n")


def _tatoeba(options: argparse.Namespace, code: str) -> float:
    foreign, english = (_lines(options.data / "tatoeba" / f"tatoeba.{code}-eng.{side}") for side in (code, "eng"))
    cosines = _embeddings(options, foreign) @ _embeddings(options, english).T
    return 100 * float(accuracy_score(range(len(foreign)), cosines.argmax(1)))


def _bucc(options: argparse.Namespace, data: Path) -> float:
    """Mine Chinese–English dev by margin (arXiv 1811.01136), tune the threshold on one half of the Chinese sentences, score the other."""
    sides = [[line.split("\t", 1) for line in _lines(data / f"zh-en.dev.{side}")] for side in ("zh", "en")]
    gold = {tuple(line.split("\t")) for line in _lines(data / "zh-en.dev.gold")}
    cosines = _embeddings(options, [text for _, text in sides[0]]) @ _embeddings(options, [text for _, text in sides[1]]).T
    near = [np.sort(matrix, 1)[:, -NEIGHBOURS:].mean(1) for matrix in (cosines, cosines.T)]
    margins = cosines / ((near[0][:, None] + near[1][None, :]) / 2)
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
    halves = [[pair for pair in pairs if (_half(pair[1]) == half)] for half in (0, 1)]
    golds = [{pair for pair in gold if _half(pair[0]) == half} for half in (0, 1)]
    threshold = max((score for score, *_ in halves[0]), key=lambda minimum: _f1(halves[0], golds[0], minimum))
    return 100 * _f1(halves[1], golds[1], threshold)


def _half(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0] >> 7


def _f1(pairs: Sequence[tuple[Any, ...]], gold: set[Any], threshold: float) -> float:
    mined = {tuple(pair[1:]) for pair in pairs if pair[0] >= threshold}
    return 2 * len(mined & gold) / max(1, len(mined) + len(gold))


# Fine-tuned models.


def _fine_tuned(
    options: argparse.Namespace, scratch: Path, task: str, data: Path, language: str, settings: dict[str, Any]
) -> tuple[float, float]:
    score, cache = _mlctl_score(options, scratch, task, data, language, {**BUDGET, **settings})
    (model,) = cache.glob("*.folder")
    reference = _score_tags if task in ("panx", "udpos") else _score_pairs
    return score, 100 * reference(options, model, data, task, language)


def _score_pairs(options: argparse.Namespace, folder: Path, data: Path, task: str, language: str) -> float:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.encoder)
    names = {"pawsx": ["0", "1"], "xnli": ["contradiction", "entailment", "neutral"]}[task]
    rows = [line.split("\t")[:2] for line in _lines(data / f"test-{language}.tsv")]
    labels = [line.strip() for line in _lines(data / "labels" / f"test-{language}.tsv")]
    predictions = []
    for first, second in rows:
        tokens = tokenizer(first, second, truncation="longest_first", max_length=LENGTH, return_tensors="pt")
        with torch.inference_mode():
            predictions.append(names[int(model(**tokens).logits.argmax())])
    labelled = [n for n, label in enumerate(labels) if label != "-1"]
    return float(accuracy_score([labels[n] for n in labelled], [predictions[n] for n in labelled]))


def _score_tags(options: argparse.Namespace, folder: Path, data: Path, task: str, language: str) -> float:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.encoder)
    names = {
        "panx": "O B-LOC I-LOC B-ORG I-ORG B-PER I-PER",
        "udpos": "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _",
    }[task].split()
    gold, predictions = [], []
    for words, tags in _sentences(next(data.glob(f"*-{language}.tsv*"))):
        tokens = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            tag_ids = model(**tokens).logits[0].argmax(-1).tolist()
        first: dict[int, str] = {}
        for position, word in enumerate(tokens.word_ids()):
            if word is not None:
                first.setdefault(word, names[tag_ids[position]])
        gold.append(tags)
        predictions.append([first.get(word, names[0]) for word in range(len(words))])
    return float(f1_score(gold, predictions, zero_division=0))


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
    parser.add_argument("--only", nargs="+", help="only these tasks", metavar="TASK")
    parser.add_argument("--quick", action="store_true", help="one language of some tasks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
