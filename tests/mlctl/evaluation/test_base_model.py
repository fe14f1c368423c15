"""The base model is evaluated as it was published; beside it, where that is another thing, with the trained model's pooling."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import evaluate
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules

from .conftest import entry, save_encoder, save_tokenizer, sentences, settings

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]


def put(folder: Path, name: str, value: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


class World:
    """Shards, a base model and a trained one with other weights, and Tatoeba in one language."""

    def __init__(self, folder: Path, sharded: Path) -> None:
        self.folder, self.sharded = folder, sharded
        self.base, self.trained = folder / "base", folder / "train"
        save_encoder(self.base, seed=1)
        weights = load_file(self.base / "model.safetensors")
        torch.manual_seed(5)  # first tokens that differ from sentence to sentence by more than rounding
        changed = {name: value + 0.3 * torch.randn_like(value) for name, value in weights.items()}
        save_file(changed, self.base / "model.safetensors", metadata={"format": "pt"})
        save_tokenizer(self.base)
        save_encoder(self.trained / "model", seed=2)
        save_tokenizer(self.trained / "model")
        self.pool_trained(Pooling((1, 2)))
        data = folder / "tatoeba"
        data.mkdir()
        for side, shift in (("deu", 0), ("eng", 3)):
            (data / f"tatoeba.deu-eng.{side}").write_text("\n".join(sentences(24, shift)) + "\n", encoding="utf-8")
        self.data = data

    def pool_trained(self, pooling: Pooling) -> None:
        shutil.rmtree(self.trained / "model" / "1_WeightedLayerPooling", ignore_errors=True)
        for name in ("1_Pooling", "2_Pooling"):
            shutil.rmtree(self.trained / "model" / name, ignore_errors=True)
        write_modules(self.trained / "model", 16, 2, 32, pooling)

    def publish(self, mode: str, prompt: str = "", length: int = 32, *more: str) -> None:
        """Let the base model say what sentence-transformers writes."""
        kinds = ["Transformer", "Pooling", *more]
        paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds[1:], 1))]
        entries = [
            {"path": path, "name": path or "0", "type": f"sentence_transformers.models.{kind}"}
            for path, kind in zip(paths, kinds, strict=True)
        ]
        put(self.base, "modules.json", entries)
        put(self.base, "1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode": mode})
        put(self.base, "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
        put(
            self.base,
            "config_sentence_transformers.json",
            {"prompts": {"q": prompt}, "default_prompt_name": "q" if prompt else None},
        )

    def run(self, name: str = "out", **more: Any) -> Path:
        evaluate_settings: Evaluate = settings(entry("tatoeba", self.data), **{"resamples": 100, **more})
        languages = Languages(source="en", targets=("fr",))
        model = Model(name=str(self.base))
        evaluate(evaluate_settings, model, languages, 0, self.sharded, self.trained, Workspace(self.folder / name))
        return self.folder / name


@pytest.fixture
def world(tmp_path: Path, write_sharded: Write, copied_rows: Rows) -> World:
    return World(tmp_path, write_sharded({"fr": copied_rows("fr")}))


def models(out: Path, task: str = "tatoeba") -> dict[str, float]:
    return {row["model"]: row["value"] for row in pq.read_table(out / "scores.parquet").to_pylist() if row["task"] == task}


def protocol(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "protocol.json").read_text(encoding="utf-8"))
    return content


def published_accuracy(world: World) -> float:
    """The base model's accuracy as sentence-transformers itself computes it."""
    model = SentenceTransformer(str(world.base), device="cpu", local_files_only=True)
    german, english = ((world.data / f"tatoeba.deu-eng.{side}").read_text().splitlines() for side in ("deu", "eng"))
    nearest = (model.encode(german, normalize_embeddings=True) @ model.encode(english, normalize_embeddings=True).T).argmax(1)
    return sum(english[found] == english[row] for row, found in enumerate(nearest)) / len(nearest)


