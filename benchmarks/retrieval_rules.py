"""xSIM, xSIM++, LAReQA's mAP, Mewsli-X's MRR and Spearman's correlation, compared with the official code on the same embeddings and files.

    python benchmarks/retrieval_rules.py --xtreme FOLDER --laser FOLDER [--rounds N]

The folders are checkouts of github.com/google-research/xtreme and github.com/facebookresearch/LASER (`source/xsim.py`, which needs faiss). Each round
makes random embeddings and small data sets in the published forms; the figures are compared to 1e-6, and texts, candidates and right
answers as they are. The exit code is 1 if anything differs. The last line is JSON: comparisons and differences of each.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from mlctl.config.evaluate import BenchmarkFolder, Lareqa
from mlctl.evaluation.data.mewslix_files import read_entities, read_mentions
from mlctl.evaluation.metrics.item_scores import ratio_of_sums
from mlctl.evaluation.metrics.rank_correlation import rank_products
from mlctl.evaluation.metrics.ranked_retrieval import ranked_retrieval
from mlctl.evaluation.metrics.xsim import MISALIGNED, align_by_margin, error_shares
from mlctl.evaluation.tasks.lareqa import LareqaTask
from mlctl.modeling.nearest_neighbours import MARGIN

Compared = Iterator[tuple[str, bool]]

TOLERANCE = 1e-6
LANGUAGES = ("ar", "de", "zh")
CATEGORIES = ("number", "entity", "causality")
WORDS = ("one", "zwei", "三。", "{four}", "five", "sechs  ", "7", "acht\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xtreme", type=Path, required=True)
    parser.add_argument("--laser", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    xsim = _load(options.laser / "source" / "xsim.py")
    lareqa, mewslix = (_load(options.xtreme / "third_party" / f"utils_{name}.py") for name in ("lareqa", "mewslix"))
    compared, different = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            draw = np.random.default_rng(number)
            for name, equal in (
                *_xsim(xsim, draw, Path(folder)),
                *_lareqa(lareqa, draw, Path(folder)),
                *_mewslix(mewslix, draw, Path(folder)),
                *_spearman(draw),
            ):
                compared[name] += 1
                different[name] += not equal
    print(json.dumps({"compared": compared, "different": {name: different[name] for name in compared}}))
    sys.exit(bool(different.total()))


def _xsim(official: Any, draw: np.random.Generator, folder: Path) -> Compared:
    """Compare the error rates, and the numbers of errors by category."""
    count, more, size = int(draw.integers(20, 200)), int(draw.integers(1, 400)), int(draw.integers(8, 64))
    target = (2 * draw.normal(size=size) + draw.normal(size=(count + more, size))).astype(np.float32)
    source = (target[:count] + draw.uniform(0.2, 1.5) * draw.normal(size=(count, size))).astype(np.float32)
    rows, categories = draw.integers(count, size=more).tolist(), draw.choice(CATEGORIES, more).tolist()
    texts = [f"sentence {row // 2 if row % 9 == 0 else row}" for row in range(count)]  # some occur twice
    altered = [f"altered {number}" for number in range(more)]
    alignment = align_by_margin(torch.tensor(source), torch.tensor(target[:count]), texts, 4)
    text_file, json_file = folder / "texts", folder / "errtype.json"
    text_file.write_text("".join(f"{text}\n" for text in texts))
    errors, _, _ = official.xSIM(source.copy(), target[:count].copy(), k=4, eval_text=str(text_file))
    yield "xsim", errors == int((~alignment.correct).sum())
    text_file.write_text("".join(f"{text}\n" for text in (*texts, *altered)))
    entries = zip(altered, rows, categories, strict=True)
    json_file.write_text(json.dumps({text: {"src": texts[row], "errtype": category} for text, row, category in entries}))
    errors, _, report = official.xSIM(source.copy(), target.copy(), k=4, eval_text=str(text_file), augmented_json=str(json_file))
    alignment = align_by_margin(torch.tensor(source), torch.tensor(target), [*texts, *altered], 4)
    made_of = [(texts[row], category) for row, category in zip(rows, categories, strict=True)]
    shares = error_shares(alignment, texts, [*([None] * count), *made_of])
    ours = {name: round(share * count) for name, share in shares.items() if share}
    yield "xsim++", errors == int((~alignment.correct).sum())
    yield "xsim++ by category", ours == {MISALIGNED if name == "Misaligned" else name: n for name, n in report.items()}


def _lareqa(official: Any, draw: np.random.Generator, folder: Path) -> Compared:
    """Compare questions, candidates and right answers of random files, and the mean average precision."""
    squads = {code: _squad(draw) for code in LANGUAGES}
    for code, squad in squads.items():
        (folder / f"{code}.json").write_text(json.dumps(squad), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        questions, candidates = official.load_data(squads)
    source = BenchmarkFolder(kind="folder", path=str(folder))
    task = LareqaTask(Lareqa(name="lareqa", source=source))
    texts, _, correct = task._pool
    theirs = [(one.sentence + one.context).replace("\n", "") for one in candidates.as_list()]
    yield "lareqa candidates", texts == theirs
    asked = [(code, one) for code in LANGUAGES for one in task._languages[code].questions if one.answers]
    yield "lareqa questions", [(code, one.text) for code, one in asked] == [(q.language, q.question) for q in questions.as_list()]
    right = [sorted(correct[one.name]) for _, one in asked]
    yield (
        "lareqa right answers",
        right == [sorted(candidates.pos[c] for c in set(candidates.by_xling_id[q.xling_id])) for q in questions.as_list()],
    )
    queries, pool = _embeddings(draw, right, len(texts))
    precision = ranked_retrieval(torch.tensor(queries), torch.tensor(pool), right, [False] * len(pool)).average_precision
    for one, vector in zip(questions.as_list(), queries, strict=True):
        one.encoding = vector
    for one, vector in zip(candidates.as_list(), pool, strict=True):
        one.encoding = {"sentences_and_contexts": vector}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        official.mean_avg_prec_at_k(questions, candidates, k=20)
    yield "lareqa mAP", abs(float(printed.getvalue().rpartition(" ")[2]) - float(precision.mean(dtype=np.float64))) < TOLERANCE


def _mewslix(official: Any, draw: np.random.Generator, folder: Path) -> Compared:
    """Compare the texts of mentions and entities of random files, and the mean reciprocal rank."""
    contexts = [_context(draw, number) for number in range(int(draw.integers(2, 20)))]
    entities = [_entity(draw, number) for number in range(60)]
    for name, rows in (("mentions.jsonl", contexts), ("entities.jsonl", entities)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mentions, pool = read_mentions([folder / "mentions.jsonl"]), read_entities(folder / "entities.jsonl")
    with contextlib.redirect_stdout(io.StringIO()):
        read = official.load_jsonl(folder / "mentions.jsonl", official.ContextualMentions)
        theirs = [official.preprocess_mention(one) for many in read for one in many.unnest_to_single_mention_per_context()]
        described = [
            official.preprocess_entity_description(one) for one in official.load_jsonl(folder / "entities.jsonl", official.Entity)
        ]
    yield "mewslix mentions", [one.text for one in mentions] == theirs
    yield "mewslix entities", [one.text for one in pool] == described
    right = [[int(one.entity[1:])] for one in mentions]
    queries, vectors = _embeddings(draw, right, len(pool))
    found = ranked_retrieval(torch.tensor(queries), torch.tensor(vectors), right, [False] * len(pool)).average_precision
    ranked = (-(queries @ vectors.T)).argsort(1)
    gold = {one.name: [one.entity] for one in mentions}
    predicted = {one.name: [pool[row].name for row in rows[:20]] for one, rows in zip(mentions, ranked, strict=True)}
    yield "mewslix MRR", abs(official.evaluate(gold, predicted) - float(found.mean(dtype=np.float64))) < TOLERANCE


def _spearman(draw: np.random.Generator) -> Compared:
    """Compare the correlation with and without ties."""
    count = int(draw.integers(3, 2000))
    gold = draw.choice([draw.random(count), draw.integers(0, 6, count).astype(float)])
    similarities = (draw.uniform(-0.2, 0.2) * gold + draw.random(count)).round(int(draw.integers(1, 7)))
    if len(set(gold)) > 1 and len(set(similarities)) > 1:
        ours = ratio_of_sums(*rank_products(similarities, gold))
        yield "spearman", abs(ours - float(spearmanr(similarities, gold).statistic)) < TOLERANCE


def _embeddings(draw: np.random.Generator, right: list[list[int]], count: int) -> tuple[Any, Any]:
    """Return embeddings of queries and candidates; no wrong candidate is as near as a right one, which the official scripts rank by chance."""
    while True:
        queries, pool = _unit(draw, len(right)), _unit(draw, count)
        gaps = [np.abs(row[rows, None] - np.delete(row, rows)).min() for row, rows in zip(queries @ pool.T, right, strict=True)]
        if min(gaps) > 3 * MARGIN:
            return queries, pool


def _unit(draw: np.random.Generator, count: int) -> Any:
    vectors = draw.normal(size=(count, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _text(draw: np.random.Generator, words: int) -> str:
    return " ".join(draw.choice(WORDS, words).tolist())


def _squad(draw: np.random.Generator) -> dict[str, Any]:
    """Paragraphs of several sentences, some of them equal; some answers are between two sentences."""
    paragraphs = []
    for number in range(12):
        parts = [_text(draw, int(draw.integers(1, 4))) for _ in range(5)]
        starts = np.cumsum([0, *(len(part) + 1 for part in parts)])[:-1].tolist()
        breaks = [[start, start + len(part)] for start, part in zip(starts, parts, strict=True)]
        context, asked = " ".join(parts), []
        for place in range(3):
            start = int(draw.integers(0, len(context)))
            answers = [{"text": context[start : start + 3], "answer_start": start}]
            asked.append({"id": f"{number}-{place}", "question": _text(draw, 3), "answers": answers})
        paragraphs.append({"context": context, "sentence_breaks": breaks, "qas": asked})
    return {"data": [{"paragraphs": paragraphs}]}


def _context(draw: np.random.Generator, number: int) -> dict[str, Any]:
    parts = [_text(draw, 6) for _ in range(3)]
    starts = np.cumsum([0, *(len(part) + 1 for part in parts)])[:-1].tolist()
    text, chosen = " ".join(parts), int(draw.integers(0, 3))
    start = starts[chosen] + int(draw.integers(0, len(parts[chosen]) - 4))
    span = {"start": start, "end": start + 3, "text": text[start : start + 3]}
    return {
        "context": {
            "document_title": "",
            "document_url": "",
            "document_id": "",
            "language": "de",
            "text": text,
            "sentence_spans": [{"start": first, "end": first + len(part)} for first, part in zip(starts, parts, strict=True)],
        },
        "mentions": [{"example_id": str(number), "mention_span": span, "entity_id": f"Q{int(draw.integers(0, 60))}"}],
    }


def _entity(draw: np.random.Generator, number: int) -> dict[str, Any]:
    text = _text(draw, 9)
    middle = len(text) // 2
    return {
        "entity_id": f"Q{number}",
        "title": "",
        "description": text,
        "sentence_spans": [{"start": 0, "end": middle}, {"start": middle, "end": len(text)}],
        "description_language": "de",
        "description_url": "",
    }


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
