"""README.md, CONTRIBUTING.md, docs/ and benchmarks/: links, paths, names and settings that they mention exist; settings tables are complete."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mlctl.cli.main import app
from mlctl.config import Recipe, parse
from mlctl.config.base import Section
from mlctl.config.error_messages import RENAMED

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("[A-Z]*.md"), *(ROOT / "docs").rglob("*.md"))}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
RENAMED_SECTION = re.compile(r"^## Renamed in 0\.2\.0\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = [name for name, field in Recipe.model_fields.items() if isinstance(field.default, Section)]
SETTING = re.compile(rf"(?<![\w./{{-])((?:{'|'.join(SECTIONS)})(?:\.[a-z_]+)+)(?![\w(/]|\.\w)")
FILE_SUFFIXES = {"md", "py", "html", "yaml", "json", "parquet", "pdf", "jsonl", "png"}
SETTINGS_ROW = re.compile(r"^\| `([a-z_.]+)` \| `(.*?)` \|.*\| (yes|digest|no) \|$", re.MULTILINE)
REPOSITORY_PATH = re.compile(r"`((?:mlctl|flows|tasks|storage|tests|benchmarks|docs)/[\w/.-]+)`")
DOTTED_NAME = re.compile(r"\b((?:mlctl|flows|tasks|storage)\.[a-z][\w.]*\w)(?![\w.])")
MODULE = re.compile(r"python -m ((?:mlctl|flows|tasks|storage)[\w.]*)")
IMPORT = re.compile(r"^from (mlctl[\w.]*) import (.+)$", re.MULTILINE)


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    slugs = Counter[str]()
    result = set()
    for title in HEADING.findall(FENCE.sub("", text)):
        words = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        result.add(f"{slug}-{slugs[slug]}" if slugs[slug] else slug)
        slugs[slug] += 1
    return result


def settings(model: type[Section] = Recipe, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the field of each setting outside of lists."""
    for name, field in model.model_fields.items():
        if isinstance(field.default, Section):
            yield from settings(type(field.default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


FIELDS = dict(settings())


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_resolve(page: str) -> None:
    broken = []
    for target, anchor in LINK.findall(FENCE.sub("", text_of(page))):
        path = (PAGES[page].parent / target).resolve() if target else PAGES[page]
        missing_anchor = (
            anchor and path.suffix == ".md" and path.exists() and anchor not in anchors(path.read_text(encoding="utf-8"))
        )
        if not path.exists() or missing_anchor:
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert not broken


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, queue = {"README.md"}, ["README.md"]
    while queue:
        page = queue.pop()
        for target, _ in LINK.findall(text_of(page)):
            path = (PAGES[page].parent / target).resolve()
            name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
            if name in PAGES and name not in reached:
                reached.add(name)
                queue.append(name)
    assert reached == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page: str) -> None:
    mentioned = set(SETTING.findall(RENAMED_SECTION.sub("", text_of(page))))
    mentioned = {name for name in mentioned if name.rpartition(".")[2] not in FILE_SUFFIXES}
    prefixes = {name.rsplit(".", 1)[0] for name in FIELDS}  # `model.scratch` is a section
    assert not sorted(name for name in mentioned if name not in FIELDS and name not in prefixes)


def rows() -> Iterator[tuple[str, str, str, str]]:
    for page in PAGES:
        yield from ((page, *row) for row in SETTINGS_ROW.findall(text_of(page)))


def test_settings_tables_are_complete() -> None:
    documented = Counter(setting for _, setting, _, _ in rows())
    assert documented == Counter(FIELDS.keys())


@pytest.mark.parametrize(("page", "setting", "default", "in_key"), [pytest.param(*row, id=row[1]) for row in rows()])
def test_settings_tables_give_default_and_key(page: str, setting: str, default: str, in_key: str) -> None:
    field = FIELDS[setting]
    value = field.get_default()
    assert yaml.safe_load(default) == (list(value) if isinstance(value, tuple) else value), page
    extra = field.json_schema_extra
    assert (in_key == "yes") == (not (isinstance(extra, dict) and extra.get("in_key") is False)), page


def test_the_table_of_benchmarks_is_what_its_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("benchmark_table", ROOT / "docs" / "benchmark_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TABLE.findall(text_of("docs/evaluate.md")) == [module.table()], "run python docs/benchmark_table.py"


def test_renamed_settings_are_listed() -> None:
    [section] = [match[0] for page in PAGES for match in RENAMED_SECTION.finditer(text_of(page))]
    assert dict(re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", section, re.MULTILINE)) == RENAMED


@pytest.mark.parametrize("page", PAGES)
def test_examples_are_valid_recipes(page: str) -> None:
    for language, example in FENCE.findall(text_of(page)):
        if language == "yaml" and set(values := yaml.safe_load(example)) <= {*Recipe.model_fields, "base"}:
            parse({name: value for name, value in values.items() if name != "base"}, page)


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_nothing_unquoted_that_a_shell_expands(page: str) -> None:
    lines = [line for language, text in FENCE.findall(text_of(page)) if language == "sh" for line in text.splitlines()]
    lines += re.findall(r"(?<![`\w])`((?:\.venv/bin/)?mlctl [^`\n]*=[^`\n]*)`", text_of(page))
    bare = {line: re.sub(r"'[^']*'|\"[^\"]*\"|(?<!\S)#.*|\[[A-Z-][^\]]*\]", "", line) for line in lines}
    assert not [line for line, rest in bare.items() if re.search(r"[\[{*?]", rest)]


@pytest.mark.parametrize("page", PAGES)
def test_repository_paths_exist(page: str) -> None:
    assert not [path for path in REPOSITORY_PATH.findall(text_of(page)) if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_python_names_exist(page: str) -> None:
    text = text_of(page)
    imported = [f"{module}.{name.strip()}" for module, names in IMPORT.findall(text) for name in names.split(",")]
    names = {*DOTTED_NAME.findall(text), *MODULE.findall(text), *imported}
    names = {
        name for name in names if name.rpartition(".")[2] not in FILE_SUFFIXES and not name.startswith("mlctl.champion")
    }  # events
    assert not sorted(name for name in names if not exists(name))


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_names_that_benchmarks_import_exist(script: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    own = ("mlctl.", "flows.", "tasks.", "storage.")
    assert not [name for name in names if name.startswith(own) and not exists(name)]


def commands(group: typer.core.TyperGroup, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def test_every_command_is_listed() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    documented = {
        " ".join(words.split()) for words in re.findall(r"`mlctl ([a-z]+(?: [a-z]+)?)(?= |`)", text_of("docs/commands.md"))
    }
    assert set(commands(group)) == documented


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, or an attribute of one."""
    module, attributes = name, list[str]()
    while not is_module(module):
        module, _, attribute = module.rpartition(".")
        attributes.insert(0, attribute)
        if not module:
            return False
    value: Any = importlib.import_module(module) if attributes else None
    for attribute in attributes:
        if not hasattr(value, attribute):
            return False
        value = getattr(value, attribute)
    return True


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False
