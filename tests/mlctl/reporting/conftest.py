"""Results of a small run, made by hand; some of their text would like to be markup."""

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

HOSTILE = '</script><script>alert("x")</script><img src=http://evil.example/x.png onerror=alert(1)>'
STAGES = ("download", "clean", "translate", "align", "shard", "train", "evaluate")
LANGUAGES = ("fr", "ar")
_LEXICON = ("source", "target", "count", "forward", "backward")


def put(path: Path, rows: Sequence[dict[str, Any]], fields: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=fields), path)


def pair(language: str, source: str, target: str | None, **more: Any) -> dict[str, Any]:
    fixed = {"source_language": "en", "target_language": language, "corpus": f"corpus {HOSTILE}", "version": "1"}
    return {**fixed, "licence": "CC0-1.0", "origin": "x:1", "synthetic": "", "source": source, "target": target, **more}


def scored(model: str, task: str, language: str, direction: str, value: float, items: int) -> dict[str, Any]:
    fixed = {"model": model, "task": task, "language": language, "direction": direction}
    return {**fixed, "metric": "accuracy", "value": value, "items": items, "seed": None}


def differences() -> list[dict[str, Any]]:
    figures = {"base": 0.15, "trained": 0.6, "base_deviation": None, "trained_deviation": None, "difference": 0.45}
    sure = {"low": 0.35, "high": 0.55, "p": 0.001, "corrected": 0.002, "significant": True}
    return [
        {"task": task, "language": language, "metric": "accuracy", "zero_shot": True, "items": 100, "seeds": 1, **figures, **sure}
        for task in ("sentence-retrieval", "word-retrieval")
        for language in sorted(LANGUAGES)
    ]


def scores() -> list[dict[str, Any]]:
    values = {"base": (0.1, 0.2), "trained": (0.5, 0.7)}
    return [
        scored(model, task, language, direction, values[model][way], 100)
        for task in ("sentence-retrieval", "word-retrieval")
        for language in LANGUAGES
        for way, direction in enumerate((f"en→{language}", f"{language}→en"))
        for model in ("base", "trained")
    ]


def tokens() -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "language": language,
            "meaning": meaning,
            "text": f"sentence {meaning} in {language} {HOSTILE}",
            "token": f"token{place} {HOSTILE}",
            "state": [math.cos(meaning + 0.1 * place), math.sin(meaning * place), float(meaning), 0.1 * len(language + model)],
        }
        for model in ("base", "trained")
        for meaning in range(3)
        for language in ("en", *LANGUAGES)
        for place in range(4)
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


def write_results(root: Path) -> dict[str, Path]:
    """Write what each stage leaves behind, at the names of the contract."""
    for language in LANGUAGES:
        good = [pair(language, f"good {number}", f"{language} {number}") for number in range(8)]
        dropped = [pair(language, f"bad {number} {HOSTILE}", None, rule="empty") for number in range(9)]
        put(root / "download" / "pairs" / language / "00-x.parquet", [*good, pair(language, "new", None)], schema.PAIR)
        put(root / "clean" / "pairs" / f"{language}.parquet", good, schema.PAIR)
        put(root / "clean" / "rejected" / f"{language}.parquet", dropped, schema.REJECTED)
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
    figures = {"pairs": 8, "links_per_pair": 2.5, "source_words": [0.25, 0.5, 0.125, 0.125], "target_words": [0.1, 0.9, 0.0, 0.0]}
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
    put(root / "evaluate" / "tokens.parquet", tokens(), schema.TOKEN_STATES)
    return {stage: root / stage for stage in STAGES}


def write_training(folder: Path, steps: int = 400) -> None:
    rows = [
        {"step": n + 1, "loss": 3 - n / 100, "contrastive": 2 - n / 100, "mlm": None, "learning_rate": 1e-3, "gradient_norm": 1.0}
        for n in range(steps)
    ]
    put(folder / "steps.parquet", rows, schema.STEPS)
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
