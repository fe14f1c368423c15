"""The header of the model card, which the hub reads and checks, and the prompts in its usage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hub_uploads import card_errors, serve_uploads
from huggingface_hub import ModelCard

from mlctl import config
from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.reporting import report
from mlctl.reporting.card_metadata import hub_languages, licence_fields, prompts_text

from .conftest import LANGUAGES, records

PROMPTS = {"prompts": {"query": "query: ", "passage": "passage: ", "none": ""}, "default_prompt_name": "query"}


def recipe(**sections: Any) -> Recipe:
    sources = [
        {"kind": "huggingface", "dataset": "Helsinki-NLP/opus-100", "subset": "{pair}"},
        {"kind": "locales", "packages": ["Django==5.2.19"]},
    ]
    values = {"name": "tiny", "languages": {"targets": [*LANGUAGES, "zh-Hant"]}, "download": {"sources": sources}, **sections}
    return config.parse(values)


def test_the_hub_takes_the_header(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = Path(shutil.copytree(folders["train"], tmp_path / "train"))
    (trained / "model").mkdir(exist_ok=True)
    (trained / "model" / "config_sentence_transformers.json").write_text(json.dumps(PROMPTS), encoding="utf-8")
    made = recipe(model={"name": "intfloat/multilingual-e5-small"}, report={"licence": "mit"})
    report(made.report, made, records(), {**folders, "train": trained}, Workspace(tmp_path / "report"))
    card = ModelCard.load(tmp_path / "report" / "README.md")
    with serve_uploads(monkeypatch) as hub:
        card.validate()
    assert len(hub.cards) == 1
    assert card.data.language == ["en", *LANGUAGES, "zh"]
    assert card.data.license == "mit"
    assert card.data.datasets == ["Helsinki-NLP/opus-100"]
    assert card.data.base_model == "intfloat/multilingual-e5-small"
    assert {one.dataset_type for one in card.data.eval_results} == {"tatoeba", "xnli"}
    assert '| `passage` | `passage: ` | `model.encode(texts, prompt_name="passage")` |' in card.text
    assert "`encode` adds “query: ” unless another one is named." in card.text
    assert "| `none` |" not in card.text
    assert card.text.index("## Usage") < card.text.index("| `passage`") < card.text.index("## Results")


def test_the_licence_is_the_recipes_or_that_of_the_base_models_card(tmp_path: Path) -> None:
    named = {"name": str(tmp_path)}
    assert licence_fields(recipe(model=named)) == {"license": "unknown"}, "no card"
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_link: https://example.org/l\n---\n# Base\n")
    assert licence_fields(recipe(model=named)) == {
        "license": "other",
        "license_name": "see-card",
        "license_link": "https://example.org/l",
    }
    assert licence_fields(recipe(model=named, report={"licence": "apache-2.0"})) == {"license": "apache-2.0"}
    (tmp_path / "README.md").write_text("---\nlicense: [mit\n---\n# Damaged\n")
    assert licence_fields(recipe(model=named)) == {"license": "unknown"}
    with pytest.raises(InputError, match=r"report\.licence"):
        recipe(report={"licence": "Apache 2.0"})


def test_a_model_from_scratch_does_not_take_the_licence_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("---\nlicense: mit\n---\n# Somebody's project\n")
    assert licence_fields(recipe()) == {"license": "unknown"}
    Path("README.md").write_text("# A card without a header\n")
    assert licence_fields(recipe(model={"name": str(tmp_path)})) == {"license": "unknown"}
    assert not caplog.messages


def test_an_encoder_without_prompts_has_no_table(tmp_path: Path) -> None:
    assert prompts_text(tmp_path) == ""
    (tmp_path / "config_sentence_transformers.json").write_text('{"prompts": {}}', encoding="utf-8")
    assert prompts_text(tmp_path) == ""


def test_languages_have_no_script_on_the_hub() -> None:
    assert hub_languages(["en", "zh-Hant", "zh", "sr-Latn"]) == ["en", "zh", "sr"]


def test_the_rules_of_the_hub_refuse_what_they_should() -> None:
    """The loopback hub is no rubber stamp."""
    good = "---\nlicense: mit\nlanguage: [en]\n---\n"
    assert card_errors(good) == []
    for wrong in ("license: MIT", "license: mit\nbase_model: /data/x", "license: mit\ndatasets: [a b]", "license: mit\nlanguage: zh-Hant",
                  "license: other", "license: mit\nmodel-index:\n- results: []"):  # fmt: skip
        assert card_errors(f"---\n{wrong}\n---\n"), wrong
