"""`mlctl evaluate MODEL…`: encoders on a recipe's benchmarks without training, resumable, and on the leaderboard."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from sentence_transformers import SentenceTransformer

from mlctl import config, schema
from mlctl.cli.main import main
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, evaluate
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules
from mlctl.pipeline.encoder_evaluation import evaluate_models
from mlctl.pipeline.encoder_scores import task_scores
from mlctl.pipeline.leaderboard import leaderboard
from storage import Store
from storage.run_log import RunLog

from .conftest import entry, save_encoder, save_tokenizer, sentences

LANGUAGES = {"de": "deu", "fr": "fra"}


class World:
    """A recipe with Tatoeba in two languages, and two encoders: one of random weights, one that gives all text one vector."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        (folder / "data").mkdir()
        for number, code in enumerate(LANGUAGES.values()):
            for side, shift in ((code, 0), ("eng", 17 * number)):
                texts = sentences(20)[:15] + sentences(5, shift + 30)
                (folder / "data" / f"tatoeba.{code}-eng.{side}").write_text("\n".join(texts) + "\n", encoding="utf-8")
        self.tatoeba = entry("tatoeba", folder / "data")
        self.recipe = self.write("x", evaluate={"benchmarks": [self.tatoeba], "device": "cpu"})
        for name, constant in (("random", False), ("constant", True)):
            save_encoder(folder / name, seed=1, constant=constant)
            save_tokenizer(folder / name)
        write_modules(folder / "constant", 16, 2, 32, Pooling((1, 2)))

    def write(self, name: str, **sections: Any) -> Path:
        file = self.folder / f"{name}.yaml"
        values = {
            "name": name,
            "store": str(self.store),
            "languages": {"targets": ["de"]},
            "download": {"sources": []},
            **sections,
        }
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        return file

    @property
    def settings(self) -> Evaluate:
        return Evaluate(benchmarks=[self.tatoeba], device="cpu", embedding_map_sentences=0, changed_items=0)

    def run(self, *arguments: str, recipe: Path | None = None) -> int:
        return main(["evaluate", *arguments, f"--recipe={recipe or self.recipe}"])

    def encoder(self, name: str) -> str:
        return str(self.folder / name)

    def cached(self) -> dict[str, int]:
        """The entries of the score cache, with the numbers of their files: another one is another file."""
        return {path.name: path.stat().st_ino for path in (self.store / "evaluate-parts").glob("tatoeba-*")}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_encoders_side_by_side(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    tables = [world.folder / f"scores.{ending}" for ending in ("csv", "json", "parquet")]
    assert world.run(world.encoder("random"), world.encoder("constant"), *(f"--table={file}" for file in tables)) == 0
    printed = capfd.readouterr().out
    assert "Tatoeba: mean over de, fr" in printed
    rows = pq.read_table(tables[2]).to_pylist()
    assert pq.read_schema(tables[2]) == schema.ENCODER_SCORES
    assert json.loads(tables[1].read_text()) == rows
    assert [float(row["score"]) for row in csv.DictReader(tables[0].open())] == [row["score"] for row in rows]
    scores = {(Path(row["model"]).name, row["language"]): row["score"] for row in rows if row["main"]}
    assert set(scores) == {(name, language) for name in ("random", "constant") for language in LANGUAGES}
    assert scores["constant", "de"] == scores["constant", "fr"] == 0.0, "one vector retrieves nothing"
    assert scores["random", "de"] == 1.0, "every translation is a copy"
    assert 0.7 <= scores["random", "fr"] < 1.0
    mean = 50 * (scores["random", "de"] + scores["random", "fr"])
    assert f"{mean:.1f}" in printed


def test_finished_scores_are_kept_and_the_leaderboard_has_the_encoders(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    def stop(done: int, *_: Any, **__: Any) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_models(config.load(world.recipe), [world.encoder("random")], progress_of=lambda _: stop)
    first = world.cached()
    assert len(first) == 1, "stopped after the first of two languages"
    assert world.run(world.encoder("random"), world.encoder("constant")) == 0
    second = world.cached()
    assert first.items() < second.items(), "it was not computed again"
    assert len(second) == 4
    assert world.run(world.encoder("random"), world.encoder("constant")) == 0
    assert world.cached() == second
    runs = RunLog(Store(world.store)).runs()
    assert [run.status for run in runs] == ["completed"] * 4 + ["interrupted"]
    assert [run.stages[0].state for run in runs[:4]] == ["cached", "cached", "computed", "computed"]
    capfd.readouterr()
    assert main(["runs", f"--store={world.store}"]) == 0
    assert "tatoeba" in capfd.readouterr().out
    board = leaderboard([("s", Store(world.store))], (), world.folder / "board.html", ())
    assert sorted((model.name, model.kind) for model in board.models) == [("constant", "base"), ("random", "base")]
    [column] = board.columns
    assert column.task == "tatoeba"
    assert len(column.mean_tests.p) == 1, "the two encoders are tested against each other"


def test_the_stage_and_the_command_share_their_scores(
    world: World,
    write_sharded: Callable[..., Path],
    copied_rows: Callable[[str], list[dict[str, Any]]],
    trained: Path,
    tmp_path: Path,
) -> None:
    assert world.run(world.encoder("constant")) == 0
    before = world.cached()
    sharded, languages = write_sharded({"de": copied_rows("de")}), Languages(source="en", targets=("de",))
    cache = ScoreCache(world.store / "evaluate-parts")
    base = world.folder / "constant"
    evaluate(
        world.settings, Model(), languages, 0, sharded, trained, Workspace(tmp_path / "out"), score_cache=cache, base_encoder=base
    )
    after = world.cached()
    assert before.items() < after.items()
    assert len(after) == len(before) + len(LANGUAGES), "only those of the trained model"


def test_without_modules_the_last_layer_is_averaged_as_by_sentence_transformers(world: World) -> None:
    assert world.run(world.encoder("random")) == 0
    [result] = [Store(world.store).find("evaluate-encoder", key) for key in Store(world.store).keys("evaluate-encoder")]
    assert result
    protocol = json.loads((result.folder / "protocol.json").read_text(encoding="utf-8"))
    assert protocol["models"]["base"]["sentences"] == "mean over the tokens of layer 2"
    sides = [(world.folder / "data" / f"tatoeba.fra-eng.{side}").read_text().splitlines() for side in ("fra", "eng")]
    vectors = [SentenceTransformer(world.encoder("random"), device="cpu").encode(side, convert_to_tensor=True) for side in sides]
    similar = torch.nn.functional.cosine_similarity(vectors[0][:, None], vectors[1][None], dim=2)
    right = similar.argmax(1) == torch.arange(20)
    rows = [row for row in pq.read_table(result.folder / "scores.parquet").to_pylist() if row["language"] == "fr"]
    assert [row["value"] for row in rows if row["metric"] == "accuracy"] == [pytest.approx(float(right.float().mean()))]


def test_means_are_over_the_languages_of_all_encoders_without_english() -> None:
    def row(model: str, language: str, score: float) -> dict[str, Any]:
        common = {"task": "xnli", "title": "XNLI", "metric": "accuracy", "main": True}
        return {**common, "model": model, "language": language, "score": score}

    rows = [row("a", "en", 0.9), row("a", "de", 0.5), row("a", "sw", 0.1), row("b", "en", 0.8), row("b", "de", 0.6)]
    [task] = task_scores(["a", "b"], rows)
    assert (task.languages, task.left_out, task.means) == (["de"], ["sw"], [0.5, 0.6])
    [english] = task_scores(["a", "b"], [one for one in rows if one["language"] == "en"])
    assert english.means == [0.9, 0.8]
    [nothing] = task_scores(["a", "b"], [row("a", "sw", 0.1), row("b", "de", 0.6)])
    assert nothing.means == [None, None]


def test_some_languages_alone(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run(world.encoder("random"), "--languages=fra,sw") == 0
    assert "Tatoeba: mean over fr\n" in capfd.readouterr().out
    assert world.run(world.encoder("random"), "--languages=sw") == 1
    assert "the recipe has no benchmark in sw" in capfd.readouterr().err


def test_errors_before_anything_is_computed(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bare = world.write("bare")
    searching = world.write("searching", evaluate={"benchmarks": [world.tatoeba], "pooling": "search", "device": "cpu"})
    good = world.encoder("random")
    cases = [
        ([good, "no/such-model"], world.recipe, "'no/such-model'"),
        ([good], bare, "the recipe has no benchmark"),
        ([good], searching, "evaluate.pooling: `search` selects the pooling on held-out pairs, and there are none"),
        ([good, "--table=x.txt"], world.recipe, "x.txt ends in none of .csv, .json, .parquet"),
        ([good, "evaluate.sedes=[0]"], world.recipe, "evaluate.sedes"),
    ]  # fmt: skip
    for arguments, recipe, message in cases:
        assert world.run(*arguments, recipe=recipe) == 1
        assert message in capfd.readouterr().err
    for arguments, message in (
        (["refin"], "no recipe 'refin'"),
        ([str(world.recipe), good], f"{world.recipe} is a recipe"),
        (["evaluate.seeds=[0]"], "neither a recipe nor an encoder is named"),
    ):
        assert main(["evaluate", *arguments]) == 1
        assert message in capfd.readouterr().err
    assert world.cached() == {}
