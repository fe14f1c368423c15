"""mteb's own runner: the results are those of calling mteb by hand, with the prompts of its metadata."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation import check, evaluate

from .conftest import save_encoder, save_tokenizer, settings
from .tasks.published_sets import scored_pairs

mteb = pytest.importorskip("mteb")
E5 = "intfloat/multilingual-e5-small"  # mteb's metadata have prompts for it


def tiny_task() -> type[Any]:
    """An STS task whose data are made here."""
    from datasets import Dataset
    from mteb.abstasks import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import PromptType

    card: dict[str, Any] = {
        "name": "TinySTS",
        "dataset": {"path": "a/b", "revision": "1"},
        "description": "Made pairs.",
        "type": "STS",
        "eval_splits": ["test"],
        "eval_langs": ["eng-Latn"],
        "main_score": "cosine_spearman",
    }

    class TinySTS(AbsTaskSTS):
        metadata = TaskMetadata(**card)
        min_score, max_score = 0, 6
        input1_prompt_type, input2_prompt_type = PromptType.query, PromptType.document

        def load_data(self, **_: object) -> None:
            rows = [{"sentence1": first, "sentence2": second, "score": score} for first, second, score in scored_pairs()]
            self.dataset, self.data_loaded = {"test": Dataset.from_list(rows)}, True

    return TinySTS


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = importlib.import_module("mteb.get_tasks")._TASKS_REGISTRY
    monkeypatch.setitem(registry, "TinySTS", tiny_task())


def by_hand(folder: Path, prompts: dict[str, str] | None = None) -> Any:
    from mteb.models import SentenceTransformerEncoderWrapper

    model = SentenceTransformerEncoderWrapper(str(folder), device="cpu", model_prompts=prompts)
    options = {"batch_size": 128, "show_progress_bar": False}
    found = mteb.evaluate(model, mteb.get_task("TinySTS"), cache=None, encode_kwargs=options, co2_tracker=False)
    return found.task_results[0].to_dict()["scores"]


@pytest.mark.parametrize("name", ["", E5])
def test_its_results_are_beside_ours(
    write_sharded: Callable[..., Path], copied_rows: Callable[[str], Any], trained: Path, tmp_path: Path, name: str
) -> None:
    save_encoder(trained / "base", seed=2)
    for folder in ("base", "model"):
        save_tokenizer(trained / folder)
    evaluate_settings = settings(mteb=["TinySTS"], resamples=100, embedding_map_sentences=0)
    sharded, out = write_sharded({"fr": copied_rows("fr")}), tmp_path / "out"
    model = Model(name=name) if name else Model()
    evaluate(evaluate_settings, model, Languages(source="en", targets=("fr",)), 0, sharded, trained, Workspace(out))
    found = json.loads((out / "mteb.json").read_text())
    prompts = mteb.get_model_meta(E5, fetch_from_hf=False).loader_kwargs["model_prompts"] if name else None
    for model_name, folder in (("base", "base"), ("trained", "model")):
        of_model = found[model_name]
        assert of_model["mteb"] == mteb.__version__
        assert of_model["tasks"]["TinySTS"]["scores"] == by_hand(trained / folder, prompts)
        assert not {"evaluation_time", "date"} & set(of_model["tasks"]["TinySTS"])
    assert found["base"] != found["trained"]
    if name:
        assert by_hand(trained / "model", prompts) != by_hand(trained / "model"), "the prompts change the vectors"


def test_without_the_library_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlctl.evaluation import mteb_runner

    def missing(name: str) -> str:
        raise mteb_runner.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(mteb_runner.metadata, "version", missing)
    with pytest.raises(InputError, match=r"evaluate\.mteb needs the library `mteb`\n.*\[mteb\]"):
        check(settings(mteb=["STS17"]))


def test_names_are_of_tasks_and_benchmarks() -> None:
    from mlctl.evaluation.mteb_runner import find_tasks

    tasks = find_tasks(["TinySTS", "MTEB(eng, v2)", "STS17", "STS17"])
    names = [task.metadata.name for task in tasks]
    assert names[0] == "TinySTS"
    assert len(names) == len(set(names)) > 30
    with pytest.raises(InputError, match="has no task or benchmark 'STS177'") as error:
        find_tasks(["STS177"])
    assert "STS17" in error.value.remedy


def test_what_is_no_number_is_null(make_model: Callable[[Evaluate], Any], tmp_path: Path) -> None:
    from mlctl.evaluation.mteb_runner import run_tasks

    model = make_model(settings())
    save_encoder(tmp_path / "encoder", seed=0, constant=True)
    scores = run_tasks(model, ["TinySTS"], "")["tasks"]["TinySTS"]["scores"]["test"][0]
    assert scores["cosine_spearman"] is None
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_a_task_that_fails_is_named(make_model: Callable[[Evaluate], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from mlctl.evaluation.mteb_runner import run_tasks

    broken = tiny_task()

    def load_data(_: object, **__: object) -> None:
        raise ConnectionError("no route to a.example")

    broken.load_data = load_data
    monkeypatch.setitem(importlib.import_module("mteb.get_tasks")._TASKS_REGISTRY, "TinySTS", broken)
    with pytest.raises(InputError, match=r"evaluate\.mteb, TinySTS: no route to a\.example"):
        run_tasks(make_model(settings()), ["TinySTS"], "")
