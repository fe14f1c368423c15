"""A model that is worse than its base model is exported and promoted on demand only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlctl.cli.main import main
from mlctl.config import Recipe, parse
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.pipeline import retraining, run_log
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.stage import Ref
from storage import Draft, Store

FIGURES = "Tatoeba 88.0 → 82.5 (−5.5, 95% interval −7.0 … −4.1)"
STAGES = ("shard", "train", "evaluate", "report")


def row(difference: float) -> dict[str, Any]:
    scores = {
        "base": 0.88,
        "trained": 0.88 + difference,
        "difference": difference,
        "low": difference - 0.015,
        "high": difference + 0.014,
    }
    return {"task": "tatoeba", "metric": "accuracy", "languages": 2, **scores, "significant": True}


def results(store: Store, letter: str, difference: float) -> dict[str, str]:
    """Results as a run leaves them, whose model gains so much on Tatoeba."""
    metadata = {"task": "tatoeba", "title": "Tatoeba"}
    figures = {"benchmark": [], "means": [row(difference)], "protocol": {"benchmarks": [{"metadata": metadata}]}}
    files = {
        "train": {"model/config.json": "{}"},
        "report": {"README.md": "", "ATTRIBUTION.md": "", "figures.json": json.dumps(figures)},
    }
    keys = dict.fromkeys(STAGES, letter * 24)
    for number, stage in enumerate(STAGES):
        with store.building(stage, keys[stage]) as draft:
            assert isinstance(draft, Draft)
            for name, text in files.get(stage, {"data": letter}).items():
                with Workspace(draft.folder).part(name) as path:
                    path.write_text(text, encoding="utf-8")
            draft.seal({}, {earlier: keys[earlier] for earlier in STAGES[:number]}, {}, {})
    return keys


class World:
    """A store with a run for each of a worse model, `a`, and a better one, `b`."""

    def __init__(self, folder: Path) -> None:
        self.file, self.store = folder / "x.yaml", Store(folder / "store")
        self.file.write_text(f"name: x\nstore: {folder / 'store'}\nlanguages: {{targets: [fr]}}\ndownload: {{sources: []}}\n")
        self.runs = {letter: self.record(results(self.store, letter, gain)) for letter, gain in (("a", -0.055), ("b", 0.055))}

    def record(self, keys: dict[str, str]) -> str:
        with run_log.record_run("pipeline", self.recipe) as run:
            for stage, key in keys.items():
                with run_log.record_stage(stage, key) as record:
                    record.state = "computed"
        return run.id

    @property
    def recipe(self) -> Recipe:
        return parse({"name": "x", "store": str(self.store.root), "languages": {"targets": ["fr"]}})

    def report(self, letter: str) -> Ref:
        return Ref(stage="report", key=letter * 24, store=str(self.store.root))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_export_asks_for_force(world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(tmp_path / "out"), f"--store={world.store.root}", f"--run={world.runs['a']}"]
    assert main(command) == 1
    error = " ".join(capfd.readouterr().err.split())
    assert f"the trained model is significantly worse than the base model: {FIGURES}" in error
    assert "--force" in error
    assert not (tmp_path / "out").exists()
    assert main([*command, "--force"]) == 0
    assert (tmp_path / "out" / "config.json").exists()
    assert main(["export", str(tmp_path / "better"), f"--store={world.store.root}", f"--run={world.runs['b']}"]) == 0


def test_promotion_by_hand_asks_for_force(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["champion", "promote", str(world.file), world.runs["a"]]
    assert main(command) == 1
    assert FIGURES in " ".join(capfd.readouterr().err.split())
    assert registry_of(world.recipe).read().champion is None
    assert main([*command, "--force"]) == 0
    champion = registry_of(world.recipe).read().champion
    assert champion
    assert champion.results["train"] == "a" * 24
    assert main(["champion", "promote", str(world.file), world.runs["b"]]) == 0


def no_challenge(*_: Any) -> Ref:
    raise AssertionError("a model that is worse than its base model needs no comparison")


def test_retraining_promotes_no_first_encoder_that_is_worse(world: World) -> None:
    with pytest.raises(InputError, match="significantly worse than the base model") as caught:
        retraining.settle(world.recipe, world.report("a"), {}, no_challenge)
    assert FIGURES in caught.value.problem
    assert "mlctl champion promote x RUN --force" in caught.value.remedy
    assert registry_of(world.recipe).read().champion is None
    assert retraining.settle(world.recipe, world.report("b"), {}, no_challenge).promoted


def test_retraining_keeps_the_champion_before_an_encoder_that_is_worse(world: World) -> None:
    retraining.settle(world.recipe, world.report("b"), {}, no_challenge)
    settlement = retraining.settle(world.recipe, world.report("a"), {"seen": 1}, no_challenge)
    assert not settlement.promoted
    assert settlement.reason == f"significantly worse than the base model: {FIGURES}"
    assert settlement.champion.results["train"] == "b" * 24
    assert registry_of(world.recipe).read().seen == {"seen": 1}, "the same sources are not tried again"
