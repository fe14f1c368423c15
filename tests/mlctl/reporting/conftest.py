"""Hand-made results of a small run; some of their text looks like markup."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import config, schema
from mlctl.config import Recipe
from mlctl.reporting import StageRecord
from mlctl.stage_names import STAGE_NAMES

HOSTILE = '</script><script>alert("x")</script><img src=http://evil.example/x.png onerror=alert(1)>'
STAGES = STAGE_NAMES[:-1]  # all but report
LANGUAGES = ("fr", "ar")
_LEXICON = ("source", "target", "count", "forward", "backward")


def put(path: Path, rows: Sequence[dict[str, Any]], fields: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=fields), path)


def pair(language: str, source: str, target: str | None, **more: Any) -> dict[str, Any]:
    fixed = {"source_language": "en", "target_language": language, "corpus": f"corpus {HOSTILE}", "version": "1"}
    return {**fixed, "licence": "CC0-1.0", "origin": "x:1", "synthetic": "", "source": source, "target": target, **more}


SEEDS = (0, 1)
#: task → languages with the scores of base and trained model; English is the fine-tuning language.
SCORES: dict[str, dict[str, tuple[float, float]]] = {
    "sentence-retrieval": {"fr": (0.15, 0.6), "ar": (0.15, 0.6)},
    "word-retrieval": {"fr": (0.15, 0.6), "ar": (0.15, 0.6)},
    "tatoeba": {"de": (0.5, 0.75), "sw": (0.25, 0.2)},
    "xnli": {"en": (0.8, 0.79), "de": (0.7, 0.72), "sw": (0.5, 0.56)},
}
_METHOD = ("tatoeba", "Tatoeba", False), ("xnli", f"XNLI {HOSTILE}", True)


def seeds(task: str) -> tuple[int | None, ...]:
    return SEEDS if task == "xnli" else (None,)


def scores() -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "task": task,
            "language": language,
            "direction": direction,
            "metric": "accuracy",
            "value": figures[index] + shift,
            "items": 100,
            "seed": seed,
        }
        for task, languages in SCORES.items()
        for language, figures in languages.items()
        for direction, shift in ((f"en→{language}", -0.05), (f"{language}→en", 0.05))
        for index, model in enumerate(("base", "trained"))
        for seed in seeds(task)
    ]


def comparison_row(base: float, trained: float, task: str) -> dict[str, Any]:
    deviation = 0.011 if len(seeds(task)) > 1 else None
    figures = {"base": base, "trained": trained, "base_deviation": deviation, "trained_deviation": deviation}
    change = trained - base
    test = {"difference": change, "low": change - 0.03, "high": change + 0.03, "p": 0.0005 if abs(change) > 0.03 else 0.4}
    return {"task": task, "metric": "accuracy", "seeds": len(seeds(task)), **figures, **test, "significant": abs(change) > 0.03}


def differences() -> list[dict[str, Any]]:
    rows = [
        {**comparison_row(*figures, task), "language": language, "zero_shot": language != "en", "items": 100}
        for task, languages in sorted(SCORES.items())
        for language, figures in sorted(languages.items())
    ]
    return [{**row, "corrected": min(1.0, 2 * row["p"])} for row in rows]


def averages() -> list[dict[str, Any]]:
    rows = []
    for task, languages in sorted(SCORES.items()):
        others = [figures for language, figures in languages.items() if language != "en"]
        base, trained = (sum(column) / len(others) for column in zip(*others, strict=True))
        rows.append({**comparison_row(base, trained, task), "languages": len(others)})
    return rows


def protocol() -> dict[str, Any]:
    cards = [
        {
            "metadata": {
                "task": task,
                "title": title,
                "citation": f"A and B 2020 {HOSTILE}",
                "licence": "CC-BY-2.0",
                "metric": "accuracy",
                "languages": [],
                "revision": 1,
                "protocol": f"The protocol of {task}.",
                "fine_tuned": tuned,
            },
            "settings": {"direction": "to-english"},
            "languages": list(SCORES[task]),
        }
        for task, title, tuned in _METHOD
    ]
    note = {
        "model": "base",
        "task": "xnli",
        "language": "sw",
        "direction": "en→sw",
        "evaluated_on": "dev",
        "gold_sets": ["a", HOSTILE],
    }
    mean, first = "mean over the tokens of layer", "first token of layer 2"
    search = {"language": "fr", "accuracies": {f"{mean}s 1 + 2": 0.3, f"{mean} 2": 0.4, f"{mean} 1": 0.2, first: 0.1}}
    models = {
        name: {"sentences": f"{mean}s 1 + 2", "prefix": "", "max_length": None, "pooling": pool, "pooling_search": search}
        for name, pool in (("base", f"{mean} 2"), ("trained", f"{mean} 1"))
    }
    base = {"origin": "scratch", "published": False, "problem": "", "same_pooling": "equal"}
    return {"base": base, "benchmarks": cards, "models": models, "resamples": 2000, "notes": [note]}


def tokens() -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "language": language,
            "meaning": meaning,
            "text": f"sentence {meaning} in {language} {HOSTILE}",
            "token": f"token{index} {HOSTILE}",
            "state": [math.cos(meaning + 0.1 * index), math.sin(meaning * index), float(meaning), 0.1 * len(language + model)],
        }
        for model in ("base", "trained")
        for meaning in range(3)
        for language in ("en", *LANGUAGES)
        for index in range(4)
    ]


def gradients() -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "task": "xnli",
            "alignment": alignment,
            "layer": layer,
            "cosine": None if layer == 1 else 0.01 * number,
            "alignment_norm": 0.25,
            "task_norm": 1.5,
        }
        for number, (model, alignment) in enumerate([("base", "words"), ("base", "sentences"), ("trained", "words")])
        for layer in (1, 2, None)
    ]


def changed_items() -> list[dict[str, Any]]:
    """Two items that were gained and one that was lost."""
    kinds = [("gained", "random", "de"), ("gained", "surest", "sw"), ("lost", "random", "de")]
    return [
        {
            "task": "tatoeba",
            "change": change,
            "selection": selection,
            "language": language,
            "item": str(number),
            "text": f"changed {number} {HOSTILE}\nits translation",
            "base": float(change == "lost"),
            "trained": float(change == "gained"),
        }
        for number, (change, selection, language) in enumerate(kinds)
    ]


def length_scores() -> list[dict[str, Any]]:
    """Long sentences gain more than short ones, in both languages."""
    return [
        {
            "task": "tatoeba",
            "language": language,
            "length": length,
            "items": 30,
            "characters": 20.0 * (number + 1),
            "base": 0.5,
            "trained": 0.5 + 0.1 * number,
            "gained": 3 * number,
            "lost": 1,
        }
        for language in ("de", "sw")
        for number, length in enumerate(("short", "medium", "long"))
    ]


def geometry() -> list[dict[str, Any]]:
    rows = [("anisotropy", None, 0.8), ("hubness", "fr", 2.5), ("language-probe", "en", 0.9), ("language-probe", "fr", 0.7)]
    return [
        {"model": model, "measure": measure, "language": language, "value": value - shift, "sentences": 20}
        for model, shift in (("base", 0.0), ("trained", 0.25))
        for measure, language, value in rows
    ]


def modes() -> list[dict[str, Any]]:
    """Translate-train is better in French and in the mean, and no different in English."""
    rows = [(None, 0.125, None), ("en", 0.0, 1.0), ("fr", 0.125, 0.002)]
    return [
        {
            "model": model,
            "task": "xnli",
            "language": language,
            "metric": "accuracy",
            "seeds": 2,
            "zero_shot": 0.5,
            "translate_train": 0.5 + difference,
            "difference": difference,
            "low": difference - 0.01,
            "high": difference + 0.01,
            "p": 0.001,
            "corrected": corrected,
            "significant": difference > 0,
        }
        for model in ("base", "trained")
        for language, difference, corrected in rows
    ]


def aligned(language: str, source: str, target: str, links: Sequence[tuple[int, int]]) -> dict[str, Any]:
    sides = {"source_words": source, "target_words": target}
    spans: dict[str, list[dict[str, int]]] = {name: [] for name in sides}
    for name, text in sides.items():
        start = 0
        for word in text.split(" "):
            spans[name].append({"start": start, "end": start + len(word)})
            start += len(word) + 1
    return {
        **pair(language, source, target),
        **spans,
        "links": [{"source": a, "target": b} for a, b in links],
        "confidences": [0.75] * len(links),
    }


def funnel(stage: str, language: str, *steps: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"stage": stage, "language": language, "rule": rule, "rows_in": a, "rows_out": b} for rule, a, b in steps]


def histogram(language: str) -> list[dict[str, Any]]:
    """Two scores in four bins each: one with a cut, one without."""
    return [
        {"language": language, "score": score, "low": start / 4, "high": (start + 1) / 4, "pairs": 10 * start + 5, "cut": cut}
        for score, cut in (("e5", 0.5), ("laser_score", None))
        for start in range(4)
    ]


def cut_examples(language: str) -> list[dict[str, Any]]:
    sides = {"source": f"at the cut {HOSTILE}", "target": f"{language} {HOSTILE}"}
    return [
        {"language": language, "score": "e5", "value": value, "kept": value >= 0.5, **sides} for value in (0.5625, 0.5, 0.4375)
    ]


def write_results(root: Path) -> dict[str, Path]:
    """Write the result of each stage."""
    for language in LANGUAGES:
        good = [pair(language, f"good {number}", f"{language} {number}") for number in range(8)]
        dropped = [pair(language, f"bad {number} {HOSTILE}", None, rule="empty") for number in range(9)]
        put(root / "download" / "pairs" / language / "00-x.parquet", [*good, pair(language, "new", None)], schema.PAIR)
        put(root / "clean" / "pairs" / f"{language}.parquet", good, schema.PAIR)
        put(root / "clean" / "rejected" / f"{language}.parquet", dropped, schema.REJECTED)
        put(root / "clean" / "scores" / f"{language}.parquet", histogram(language), schema.SCORE_HISTOGRAM)
        put(root / "clean" / "score_examples" / f"{language}.parquet", cut_examples(language), schema.SCORE_EXAMPLES)
        lines = [
            aligned(
                language,
                f"this is {HOSTILE.split(maxsplit=1)[0]} bread",
                "voici du pain <b>frais</b>",
                [(0, 0), (1, 2), (2, 1), (3, 3)],
            )
        ]
        put(root / "align" / "pairs" / f"{language}.parquet", lines, schema.ALIGNED)
        entries = [
            *(("bread", "pain", 5, 1.0, 0.5), (f"b{HOSTILE}", "b", 4, 1.0, 0.5)),
            *((".", "!", 9, 1.0, 1.0), ("la", "the", 7, 0.5, 0.5)),
        ]
        lexicon = {name: list(column) for name, column in zip(_LEXICON, zip(*entries, strict=True), strict=True)}
        (root / "align" / "models" / language).mkdir(parents=True)
        pq.write_table(pa.table(lexicon), root / "align" / "models" / language / "lexicon.parquet")
    put(
        root / "clean" / "funnel.parquet",
        [r for t in LANGUAGES for r in funnel("clean", t, ("empty", 17, 8), ("long", 8, 8))],
        schema.FUNNEL,
    )
    put(
        root / "shard" / "funnel.parquet",
        [r for t in LANGUAGES for r in funnel("shard", t, ("held-out text", 8, 6))],
        schema.FUNNEL,
    )
    figures = {
        "pairs": 8,
        "links_per_pair": 2.5,
        "source_fertility_shares": [0.25, 0.5, 0.125, 0.125],
        "target_fertility_shares": [0.1, 0.9, 0.0, 0.0],
    }
    (root / "align" / "summary.json").write_text(json.dumps(dict.fromkeys(LANGUAGES, figures)))
    corpus = {
        "corpus": f"corpus {HOSTILE}",
        "kind": "files",
        "version": "1",
        "licence": HOSTILE,
        "address": "x.en",
        "sha256": "00",
    }
    (root / "download" / "provenance.json").write_text(
        json.dumps([{**corpus, "pairs": {"fr": 8, "ar": 8}, "untranslated": {"fr": 1}}])
    )
    (root / "translate").mkdir()
    write_training(root / "train")
    put(root / "evaluate" / "scores.parquet", scores(), schema.SCORES)
    put(root / "evaluate" / "differences.parquet", differences(), schema.DIFFERENCES)
    put(root / "evaluate" / "averages.parquet", averages(), schema.AVERAGES)
    (root / "evaluate" / "protocol.json").write_text(json.dumps(protocol()), encoding="utf-8")
    put(root / "evaluate" / "tokens.parquet", tokens(), schema.TOKEN_STATES)
    put(root / "evaluate" / "gradients.parquet", gradients(), schema.GRADIENTS)
    put(root / "evaluate" / "changed_items.parquet", changed_items(), schema.CHANGED_ITEMS)
    put(root / "evaluate" / "length_scores.parquet", length_scores(), schema.LENGTH_SCORES)
    put(root / "evaluate" / "geometry.parquet", geometry(), schema.GEOMETRY)
    put(root / "evaluate" / "translate_train.parquet", modes(), schema.TRANSLATE_TRAIN)
    return {stage: root / stage for stage in STAGES}


def write_training(folder: Path, steps: int = 400) -> None:
    rows = [
        {"step": n + 1, "loss": 3 - n / 100, "contrastive": 2 - n / 100, "mlm": None, "learning_rate": 1e-3, "gradient_norm": 1.0}
        for n in range(steps)
    ]
    put(folder / "steps.parquet", rows, schema.STEPS)
    pooling = {"layers": [1, 2], "tokens": "mean", "origin": "scratch", "accuracies": {}}
    (folder / "pooling.json").write_text(json.dumps(pooling))
    judgements = [
        {"step": step, "metric": metric, "language": language, "value": value + step / 4000, "items": 50}
        for step in range(0, steps + 1, 100)
        for metric, value in (("sentence-retrieval", 0.5), ("word-retrieval", 0.2))
        for language in LANGUAGES[:2]
    ]
    put(folder / "judgements.parquet", judgements, schema.JUDGEMENTS)
    tried = [
        {"interpolate": value, "sentence_retrieval": value, "word_retrieval": 0.4, "figure": 0.2 + value / 2}
        for value in (0.5, 0.6)
    ]
    selection = {"step": 300, "steps": steps, "average_steps": 20, "interpolate": 0.6, "candidates": tried}
    (folder / "model_selection.json").write_text(json.dumps(selection))
    speed = [json.dumps({"step": step, "pairs_per_s": 100.0 + step, "tokens_per_s": 1000.0}) for step in (100, 200, 300)]
    (folder / "speed.jsonl").write_text("\n".join([*speed, '{"step": 40']))


def records() -> list[StageRecord]:
    return [
        StageRecord(
            stage=stage,
            key=f"{number}" * 64,
            cached=number < 3,
            seconds=12.5 * number,
            metrics={"pairs": 1000 * number, "share": None, "note": HOSTILE},
            created="2026-11-22T10:00:00+00:00",
            versions={"python": "3.11", "mlctl": "0.1.0" if number else "0.0.9"},
            inputs={STAGES[number - 1]: "f" * 64} if number else {},
            bytes=10**number,
        )
        for number, stage in enumerate(STAGES)
    ]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    values = {"name": "tiny", "languages": {"targets": [*LANGUAGES, "sw"]}, "report": {"title": f"Run {HOSTILE}"}}
    return config.parse(values)
