"""`mlctl leaderboard`: every evaluation of some stores, on one page and as a table."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import judged_models as made
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from mlctl.cli.main import main
from mlctl.evaluation.statistics.model_comparison import difference_rows
from mlctl.evaluation.statistics.run_comparison import read_scores
from mlctl.pipeline import leaderboard as pipeline
from mlctl.pipeline import leaderboard_columns
from mlctl.reporting.leaderboard_data import BoardColumn, BoardModel, Leaderboard
from storage import Store

XLMR = made.MadeModel("xlm-roberta-base", 0.1)
ONE, TWO = made.MadeModel("one", 0.3), made.MadeModel("two", 0.35)
OTHER = made.MadeModel("other", 0.2)
CODE = """
import sys
from mlctl.cli.main import main
code = main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in sys.modules} & {"prefect", "torch", "transformers"}
sys.exit(f"loaded {loaded}" if loaded else code)
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores: trainings of mBERT that differ in the seed, and of another encoder; `one` is in both."""
    root = tmp_path_factory.mktemp("stores")
    first, second = made.open_store(root / "first"), made.open_store(root / "second")
    made.write_evaluation(first, made.recipe("refine"), made.MBERT, ONE)
    made.write_evaluation(first, made.recipe("refine", seed=1), made.MBERT, TWO, overrides=["train.seed=1"])
    made.write_evaluation(second, made.recipe("refine"), made.MBERT, ONE)
    both = dataclasses.replace(made.TATOEBA, settings={"direction": "both"})
    tasks = (both, made.XNLI, made.SENTENCES)
    made.write_evaluation(second, made.recipe("swahili", model=XLMR.name), XLMR, OTHER, tasks, heldout="other pairs")
    return root / "first", root / "second"


@pytest.fixture(scope="module")
def board(stores: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    opened = [(str(path), Store(path)) for path in stores]
    return pipeline.leaderboard(opened, (), tmp_path_factory.mktemp("page") / "board.html", ())


def column(board: Leaderboard, task: str, note: str = "") -> BoardColumn:
    return next(one for one in board.columns if one.task == task and note in one.note)


def model(board: Leaderboard, name: str, run: int = 0) -> BoardModel:
    return [one for one in reversed(board.models) if one.name == name][run]


def outcome(column: BoardColumn, first: BoardModel, second: BoardModel, language: str = "") -> tuple[float, ...]:
    """Difference, limits and p of two models."""
    tests = column.language_tests[language] if language else column.mean_tests
    pairs = list(itertools.combinations(tests.models, 2))
    turned = (first.id, second.id) not in pairs
    index = pairs.index((second.id, first.id) if turned else (first.id, second.id))
    difference, low, high = (column[index] for column in (tests.difference, tests.low, tests.high))
    return (-difference, -high, -low, tests.p[index]) if turned else (difference, low, high, tests.p[index])


def test_each_model_is_on_the_board_once(board: Leaderboard) -> None:
    assert sorted((one.name, one.kind, len(one.stores), len(one.runs)) for one in board.models) == [
        ("bert-base-multilingual-cased", "base", 2, 0),
        ("refine", "trained", 1, 1),
        ("refine", "trained", 2, 2),
        ("swahili", "trained", 1, 1),
        ("xlm-roberta-base", "base", 1, 0),
    ]
    one, two = model(board, "refine"), model(board, "refine", 1)
    assert one.family == two.family != model(board, "swahili").family
    assert [one.changes, two.changes] == [[], ["train.seed=1"]]
    assert board.left_out == []


def test_only_scores_of_the_same_items_share_a_column(board: Leaderboard) -> None:
    assert {(one.task, one.note): len({name for names in one.scores.values() for name in names}) for one in board.columns} == {
        ("tatoeba", ""): 3,
        ("tatoeba", "direction: both"): 2,
        ("xnli", ""): 5,
        ("udpos", ""): 3,
        ("sentence-retrieval", "set 1: refine"): 3,
        ("sentence-retrieval", "set 2: swahili"): 2,
    }
    assert [one.task for one in board.columns][-2:] == ["sentence-retrieval"] * 2, "held-out pairs are last"


def test_scores_are_those_of_the_results(board: Leaderboard, stores: tuple[Path, Path]) -> None:
    folder = Store(stores[1]).folder(*model(board, "swahili").results[0].split("/"))
    rows = pq.read_table(folder / "differences.parquet").to_pylist()
    assert len(rows) == 8
    for row in rows:
        of_task = column(board, row["task"], {"tatoeba": "both", "sentence-retrieval": "swahili"}.get(row["task"], ""))
        for role, name in (("base", XLMR.name), ("trained", "swahili")):
            score = of_task.scores[row["language"]][model(board, name).id]
            assert sum(score.seeds) / len(score.seeds) == pytest.approx(row[role])
            assert (len(score.seeds), score.items) == (row["seeds"], row["items"])
    assert column(board, "udpos").scores["de"][model(board, "refine").id].others == {"recall": 0.5}


@pytest.mark.parametrize("names", [(made.MBERT.name, "refine"), ("refine", "swahili"), ("swahili", made.MBERT.name)])
def test_two_models_are_tested_as_runs_are(board: Leaderboard, stores: tuple[Path, Path], names: tuple[str, str]) -> None:
    """In one result and in two: equal to `difference_rows` of their items, for each language and in the mean."""
    models = [model(board, name) for name in names]
    results = []
    for one, role in zip(models, ("base", "trained"), strict=True):
        store = next(path for path in stores if (path / one.results[0]).is_dir())
        results += list(read_scores(store / one.results[0], "base" if one.kind == "base" else "trained", role))
    rows, averages = difference_rows([result for result in results if result.task == "xnli"], board.resamples, 0)
    for row in rows:
        found = outcome(column(board, "xnli"), *models, row["language"])
        assert found == pytest.approx([row[name] for name in ("difference", "low", "high", "p")], abs=1e-9)
    found = outcome(column(board, "xnli"), *models)
    assert found == pytest.approx([averages[0][name] for name in ("difference", "low", "high", "p")], abs=1e-9)


def test_many_pairs_are_tested_in_the_mean_alone(
    stores: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_LANGUAGE_TESTS", 3)
    board = pipeline.leaderboard([("first", Store(stores[0]))], (), tmp_path / "board.html", ())
    assert leaderboard_columns.MAX_LANGUAGE_TESTS > 3
    assert [one.language_tests for one in board.columns] == [{}] * 4
    assert all(0 < p <= 1 for one in board.columns for p in one.mean_tests.p)
    assert "too many pairs of models" in (tmp_path / "board.html").read_text(encoding="utf-8")


def test_a_champion_is_called_by_its_recipe(tmp_path: Path) -> None:
    store = made.open_store(tmp_path / "store")
    made.write_evaluation(store, made.recipe("news"), made.MBERT, ONE)
    challenge = made.write_evaluation(store, made.recipe("news", seed=1), ONE, TWO, stage="challenge", tasks=(made.TATOEBA,))
    made.write_evaluation(store, made.recipe("old"), OTHER, TWO, stage="challenge", tasks=(made.XNLI,))
    board = pipeline.leaderboard([("store", store)], (), tmp_path / "board.html", ())
    assert sorted((one.kind, one.name) for one in board.models) == [
        ("base", made.MBERT.name),
        ("base", f"earlier champion {OTHER.entry['weights'][:8]}"),
        ("trained", "news"),
        ("trained", "news"),
    ]
    assert len(column(board, "tatoeba").scores["de"]) == 3, "of an evaluation and a challenge"
    assert challenge.manifest.stage == "challenge"


def damaged_store(path: Path) -> dict[str, str]:
    """A store with one good result and one of each kind that cannot be used; returns the reasons by result."""
    store = made.open_store(path)
    made.write_evaluation(store, made.recipe("good"), made.MBERT, ONE)
    names = ("missing", "changed", "manifest", "foreign", "unfinished", "unreadable")
    results = {name: made.write_evaluation(store, made.recipe(name), made.MBERT, made.MadeModel(name, 0.1)) for name in names}
    folders = {name: result.folder for name, result in results.items()}
    (folders["missing"] / "items.parquet").unlink()
    (folders["changed"] / "protocol.json").write_text("{}")
    (folders["manifest"] / "manifest.json").write_text("{")
    (folders["foreign"] / "manifest.json").unlink()
    for file in (*folders["unfinished"].iterdir(), *folders["unreadable"].iterdir()):
        file.unlink()
    (folders["unfinished"] / ".unfinished").touch()
    folders["unreadable"].rmdir()
    reasons = {
        "missing": "damaged: items.parquet: missing",
        "changed": "damaged: protocol.json: 2 bytes, written with",
        "manifest": "damaged: its manifest is unreadable",
        "foreign": "damaged: its manifest is missing",
        "unfinished": "it was not finished",
    }
    return {f"evaluate/{folders[name].name}": reason for name, reason in reasons.items()}


def test_what_is_left_out_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = damaged_store(tmp_path / "store")
    assert main(["leaderboard", str(tmp_path / "store"), "--page", str(tmp_path / "board.html")]) == 0
    told, text = capfd.readouterr().out, (tmp_path / "board.html").read_text(encoding="utf-8")
    assert told.count("left out: ") == len(expected)
    for result, reason in expected.items():
        assert re.search(rf"left out: {re.escape(result[:20])} of .*: {re.escape(reason)}", told), reason
        assert result in text
        assert reason in text
    assert "2 models, 4 tasks" in told


def test_results_of_older_versions(tmp_path: Path) -> None:
    """One without a column that came later is used; one whose protocol is in another form is left out with the reason."""
    store = made.open_store(tmp_path / "store")
    old = made.write_evaluation(store, made.recipe("old"), made.MBERT, ONE, version=3)
    rewrite(store, old.folder, lambda protocol: protocol["models"]["base"].pop("pooling"))
    oldest = made.write_evaluation(store, made.recipe("oldest"), made.MBERT, TWO, version=2)
    rewrite(store, oldest.folder, lambda protocol: protocol["benchmarks"][0].pop("metadata"))
    board = pipeline.leaderboard([("store", store)], (), tmp_path / "board.html", ())
    assert [one.name for one in board.models if one.kind == "trained"] == ["old"]
    [left_out] = board.left_out
    assert left_out.reason == "an older mlctl made it (evaluate 2), or it is unreadable: KeyError 'metadata'"


def rewrite(store: Store, folder: Path, change: Any) -> None:
    """Change the protocol of a result, with a new manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    protocol = json.loads((folder / "protocol.json").read_text())
    change(protocol)
    stage, key = folder.parent.name, folder.name
    others = {name: (folder / name).read_bytes() for name in ("scores.parquet", "items.parquet", "differences.parquet")}
    shutil.rmtree(folder)
    from mlctl.core.workspace import Workspace
    from storage import Draft

    with store.building(stage, key) as draft:
        assert isinstance(draft, Draft)
        workspace = Workspace(draft.folder)
        for name, content in {**others, "protocol.json": json.dumps(protocol).encode()}.items():
            with workspace.part(name) as path:
                path.write_bytes(content)
        draft.seal(manifest["parts"], manifest["inputs"], {}, {})


