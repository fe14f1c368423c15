"""The components of a recipe: what the recipe without each changes, and which cannot or need not be left out."""

from __future__ import annotations

from typing import Any

import pytest

from mlctl import config
from mlctl.errors import InputError
from mlctl.pipeline.ledger_components import Component, KnownText, find_components
from mlctl.pipeline.ledger_runs import LedgerRequest, full_runs, leave_one_out_runs


def files(name: str, *targets: str) -> dict[str, Any]:
    return {"kind": "files", "name": name, "path": f"{name}.{{language}}", "targets": list(targets)}


def recipe(*sources: dict[str, Any], targets: tuple[str, ...] = ("fr", "de"), **sections: Any) -> config.Recipe:
    return config.parse({"languages": {"targets": list(targets)}, "download": {"sources": list(sources)}, **sections})


def record(name: str, **pairs: int) -> dict[str, Any]:
    return {"kind": "files", "corpus": name, "licence": "MIT", "pairs": pairs, "untranslated": {}}


def without(found: list[Component], name: str) -> config.Recipe:
    (run,) = leave_one_out_runs(RECIPE, [one for one in found if one.name == name], 1)
    return run.recipe


RECIPE = recipe(files("news"), files("talks", "de"), files("web"))


def test_sources_and_languages_are_left_out_one_by_one() -> None:
    found = find_components(RECIPE)
    assert [(one.kind, one.name) for one in found] == [
        ("source", "news"),
        ("source", "talks"),
        ("source", "web"),
        ("language", "fr"),
        ("language", "de"),
    ]
    assert [source.name for source in without(found, "talks").download.sources] == ["news", "web"]  # type: ignore[union-attr]
    german = without(found, "fr")
    assert german.languages.targets == ("de",)
    assert [source.name for source in german.download.sources] == ["news", "talks", "web"]  # type: ignore[union-attr]
    french = without(found, "de")
    assert [source.name for source in french.download.sources] == ["news", "web"], "talks has German alone"  # type: ignore[union-attr]


def test_what_has_no_other_text_goes_with_a_component() -> None:
    known = KnownText([[record("news", fr=9, de=0)], [record("talks", de=5)], [record("web", fr=4)]], {})
    by_name = {one.name: one for one in find_components(RECIPE, known=known)}
    assert by_name["talks"].note == "also without de: no other source has text"
    assert dict(by_name["talks"].without.settings)["languages.targets"] == ["fr"]
    assert by_name["de"].note == "also without talks: no text in other languages"
    assert by_name["news"].note == ""


def test_a_component_that_cannot_or_need_not_be_left_out_says_why() -> None:
    only = recipe(files("news"), targets=("fr", "de"))
    (source, *languages) = find_components(only)
    assert (source.changes, source.reason) == ((), "is the only source")
    assert all(language.changes for language in languages)
    known = KnownText([[record("news", fr=9)], [record("talks", de=0)], [record("web", fr=0)]], {})
    by_name = {one.name: one for one in find_components(RECIPE, known=known)}
    assert by_name["news"].reason == "is the only source with text"
    assert (by_name["web"].reason, by_name["web"].unused) == ("has no text", True)


def test_a_recipe_with_nothing_to_leave_out_is_an_error() -> None:
    with pytest.raises(
        InputError, match=r"nothing that can be left out: news is the only source; fr is the only target language"
    ):
        find_components(recipe(files("news"), targets=("fr",)))
    with pytest.raises(InputError, match=r"has no source or language or filter named 'nws'\n.*name some of: .*news"):
        find_components(RECIPE, only=["nws"])


def test_names_are_unique_and_found_in_all_kinds() -> None:
    twice = recipe(files("news"), files("news"))
    assert [one.name for one in find_components(twice, ("source",))] == ["news", "news #2"]
    chosen = find_components(RECIPE, only=["near duplicate", "web"])
    assert [(one.kind, one.name) for one in chosen] == [("source", "web"), ("filter", "near duplicate")]


def test_a_rule_that_drops_no_row_needs_no_training() -> None:
    known = KnownText([[], [], []], {"script": 0, "chinese variant": 2, "numbers": 0})
    by_name = {one.name: one for one in find_components(RECIPE, ("filter",), known=known)}
    assert by_name["script, chinese variant"].without.settings == {"clean.min_script_share": 0.0}
    assert (by_name["numbers"].changes, by_name["numbers"].reason) == ((), "drops no row")
    off = recipe(files("news"), clean={"near_duplicates": "off"})
    assert "near duplicate" not in {one.name for one in find_components(off, ("filter",))}, "it is disabled"


def test_a_package_with_text_in_one_language_goes_with_it() -> None:
    both = recipe({"kind": "locales", "packages": ["a==1", "b==2"]}, targets=("fr", "de"))
    known = KnownText([[record("a", fr=3), record("b", fr=2, de=2)]], {})
    (french,) = find_components(both, only=["fr"], known=known)
    assert dict(french.without.settings)["download.sources"][0]["packages"] == ["b==2"]


def test_no_run_starts_from_what_another_one_has_learned() -> None:
    (full,) = full_runs(RECIPE, 1)
    assert (full.recipe.clean.lexicon, full.recipe.align.priors, full.until) == ("none", "none", "train")
    runs = leave_one_out_runs(RECIPE, find_components(RECIPE, ("source",)), 2)
    assert [(run.name, run.recipe.train.seed) for run in runs[:4]] == [
        ("without source news, seed 0", 0),
        ("without source talks, seed 0", 0),
        ("without source web, seed 0", 0),
        ("without source news, seed 1", 1),
    ]
    assert {run.recipe.clean.lexicon for run in runs} == {"none"}


def test_the_ledger_sets_the_seeds() -> None:
    with pytest.raises(InputError, match=r"cannot change train\.seed"):
        LedgerRequest().check(["train.seed=3"])
    with pytest.raises(InputError, match="0 seeds"):
        LedgerRequest(seeds=0).check([])
