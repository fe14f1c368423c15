"""`import mlctl`: fast, with every public name in `dir`, `help` and the types; what it is given wrongly is named."""

from __future__ import annotations

import ast
import doctest
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mlctl

FUNCTIONS = ["align", "clean", "compare", "encode", "load_recipe", "results", "run"]
LOADED = """
import sys
before = set(sys.modules)
import mlctl
print(*sorted(name for name in set(sys.modules) - before if "." not in name))
mlctl.load_recipe("demo")
print(*sorted({"torch", "transformers", "pandas", "prefect", "pyarrow"} & set(sys.modules)))
"""


def test_the_import_loads_nothing() -> None:
    command = [sys.executable, "-c", LOADED]
    folder = Path(mlctl.__file__).parents[1]
    loaded, by_recipe = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split("\n")[:2]
    assert set(loaded.split()) <= {"mlctl", "importlib", "typing", "collections", "contextlib", "operator", "functools"} | set(
        sys.stdlib_module_names
    )
    assert not by_recipe


def test_names_of_types_and_of_the_import_are_the_same() -> None:
    block = next(node for node in ast.parse(inspect.getsource(mlctl)).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name: node.module for node in imports for alias in node.names} == mlctl._MODULES
    assert sorted([*mlctl._MODULES, "__version__"]) == sorted(mlctl.__all__)
    assert set(mlctl.__all__) <= set(dir(mlctl))
    with pytest.raises(AttributeError, match="module 'mlctl' has no attribute 'runs'"):
        _ = mlctl.runs


def test_help_has_every_function_with_its_arguments_and_errors() -> None:
    text = pydoc.render_doc(mlctl, renderer=pydoc.plaintext)
    for name in FUNCTIONS:
        function = getattr(mlctl, name)
        signature, described = inspect.signature(function), inspect.getdoc(function) or ""
        assert signature.return_annotation is not inspect.Signature.empty
        assert f"    {name}(" in text
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty, f"{name}: {parameter.name} has no type"
            assert f"\n    {parameter.name}: " in described, f"{name}: {parameter.name} is not described"
        assert "Raises:\n    InputError: " in described
    for name in ("scores", "funnel", "curves", "charts"):
        assert (inspect.getdoc(getattr(mlctl.Results, name)) or "") in " ".join(text.split()) or name in text


def test_the_examples_in_help_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLCTL_STORE", raising=False)
    runner, examples = doctest.DocTestRunner(), doctest.DocTestParser()
    for name in FUNCTIONS:
        runner.run(examples.get_doctest(inspect.getdoc(getattr(mlctl, name)) or "", {}, name, None, None))
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries >= 6


def test_a_recipe_is_loaded_from_whatever_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nseed: 3\n", encoding="utf-8")
    loaded = [mlctl.load_recipe(given) for given in (file, str(file), {"name": "mine", "seed": 3})]
    assert loaded[0] == loaded[1] == loaded[2] == mlctl.load_recipe(loaded[0])
    assert mlctl.load_recipe(loaded[0], ["seed=4"]).seed == 4
    assert loaded[0].store == "mlctl-store"
    monkeypatch.setenv("MLCTL_STORE", "/elsewhere")
    assert mlctl.load_recipe(file).store == mlctl.load_recipe({}).store == "/elsewhere"
    assert mlctl.load_recipe(loaded[0]).store == "mlctl-store", "a recipe has its store"
    assert mlctl.load_recipe({"store": "here"}).store == "here"


@pytest.mark.parametrize(
    ("function", "given", "problem"),
    [
        ("load_recipe", (7,), "7 is not a recipe"),
        ("load_recipe", ("dem",), "dem"),
        ("load_recipe", ({"train": {"step": 1}},), "train.step: no such setting; did you mean 'steps'"),
        ("clean", ("one", "un", ("en", "fr")), r"sources is one text, 'one'\n  → give a list: \[sources\]"),
        ("clean", (["one", "two"], ["un"], ("en", "fr")), "2 sources, but 1 targets"),
        ("clean", (["one", None], ["un", None], ("en", "fr")), "pair 1 has neither source nor target"),
        ("clean", (["one"], ["un"], "en"), "'en' is no pair of languages"),
        ("clean", (["one"], ["un"], ("en", "xx-none")), "languages.targets"),
        ("align", (["one"], [None], ("en", "fr")), r"targets\[0\] is NoneType"),
        ("align", (["one"], ["un"], ("en", "fr"), {"engine": "best"}), "align.engine"),
        ("align", (["one"], ["un"], ("en", "fr"), {"engine": "embedding"}), "needs an encoder"),
        ("align", (["one"], ["un"], ("en", "fr"), None, "nowhere"), "no alignment model at nowhere"),
        ("clean", (["one"], ["un"], ("en", "fr"), {"scores": {"s": {"kind": "encoder", "model": "champion"}}}), "champion"),
        ("encode", ("no/such/folder", ["one"]), "there is no folder 'no/such/folder'"),
        ("encode", ("no/such/folder", "one"), "texts is one text"),
    ],
)
def test_what_is_given_wrongly_is_named(function: str, given: tuple[Any, ...], problem: str) -> None:
    names = {"clean": ["settings"], "align": ["settings", "model"]}.get(function, [])
    positional = given[:3] if names else given
    with pytest.raises(mlctl.InputError, match=problem):
        getattr(mlctl, function)(*positional, **dict(zip(names, given[3:], strict=False)))


def test_text_without_translation_is_cleaned_too() -> None:
    sources, targets = ["12", "A <b>small</b> house", None, "Hello"], [float("nan"), None, "Une petite maison", "Bonjour"]
    checked = mlctl.clean(sources, targets, ("en", "fr"))
    assert checked.rule.to_list() == ["too few letters", "", "", ""], "in the order of the pairs"
    assert checked.reason[0] == "a side has fewer than 2 letters"
    assert checked.source[1] == "A small house"
    assert checked.target.to_list()[2:] == ["Une petite maison", "Bonjour"]


def test_nothing_is_cleaned_and_aligned_to_nothing() -> None:
    assert list(mlctl.clean([], [], ("en", "fr")).columns) == ["source", "target", "rule", "reason"]
    links = mlctl.align([], [], ("en", "fr"))
    assert links.empty
    assert links.columns[0] == "pair"


def test_without_pandas_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(mlctl.InputError, match=r"need pandas, which is not installed\n  → run `.*\[notebook\]"):
        mlctl.clean(["one"], ["un"], ("en", "fr"))