def test_held_out_scores_without_their_pairs_are_not_compared(tmp_path: Path) -> None:
    store = made.open_store(tmp_path / "store")
    for one in (ONE, TWO):
        result = made.write_evaluation(store, made.recipe("lost"), made.MBERT, one)
    shutil.rmtree(store.folder("shard", result.manifest.inputs["shard"]))
    board = pipeline.leaderboard([("store", store)], (), tmp_path / "board.html", ())
    assert [len(one.scores["de"]) for one in board.columns if one.task == "sentence-retrieval"] == [2, 2]
    assert len(column(board, "xnli").scores["de"]) == 3


def test_tables(stores: tuple[Path, Path], tmp_path: Path) -> None:
    files = [tmp_path / "new" / "board.csv", tmp_path / "board.parquet"]
    options = [text for file in files for text in ("--table", str(file))]
    assert main(["leaderboard", *map(str, stores), "--page", str(tmp_path / "board.html"), *options]) == 0
    table = pq.read_table(files[1]).to_pylist()
    [row] = [one for one in table if (one["name"], one["task"], one["language"]) == ("swahili", "xnli", "sw")]
    assert (row["kind"], row["metric"], row["main"], row["seeds"], row["items"]) == ("trained", "accuracy", True, 2, 60)
    values = [one["deviation"] for one in table if one["task"] == "xnli" and one["kind"] != "published"]
    assert 0 < max(values) < 0.2
    assert {one["deviation"] for one in table if one["task"] == "tatoeba"} == {None}
    assert {one["set"] for one in table if one["task"] == "tatoeba" and one["kind"] != "published"} == {"", "direction: both"}
    assert {one["main"] for one in table if one["metric"] == "recall"} == {False}
    published = next(one for one in table if one["name"] == "XLM-R large" and one["task"] == "xnli")
    assert (published["kind"], published["score"], published["seeds"]) == ("published", 0.792, None)
    assert "2003.11080" in published["source"]
    assert csv.read_csv(files[0]).num_rows == len(table)


