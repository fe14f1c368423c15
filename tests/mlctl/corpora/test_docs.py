from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from mlctl.config import Source, parse
from mlctl.corpora.readers import FORMATS

PAGE = Path(__file__).parents[3] / "docs" / "corpora.md"
SECTION = re.compile(r"^## `(\w+)`.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {found[1]: found[0] for found in SECTION.finditer(PAGE.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("kind", SECTIONS)
def test_each_kind_has_a_recipe_that_parses(kind: str) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", SECTIONS[kind], re.DOTALL)
    recipe = parse(yaml.safe_load(example), f"docs/corpora.md, {kind}")
    assert {source.kind for source in recipe.download.sources} == {kind}


def test_every_other_recipe_of_the_page_parses() -> None:
    text = SECTION.sub("", PAGE.read_text(encoding="utf-8"))
    examples = re.findall(r"```yaml\n(download:\n.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        parse({"languages": {"source": "en", "targets": ["fr", "de"]}, **yaml.safe_load(example)}, "docs/corpora.md")


def test_every_kind_and_every_format_is_there() -> None:
    kinds = {member.model_fields["kind"].default for member in get_args(get_args(Source)[0])}
    assert set(SECTIONS) == kinds
    assert set(re.findall(r"^\| `(\w+)` \|", SECTIONS["files"], re.MULTILINE)) == set(FORMATS)
