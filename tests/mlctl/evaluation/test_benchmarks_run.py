"""Published benchmarks in the stage: tables, cache across runs, SIGKILL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model, parse
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, digests, evaluate
from mlctl.pipeline.stage import StageContext
from mlctl.pipeline.stages.evaluate import CACHE_FOLDER, STAGE
from mlctl.reporting import tables
from mlctl.reporting.benchmark_section import benchmark_context

from .conftest import entry, save_tokenizer, settings
from .tasks import published_sets
from .tasks.test_finetuned import QUICK, panx
from .tasks.test_published import bucc, ntrex, tatoeba

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]
FRENCH = Languages(source="en", targets=("fr",))


@pytest.fixture
def sharded(write_sharded: Write, copied_rows: Rows, trained: Path) -> Path:
    for name in ("base", "model"):
        save_tokenizer(trained / name)
    return write_sharded({"fr": copied_rows("fr")})


def run(sharded: Path, trained: Path, root: Path, evaluate_settings: Evaluate, **more: Any) -> dict[str, float | int]:
    more = {"score_cache": ScoreCache(root / "parts"), **more}
    return evaluate(evaluate_settings, Model(), FRENCH, 0, sharded, trained, Workspace(root / "out"), **more)


def table(root: Path, name: str) -> list[dict[str, Any]]:
    return list(pq.read_table(root / "out" / f"{name}.parquet").to_pylist())


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "out").glob("*.*") if path.is_file()}


def test_tables_of_a_run(sharded: Path, trained: Path, tmp_path: Path) -> None:
    entries = entry("tatoeba", tatoeba(tmp_path / "t")), entry("ntrex", ntrex(tmp_path / "n"), languages=["sw"])
    metrics = run(sharded, trained, tmp_path, settings(*entries, pooling="search", resamples=200))
    for name, fields in (
        ("scores", schema.SCORES),
        ("items", schema.ITEMS),
        ("differences", schema.DIFFERENCES),
        ("averages", schema.AVERAGES),
    ):
        assert pq.read_schema(tmp_path / "out" / f"{name}.parquet") == fields
    differences = {(row["task"], row["language"]): row for row in table(tmp_path, "differences")}
    assert {language for task, language in differences if task == "tatoeba"} == {"de", "zh"}
    for row in differences.values():
        values = {m: _value(tmp_path, row, m) for m in ("base", "trained")}
        assert (row["base"], row["trained"]) == pytest.approx((values["base"], values["trained"]))
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["p"] <= row["corrected"]
    assert differences["ntrex", "sw"]["significant"]
    assert differences["ntrex", "sw"]["items"] == 20, "both directions ask about the same sentences"
    mean = next(row for row in table(tmp_path, "averages") if row["task"] == "tatoeba")
    assert mean["languages"] == 2
    assert mean["trained"] == pytest.approx(
        (differences["tatoeba", "de"]["trained"] + differences["tatoeba", "zh"]["trained"]) / 2
    )
    assert metrics["tatoeba_trained"] == mean["trained"]
    protocol = json.loads((tmp_path / "out" / "protocol.json").read_text())
    assert [one["metadata"]["task"] for one in protocol["benchmarks"]] == ["tatoeba", "ntrex"]
    assert protocol["models"]["base"]["pooling_search"]["language"] == "fr"


def test_further_protocols_are_tasks_of_their_own(sharded: Path, trained: Path, tmp_path: Path) -> None:
    for root, protocols in ((tmp_path / "xtreme", []), (tmp_path / "all", ["layer-mixture", "checkpoint-average"])):
        one = entry("panx", panx(tmp_path / "p"), protocols=protocols, **QUICK)
        run(sharded, trained, root, settings(one, resamples=200, seeds=[0, 1]))
    scores = [row for row in table(tmp_path / "all", "scores") if row["task"].startswith("panx")]
    by_task = {task: [row for row in scores if row["task"] == task] for task in dict.fromkeys(row["task"] for row in scores)}
    assert set(by_task) == {"panx", "panx-layer-mixture", "panx-checkpoint-average"}
    assert by_task["panx"] == [row for row in table(tmp_path / "xtreme", "scores") if row["task"] == "panx"]
    weights = [path.read_bytes() for path in (tmp_path / "all/parts").rglob("model.safetensors")]
    assert len(set(weights)) == len(weights) == 12, "two models, two seeds, and three fine-tunings of each"
    assert all({row["seed"] for row in rows} == {0, 1} for rows in by_task.values())
    metadata = [one["metadata"] for one in json.loads((tmp_path / "all/out/protocol.json").read_text())["benchmarks"]]
    assert [one["title"].partition(", ")[2] for one in metadata] == ["", "mixture of layers", "checkpoint average"]
    assert {row["task"] for row in table(tmp_path / "all", "averages")} >= set(by_task)


def test_retrieval_similarity_and_learned_sets_in_one_run(sharded: Path, trained: Path, tmp_path: Path) -> None:
    learned = {"epochs": 1, "batch_size": 8, "learning_rate": 5e-3, "test_examples": 8}
    names = ("flores", "lareqa", "mewslix", "sts17", "sts22", "sib200", "belebele")
    entries = [
        entry(name, getattr(published_sets, name)(tmp_path / name), **(learned if name in ("sib200", "belebele") else {}))
        for name in names
    ]
    run(sharded, trained, tmp_path, settings(*entries, pooling="last", resamples=100, seeds=[0]))
    expected = {
        "flores": "de zh",
        "flores-xsim": "de zh",
        "flores-xsim-plus-plus": "de zh",
        "lareqa": "de en zh",
        "mewslix": "de tr",
        "sts17": "de es",
        "sts17-monolingual": "ar en",
        "sts22": "de",
        "sts22-monolingual": "pl",
        "sib200": "de en zh",
        "belebele": "de en zh",
    }
    differences = table(tmp_path, "differences")
    found = {task: " ".join(row["language"] for row in differences if row["task"] == task) for task in expected}
    assert found == expected
    for row in differences:
        assert (row["base"], row["trained"]) == pytest.approx(
            (_value(tmp_path, row, "base"), _value(tmp_path, row, "trained")), abs=1e-5
        )
        assert row["low"] <= row["difference"] <= row["high"]
    constant = {row["task"]: row["base"] for row in table(tmp_path, "averages") if not row["task"].startswith(("sib", "bele"))}
    assert set(constant.values()) == {0}, "the base model gives all texts one vector"
    gained = {row["task"]: row["text"] for row in table(tmp_path, "changed_items") if row["change"] == "gained"}
    assert gained.keys() >= {"flores", "flores-xsim", "lareqa", "mewslix"}
    assert all(gained.values())
    assert {row["task"] for row in differences if row["significant"]} >= {"flores", "flores-xsim", "lareqa", "sts17", "sts22"}
    figures = {
        "protocol": tables.protocol(tmp_path / "out"),
        "benchmark": tables.benchmark_rows(tmp_path / "out"),
        "means": tables.mean_rows(tmp_path / "out"),
        "scores": tables.score_rows(tmp_path / "out"),
        "translate_train": tables.mode_rows(tmp_path / "out"),
    }
    context = benchmark_context(figures)
    cards = {one["metadata"]["task"]: one["metadata"] for one in context["benchmarks"]}
    assert list(cards) == list(expected)
    assert all(card[name] for card in cards.values() for name in ("title", "citation", "licence", "protocol", "revision"))
    titles = {task: rows[0]["title"] for task, rows in context["tasks"]}
    assert {task: titles[task] for task in expected} == {task: card["title"] for task, card in cards.items()}
    bias = [row["trained"] for row in context["scores"] if (row["task"], row["metric"]) == ("lareqa", "same_language")]
    assert len(bias) == 3
    assert all(0 < share < 1 for share in bias)


def _value(root: Path, row: dict[str, Any], model: str) -> float:
    """Recompute a score from its items."""
    items = [
        item
        for item in table(root, "items")
        if (item["model"], item["task"], item["language"]) == (model, row["task"], row["language"])
    ]
    return sum(item["part"] for item in items) / sum(item["whole"] for item in items)


def test_a_new_language_computes_that_language_alone(sharded: Path, trained: Path, tmp_path: Path) -> None:
    folder, cache = tatoeba(tmp_path / "t"), ScoreCache(tmp_path / "parts")
    run(
        sharded, trained, tmp_path / "one", settings(entry("tatoeba", folder, languages=["de"]), resamples=100), score_cache=cache
    )
    before = {path: path.stat().st_ino for path in (tmp_path / "parts").iterdir()}
    run(
        sharded,
        trained,
        tmp_path / "two",
        settings(entry("tatoeba", folder, languages=["de", "zh"]), resamples=100),
        score_cache=cache,
    )
    after = {path: path.stat().st_ino for path in (tmp_path / "parts").iterdir()}
    assert {
        path: file for path, file in after.items() if path in before
    } == before  # an entry that is computed again is another file
    assert len(after) - len(before) == 2, "one score of either model"
    run(sharded, trained, tmp_path / "new", settings(entry("tatoeba", folder, languages=["de", "zh"]), resamples=100))
    assert contents(tmp_path / "two") == contents(tmp_path / "new")


@pytest.mark.parametrize("change", ["weights", "data", "settings", "pooling"])
def test_what_changes_a_score_makes_it_anew(sharded: Path, trained: Path, tmp_path: Path, change: str) -> None:
    folder, cache = tatoeba(tmp_path / "t", ("deu",)), ScoreCache(tmp_path / "parts")
    evaluate_settings = entry("tatoeba", folder)
    run(sharded, trained, tmp_path / "one", settings(evaluate_settings, resamples=100), score_cache=cache)
    names = {path.name for path in (tmp_path / "parts").glob("tatoeba-*")}
    if change == "weights":
        (trained / "base" / "config.json").write_text((trained / "base" / "config.json").read_text() + "\n")
    if change == "data":
        (folder / "tatoeba.deu-eng.deu").write_text((folder / "tatoeba.deu-eng.deu").read_text().replace("waa", "wab"))
    evaluate_settings = {**evaluate_settings, "direction": "both"} if change == "settings" else evaluate_settings
    pooling = "last" if change == "pooling" else "search"
    run(sharded, trained, tmp_path / "two", settings(evaluate_settings, resamples=100, pooling=pooling), score_cache=cache)
    computed = {path.name for path in (tmp_path / "parts").glob("tatoeba-*")} - names
    assert len(computed) == (1 if change == "weights" else 2)


@pytest.mark.slow
def test_killed_anywhere_and_resumed_the_results_are_equal(sharded: Path, trained: Path, tmp_path: Path) -> None:
    evaluate_settings = settings(
        entry("tatoeba", tatoeba(tmp_path / "t")), entry("bucc", bucc(tmp_path / "b")), resamples=100, pooling="search"
    )
    arguments = [sys.executable, str(Path(__file__).with_name("kill_at.py"))]
    for scores in (2, 6):
        done = subprocess.run(
            [*arguments, str(scores), str(sharded), str(trained), str(tmp_path / "killed"), evaluate_settings.model_dump_json()],
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert not contents(tmp_path / "killed")
    reported: list[tuple[int, int | None]] = []

    def note(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        reported.append((done, total))

    run(sharded, trained, tmp_path / "killed", evaluate_settings, progress=note)
    assert reported[-1] == (8, 8)
    run(sharded, trained, tmp_path / "calm", evaluate_settings)
    assert contents(tmp_path / "killed") == contents(tmp_path / "calm")


def test_languages_that_the_tokenizer_cannot_read_are_left_out(
    sharded: Path, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tatoeba(tmp_path / "t")
    (folder / "tatoeba.cmn-eng.cmn").write_text("从前 有 人\n" * 40)
    run(sharded, trained, tmp_path, settings(entry("tatoeba", folder), resamples=100))
    assert {row["language"] for row in table(tmp_path, "differences") if row["task"] == "tatoeba"} == {"de"}
    assert "Tatoeba: not evaluated, not covered by the tokenizer: zh" in caplog.text


def test_half_precision_is_near(sharded: Path, trained: Path, tmp_path: Path) -> None:
    folder = tatoeba(tmp_path / "t", ("deu",))
    for precision in ("fp32", "bf16"):
        run(sharded, trained, tmp_path / precision, settings(entry("tatoeba", folder), resamples=100, precision=precision))
    one, other = (
        next(row for row in table(tmp_path / precision, "averages") if row["task"] == "tatoeba") for precision in ("fp32", "bf16")
    )
    assert one["trained"] == pytest.approx(other["trained"], abs=0.1)


def test_the_task_keeps_scores_in_the_store(sharded: Path, trained: Path, tmp_path: Path) -> None:
    benchmarks = [entry("tatoeba", tatoeba(tmp_path / "t", ("deu",)))]
    values = {
        "store": str(tmp_path / "store"),
        "languages": {"targets": ["fr"]},
        "evaluate": {"device": "cpu", "benchmarks": benchmarks, "pooling": "search"},
    }
    recipe = parse(values)
    folders = {"shard": sharded, "train": trained}
    STAGE.work(StageContext(recipe, folders, {}, Workspace(tmp_path / "one"), lambda *_, **__: None))
    cached = sorted((tmp_path / "store" / CACHE_FOLDER).glob("*.parquet"))
    assert Counter(file.name.rpartition("-")[0] for file in cached) == {"held-out": 2, "pooling": 2, "tatoeba": 2}
    STAGE.work(StageContext(recipe, folders, {}, Workspace(tmp_path / "two"), lambda *_, **__: None))
    assert sorted((tmp_path / "store" / CACHE_FOLDER).glob("*.parquet")) == cached
    assert STAGE.outside(recipe)["tatoeba.de"] == digests(recipe.evaluate)["tatoeba.de"]