@pytest.mark.parametrize(("mode", "prompt", "length"), [("cls", "", 32), ("mean", "wab wac ", 32), ("lasttoken", "", 5)])
def test_three_models_where_the_trained_one_is_pooled_otherwise(world: World, mode: str, prompt: str, length: int) -> None:
    world.publish(mode, prompt, length)
    out = world.run()
    scores = models(out)
    assert set(scores) == {"base", "base-same-pooling", "trained"}
    assert scores["base"] == pytest.approx(published_accuracy(world))
    (row,) = [row for row in pq.read_table(out / "differences.parquet").to_pylist() if row["task"] == "tatoeba"]
    assert (row["base"], row["trained"]) == (scores["base"], scores["trained"])
    assert row["difference"] == pytest.approx(scores["trained"] - scores["base"]), "the comparison is with the model as published"
    assert row["base_same_pooling"] == pytest.approx(scores["base-same-pooling"])
    assert protocol(out)["base"] == {"origin": "modules.json", "published": True, "problem": "", "same_pooling": "evaluated"}
    entries = protocol(out)["models"]
    assert (entries["base"]["prefix"], entries["base"]["max_length"]) == (prompt, length)
    assert entries["base-same-pooling"]["sentences"] == entries["trained"]["sentences"] == "mean over the tokens of layers 1 + 2"


def test_one_column_where_both_poolings_are_the_same(world: World) -> None:
    world.publish("cls")
    world.pool_trained(Pooling((2,), "cls"))
    out = world.run()
    assert set(models(out)) == set(models(out, "sentence-retrieval")) == {"base", "trained"}
    assert protocol(out)["base"]["same_pooling"] == "equal"
    assert all(row["base_same_pooling"] is None for row in pq.read_table(out / "averages.parquet").to_pylist())


def test_a_prompt_is_read_in_held_out_sentences_too(world: World) -> None:
    world.publish("mean")
    plain = models(world.run("plain", prefix=""), "sentence-retrieval")
    world.publish("mean", length=3)  # [CLS], one token, [SEP]
    cut = models(world.run("cut"), "sentence-retrieval")
    assert cut["base"] < plain["base"] == 1.0
    assert cut["trained"] == plain["trained"], "the trained model has its own limit"


def test_a_prefix_of_the_recipe_replaces_the_prompts(world: World) -> None:
    world.publish("mean", "wab ")
    entries = protocol(world.run(prefix="wad "))["models"]
    assert {model["prefix"] for model in entries.values()} == {"wad "}


def test_a_bare_encoder_is_its_last_layer(world: World) -> None:
    config = json.loads((world.base / "config.json").read_text())
    put(world.base, "config.json", {**config, "architectures": ["BertModel"]})
    out = world.run()
    assert protocol(out)["base"]["origin"] == "last layer"
    assert protocol(out)["models"]["base"]["sentences"] == "mean over the tokens of layer 2"
    assert set(models(out)) == {"base", "base-same-pooling", "trained"}


def test_a_masked_language_model_has_the_pooling_that_is_best_for_it(world: World, copied_rows: Rows) -> None:
    import pyarrow as pa

    from mlctl import schema

    (world.sharded / "train").mkdir()
    pq.write_table(pa.Table.from_pylist(copied_rows("fr"), schema=schema.SHARD), world.sharded / "train" / "00000.parquet")
    out = world.run("auto")
    assert protocol(out)["base"]["origin"] == "search"
    assert not protocol(out)["base"]["published"]
    same = world.run("set", pooling="trained")
    assert protocol(same)["base"]["origin"] == "trained", "the recipe sets one pooling for both models"
    assert set(models(same)) == {"base", "trained"}
    put(world.trained, "pooling.json", {"layers": [1, 2], "tokens": "mean", "origin": "search", "accuracies": {}})
    assert set(models(world.run("searched"))) == {"base", "trained"}, "training has searched it already"


def test_what_cannot_be_reproduced_is_not_judged_by_another_pooling_in_silence(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.publish("mean", "", 32, "Dense")
    out = world.run()
    base = protocol(out)["base"]
    assert (base["origin"], base["published"]) == ("trained", False)
    assert "sentence_transformers.models.Dense" in base["problem"]
    assert "not evaluated as it was published" in caplog.text
    assert set(models(out)) == {"base", "trained"}


def test_a_champion_is_compared_as_it_is_only(world: World) -> None:
    world.publish("cls")
    languages = Languages(source="en", targets=("fr",))
    arguments = (Model(), languages, 0, world.sharded, world.trained, Workspace(world.folder / "out"))
    evaluate(settings(entry("tatoeba", world.data), resamples=100), *arguments, base_encoder=world.base)
    assert set(models(world.folder / "out")) == {"base", "trained"}


def test_a_pooling_of_the_recipe_leaves_the_base_model_as_published(world: World) -> None:
    world.publish("cls")
    out = world.run(pooling="last")
    assert models(out)["base"] == pytest.approx(published_accuracy(world))
    poolings = {name: model["pooling"] for name, model in protocol(out)["models"].items()}
    last = "mean over the tokens of layer 2"
    assert poolings == {"base": "first token of layer 2", "base-same-pooling": last, "trained": last}