def test_a_store_behind_a_url(stores: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that are behind the URL alone are downloaded; shards are not."""
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "writer"))
    url = "memory://leaderboard"
    made.write_evaluation(Store(url), made.recipe("shared"), made.MBERT, ONE)
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "reader"))
    arguments = ["leaderboard", url, str(stores[0]), "--page", str(tmp_path / "board.html")]
    assert main(arguments) == 0
    text = (tmp_path / "board.html").read_text(encoding="utf-8")
    assert "3 models" in text
    assert url in text
    assert not list((tmp_path / "reader").glob("*/shard"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{first}", "--only", "nothing"], "no model matches 'nothing'"),
        (["{first}", "--table", "{tmp}/board.xlsx"], "board.xlsx ends in neither .csv nor .parquet"),
        (["{tmp}/none"], "there is no store at"),
        (["{tmp}"], "no model was evaluated in"),
        (["{first}", "--page", "{first}/evaluate"], "evaluate: it is a folder"),
        (["{first}", "--page", "{file}/board.html"], "cannot write"),
    ],
)
def test_errors(
    stores: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    (tmp_path / "file").touch()
    given = [text.format(first=stores[0], tmp=tmp_path, file=tmp_path / "file") for text in arguments]
    assert main(["leaderboard", "--page", str(tmp_path / "board.html"), *given]) == 1
    error = capfd.readouterr().err
    assert told in error
    assert "--store" not in error
    assert (stores[0] / "evaluate").is_dir()
    assert not (tmp_path / "board.html").exists()


def test_only_some_models(stores: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "SEED=1", "--only", "multilingual", "--page", str(tmp_path / "board.html")]
    assert main(["leaderboard", *map(str, stores), *arguments]) == 0
    assert "2 models, 4 tasks" in capfd.readouterr().out
    assert "swahili" not in (tmp_path / "board.html").read_text(encoding="utf-8")


def test_it_starts_fast(stores: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, "leaderboard", str(stores[0])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "leaderboard.html").exists()
