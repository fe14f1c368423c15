"""Re-training on text that the champion itself finds and scores: two rounds, and a third with nothing new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bilingual_encoder as made
import pyarrow.parquet as pq
import pytest
import tiny
import yaml

from mlctl.cli.main import main
from mlctl.pipeline.warm_start import source_in
from storage import Store
from storage.champion_registry import ChampionRegistry, RegistryState

BENCHMARK = slice(0, 10)  # of the pairs in the monolingual text


class Loop:
    """A folder with parallel text, monolingual text of both languages, an encoder, a benchmark, and a recipe over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.recipe = folder, folder / "loop.yaml"
        self.store = Store(folder / "store")
        parallel = made.sentences(150, seed=5)
        self.write("x.en", parallel)
        self.write("x.fr", list(map(made.translated, parallel)))
        self.gold: list[tuple[str, str]] = []
        self.write_monolingual(60)
        self.write("tatoeba/tatoeba.fra-eng.eng", [pair[0] for pair in self.gold[BENCHMARK]])
        self.write("tatoeba/tatoeba.fra-eng.fra", [pair[1] for pair in self.gold[BENCHMARK]])
        self.recipe.write_text(yaml.safe_dump(self.values()), encoding="utf-8")

    def write(self, name: str, lines: list[str]) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def write_monolingual(self, pairs: int) -> None:
        """Write text of either language in which some sentences translate each other, whichever they are."""
        source, target, gold = made.mixed(pairs, 40, seed=9)
        self.gold = sorted(gold)
        self.write("mono/text.en", source)
        self.write("mono/text.fr", target)

    def values(self) -> dict[str, Any]:
        values = tiny.recipe(self.store.root)
        text = {"kind": "files", "name": "x", "path": str(self.folder / "x.{language}")}
        sides = {"source": str(self.folder / "mono/*.en"), "target": str(self.folder / "mono/*.fr")}
        mined = {"kind": "mine", "name": "mined", **sides, "model": "champion", "min_margin": 1.05, "device": "cpu"}
        return {
            **values,
            "name": "loop",
            "languages": {"source": "en", "targets": ["fr"]},
            "download": {"sources": [text, mined], "lock": str(self.folder / "corpora.lock")},
            "clean": {
                "scores": {"champion": {"kind": "encoder", "model": "champion", "min": 0.2, "device": "cpu"}},
                "language_letters": 10_000,  # the languages are made up
            },
            "align": {"workers": 1, "engine": "fast_align"},
            "model": {"name": str(made.write_encoder(self.folder / "encoder"))},
            "train": {**values["train"], "steps": 6},
            "evaluate": {
                "device": "cpu",
                "embedding_map_sentences": 0,
                "resamples": 200,
                "benchmarks": [
                    {"name": "tatoeba", "source": {"kind": "folder", "path": str(self.folder / "tatoeba")}, "languages": ["fr"]}
                ],
            },
        }

    def retrain(self) -> None:
        assert main(["retrain", str(self.recipe)]) == 0

    @property
    def standing(self) -> RegistryState:
        return ChampionRegistry(self.store, "loop").read()

    def newest(self, stage: str) -> Any:
        return max(self.store.results(stage), key=lambda result: str(result.manifest.created))

    def mined_pairs(self) -> set[tuple[str, str]]:
        """Return the pairs that the newest run mined."""
        (file,) = (self.newest("download").folder / "pairs/fr").glob("*-mined.parquet")
        rows = pq.read_table(file).to_pylist()
        assert all(dict(row["scores"])["margin"] >= 1.05 for row in rows)
        return {(row["source"], row["target"]) for row in rows}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, server: str) -> Loop:
    del server
    return Loop(tmp_path_factory.mktemp("loop"))


@pytest.mark.slow
def test_the_champion_finds_and_scores_the_text_of_the_next_round(loop: Loop) -> None:
    loop.retrain()
    (first,) = loop.standing.champions
    known = set(loop.gold)
    found = loop.mined_pairs()
    assert len(found & known) > 0.8 * len(known), "before there is a champion, the recipe's model mines"
    cleaned = pq.read_table(loop.newest("clean").folder / "pairs/fr.parquet").to_pylist()
    assert {name for row in cleaned for name, _ in row["scores"]} == {"champion", "margin"}
    mined_by_model = json.loads((loop.newest("download").folder / "provenance.json").read_text())[1]["encoder"]

    runs = len(list(loop.store.results("train")))
    loop.retrain()
    assert len(list(loop.store.results("train"))) == runs, "with nothing new there is no round, whoever the champion is"

    loop.write_monolingual(90)
    loop.retrain()
    trained = loop.store.find("train", first.results["train"])
    assert trained
    source = source_in(loop.store, trained, "model")
    assert source
    downloaded, clean = loop.newest("download"), loop.newest("clean")
    assert downloaded.manifest.parts["outside"]["champion"] == source["digest"], "now the champion mines"
    assert clean.manifest.parts["outside"]["score.champion"] == source["digest"], "and scores"
    mined_by_champion = json.loads((downloaded.folder / "provenance.json").read_text())[1]["encoder"]
    assert mined_by_champion != mined_by_model, "the provenance of the corpus tells them apart"
    assert len(loop.mined_pairs() & set(loop.gold)) > 0.8 * len(loop.gold)
    assert len(list(loop.store.results("train"))) == runs + 1
    assert loop.standing.current == 1, "the encoder already finds every translation: nothing better is beyond chance"


@pytest.mark.slow
def test_text_of_benchmarks_that_was_mined_is_not_trained_on(loop: Loop) -> None:
    sharded = loop.newest("shard").folder
    rows = [row for file in (sharded / "train").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    lines = (loop.folder / "tatoeba/tatoeba.fra-eng.eng").read_text().splitlines()
    mined = {row["source"] for row in rows if row["corpus"] == "mined"}
    assert len(mined) > 20
    assert not mined & set(lines)
    found = json.loads((sharded / "decontamination.json").read_text())
    assert sum(counts["dropped"] for entry in found["sets"] for counts in entry["pairs"].values()) >= 5
