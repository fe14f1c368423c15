"""Dropped pairs as Markdown: readable, small, and text is never markup."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlctl.reporting.markdown import literal, rejected_text

from .conftest import HOSTILE, pair

DIRT = (
    HOSTILE,
    "a ` [link](http://evil.example)",
    "`code` ``` [link](http://evil.example) ![i](http://evil.example/i.png) <http://evil.example>",
    "http://evil.example www.evil.example a@b.example",
    "# heading | table |\n---\n- item\n\n> quote\n```\nfence\n```\n<details>",
    "\u2028- line\x85- line\x0b- line\r- line",
    "&lt;b&gt; \\` \\",
    "    indented",
)
PARSER = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def row(rule: str, source: str, target: str | None = "oui", **more: Any) -> dict[str, Any]:
    return {**pair("fr", source, target, corpus="news"), "stage": "clean", "rule": rule, "language": "fr", **more}


def rule(name: str, dropped: int) -> dict[str, Any]:
    return {"stage": "clean", "rule": name, "dropped": dropped}


def tags(text: str) -> set[str]:
    return set(re.findall(r"<(\w+)", PARSER.render(text)))


@pytest.mark.parametrize("dirt", DIRT)
def test_text_is_never_markup(dirt: str) -> None:
    text = rejected_text(
        [rule("long", 1)], {"long": "it is too long"}, [row("long", dirt, dirt, corpus=dirt)], "store/`rejected`"
    )
    assert tags(text) == {"p", "code", "h2", "ul", "li", "br"}
    assert PARSER.render(text).count("<li>") == 1


@given(st.text(max_size=200))
def test_any_text_is_one_code_span(text: str) -> None:
    shown = literal(text)
    assert PARSER.render(f"x {shown}").strip().count("\n") == 0
    assert tags(shown) == ({"p", "code"} if shown != "*empty*" else {"p", "em"})
    assert len(shown.splitlines()) == 1


def test_what_turns_the_writing_is_not_passed_on() -> None:
    assert literal("a\u202eb\u2066c\x00d") == "`a\ufffdb\ufffdc\ufffdd`"


def test_rules_in_their_order_with_their_counts() -> None:
    examples = [row("a rule", "one"), row("a rule", "two", None), row("the first", "three", "")]
    text = rejected_text([rule("the first", 1), rule("idle", 0), rule("a rule", 12345)], {}, examples, "store/rejected")
    assert re.findall("^## .*$", text, re.MULTILINE) == ["## the first · 1 dropped", "## a rule · 12,345 dropped"]
    assert "- en `two`  \n  fr *no translation*  \n  from `news`" in text
    assert "fr *empty*" in text
    assert "`store/rejected`" in text


def test_it_stays_small_and_shows_something_of_each_rule() -> None:
    strange = "\U0001f9ff" * 5000
    names = [f"rule {number}" for number in range(25)]
    examples = [row(name, f"{number}{strange}", strange) for name in names for number in range(100)]
    text = rejected_text([rule(name, 100) for name in names], {}, examples, "store/rejected")
    assert len(text.encode()) <= 100_000
    assert text.count("## ") == 25
    few = rejected_text([rule(name, 100) for name in names], {}, [{**one, "source": "a", "target": "b"} for one in examples], "x")
    assert few.count("\n- ") > text.count("\n- ") >= 25
