"""The documentation site: built strictly, complete, without anything from elsewhere; the reference has all that the code has."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer

from mlctl import schema
from mlctl.cli.main import app
from mlctl.config import Recipe
from mlctl.evaluation.tasks.registry import all_metadata

ROOT = Path(__file__).parents[1]
WEBSITE = ROOT / "docs" / "website"
sys.path.append(str(WEBSITE))

from command_reference import commands  # noqa: E402
from staging import REPOSITORY_PAGES, Staging  # noqa: E402

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CONFIG = tomllib.loads((WEBSITE / "zensical.toml").read_text(encoding="utf-8"))["project"]
PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} | set(REPOSITORY_PAGES.values())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("website")
    built = subprocess.run(
        [sys.executable, str(WEBSITE / "build.py"), "--folder", str(folder)], capture_output=True, text=True, check=False
    )
    assert not built.returncode, built.stdout + built.stderr
    return folder / "site"


def named(entries: list[Any]) -> Iterator[str]:
    """Yield the pages of a part of the navigation."""
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from named(value) if isinstance(value, list) else [value]


def test_the_navigation_names_every_page_once() -> None:
    assert sorted(named(CONFIG["nav"])) == sorted(PAGES)


def test_every_page_is_in_the_site(site: Path) -> None:
    assert not [name for name in PAGES if not (site / name).with_suffix(".html").is_file()]


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetched = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc="?https?://|<link[^>]*\srel="?(?:stylesheet|preconnect|icon)[^>]*https?://|url\(["']?https?:"""
    )
    found = [
        path for path in site.rglob("*") if path.suffix in (".html", ".css") and fetched.search(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_no_mark_of_an_author_is_left(site: Path) -> None:
    marks = re.compile(r"<!-- (?:generated|run|not run)|^:::", re.MULTILINE)
    assert not [path for path in site.rglob("*.html") if marks.search(path.read_text(encoding="utf-8"))]


def plain(text: str) -> str:
    """Return text without white space and marks of Markdown."""
    return re.sub(r"[\s`*\\]", "", text)


def test_lists_inside_lists_are_indented_by_four() -> None:
    """GitHub shows two as well; the site would show one list."""
    sources = [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in REPOSITORY_PAGES)]
    prose = {path: FENCED.sub("", path.read_text(encoding="utf-8")) for path in sources}
    assert not [path for path, text in prose.items() if re.search(r"^ {1,3}[-*] ", text, re.MULTILINE)]


def shown(site: Path, page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", (site / "reference" / page).read_text(encoding="utf-8")))


def test_the_reference_has_every_setting(site: Path) -> None:
    text = shown(site, "settings.html")
    models = Recipe.model_json_schema()["$defs"].values()
    fields = [
        field for model in models for field in model["properties"].values() if "const" not in field
    ]  # `kind` is in the heading
    descriptions = [field.get("description", "") for field in fields]
    assert not [description for description in descriptions if plain(description) not in plain(text)]
    assert "train.lr_schedule" in text
    assert "model.scratch.hidden" in text


def test_the_reference_has_every_command_and_option(site: Path) -> None:
    text = shown(site, "commands.html")
    names = dict(commands(typer.main.get_command(app)))
    assert not [name for name in names if f"mlctl {name}" not in text]
    options = {
        name for command in names.values() for parameter in command.params for name in parameter.opts if name.startswith("--")
    }
    assert not [option for option in options - {"--help"} if option not in text]


def test_the_reference_has_every_table_and_column(site: Path) -> None:
    text = shown(site, "schemas.html")
    schemas = {name: value for name, value in vars(schema).items() if isinstance(value, pa.Schema)}
    assert len(schemas) > 10
    assert not [name for name in schemas if name not in text]
    assert not [field.name for value in schemas.values() for field in value if field.name not in text]
    assert "A rejected pair: the pair as it was read" in text  # the comments of the module


def test_the_reference_has_every_benchmark(site: Path) -> None:
    text = shown(site, "benchmarks.html")
    assert not [card.task for card in all_metadata() if card.title not in text or card.licence not in text]


def test_the_python_reference_has_docstrings(site: Path) -> None:
    text = shown(site, "api.html")
    assert "mlctl.training.losses.cz_nce" in text
    assert "Read a YAML recipe, merge it over the one that it names" in text


def test_a_broken_anchor_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text("# One\n\n[two](#two)\n", encoding="utf-8")
    text = (WEBSITE / "zensical.toml").read_text(encoding="utf-8")
    config = re.sub(r"nav = \[.*?^\]\n", "", text, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "zensical.toml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )
    assert built.returncode
    assert "anchor does not exist" in built.stdout + built.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one page, and what it links to."""
    root = tmp_path / "repository"
    files = {
        "docs/a/page.md": "[home](../index.md) [up](../../README.md) [install](../../README.md#install) [code](../../x/y.py)\n"
        "[how](../../CONTRIBUTING.md#rules) [web](https://example.org)\n\n"
        "<!-- not run: why -->\n```sh\ncat [x](../../none.py)\n```\n\n<!-- generated: part -->\n",
        "docs/index.md": "# Home\n",
        "docs/website/hidden.md": "[none](none.md)\n",
        "docs/website/assets/style.css": "",
        "x/y.py": "print(1)\n",
        "README.md": "# Read\n",
        **dict.fromkeys(REPOSITORY_PAGES, "# Page\n"),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def staged(root: Path, repository: str = "") -> Path:
    pages = root.parent / "pages"
    Staging(root, pages, repository, {"part": lambda: "MADE"}).write()
    return pages


def test_links_lead_to_pages_of_the_site(repository: Path) -> None:
    pages = staged(repository)
    text = (pages / "a/page.md").read_text(encoding="utf-8")
    assert "[home](../index.md) [up](../index.md) [install](../tutorial/first-run.md#install) [code](../source/x/y.py.md)" in text
    assert "[how](../contributing.md#rules) [web](https://example.org)" in text
    assert text.endswith("\n```sh\ncat [x](../../none.py)\n```\n\nMADE\n")  # a code block stays as it is
    assert "<!--" not in text
    assert "print(1)" in (pages / "source/x/y.py.md").read_text(encoding="utf-8")
    assert not (pages / "website").exists()


def test_links_lead_to_the_repository_where_it_has_an_address(repository: Path) -> None:
    pages = staged(repository, "https://example.org/mlctl/")
    text = (pages / "a/page.md").read_text(encoding="utf-8")
    assert "[code](https://example.org/mlctl/blob/main/x/y.py)" in text
    assert "[home](../index.md) [up](../index.md)" in text  # a page of the site stays one
    assert not (pages / "source").exists()


def test_a_link_to_nothing_ends_the_staging(repository: Path) -> None:
    (repository / "docs/index.md").write_text("[gone](../x/gone.py)\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"index\.md links to x/gone\.py"):
        staged(repository)


def test_an_unknown_part_ends_the_staging(repository: Path) -> None:
    (repository / "docs/index.md").write_text("<!-- generated: nothing -->\n", encoding="utf-8")
    with pytest.raises(KeyError, match="nothing"):
        staged(repository)
