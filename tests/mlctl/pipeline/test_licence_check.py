from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlctl import config
from mlctl.cli.main import main
from mlctl.errors import InputError
from mlctl.pipeline.licence_check import check_translation_licence
from storage import Store

CARD = "---\nlicense: cc-by-nc-4.0\n---\n# A model that nobody may sell\n"


def recipe(folder: Path, allow: list[str], **translate: Any) -> dict[str, Any]:
    (folder / "nllb").mkdir(exist_ok=True)
    (folder / "nllb" / "README.md").write_text(CARD, encoding="utf-8")
    engine = {"backend": "ctranslate2", "model": str(folder / "nllb"), **translate}
    return {"store": str(folder / "store"), "translate": engine, "licences": {"allow": allow}}


@pytest.mark.parametrize("allow", [[], ["CC-BY-NC-4.0"], ["Creative Commons Attribution-NonCommercial 4.0", "MIT"]])
def test_an_allowed_model_passes(tmp_path: Path, allow: list[str]) -> None:
    check_translation_licence(config.parse(recipe(tmp_path, allow)))


def test_what_the_recipe_says_of_a_model_counts_and_may_be_a_choice(tmp_path: Path) -> None:
    check_translation_licence(config.parse(recipe(tmp_path, ["MIT"], licence="MIT OR GPL-3.0-only")))
    with pytest.raises(InputError, match=r"MIT AND GPL-3\.0-only"):
        check_translation_licence(config.parse(recipe(tmp_path, ["MIT"], licence="MIT AND GPL-3.0-only")))


def test_a_non_commercial_model_stops_the_run_before_any_work(
    tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe(tmp_path, ["CC-BY-4.0", "MIT"])), encoding="utf-8")
    assert main(["run", str(tmp_path / "recipe.yaml")]) == 1
    said = capfd.readouterr().err
    assert "nllb (CC-BY-NC-4.0). Nothing was started" in said
    assert "→ add CC-BY-NC-4.0 to licences.allow" in said
    assert not list(Store(str(tmp_path / "store")).results())
