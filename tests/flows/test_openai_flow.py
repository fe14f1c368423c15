"""The whole flow with a language model on a server: the plan says what it would cost, and no key is stored anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from chat_server import KEY, MODEL, ChatServer

from mlctl.cli.main import main
from storage import Store

PLACES = "garden harbour library museum bakery station theatre market chapel bridge castle stadium".split()
TEXTS = [
    f"Many people of our town like to visit the old {place}, which opened in {1900 + year}." for year, place in enumerate(PLACES)
]


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "chat", key=KEY) as started:
        yield started


@pytest.fixture
def recipe(tmp_path: Path, wheels: Path, chat: ChatServer) -> Path:
    (tmp_path / "gaps.en").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    values = tiny.recipe(tmp_path / "store")
    gaps = {"kind": "files", "name": "gaps", "format": "lines", "path": str(tmp_path / "gaps.en"), "targets": ["fr"]}
    values["download"]["sources"].append(gaps | {"licence": "CC0-1.0"})
    options: dict[str, Any] = {"base_url": chat.url, "input_price": 123.25, "output_price": 10.5, "max_cost": 0.2}
    values["translate"] = {"backend": "openai", "model": MODEL, "licence": "MIT", "max_faulty": 1.0, "openai": options}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def plan(recipe: Path, capfd: pytest.CaptureFixture[str], *overrides: str, status: int = 0) -> str:
    capfd.readouterr()
    assert main(["plan", str(recipe), *overrides]) == status
    return " ".join(capfd.readouterr().out.split())


def _requests(said: str) -> tuple[int, int]:
    """Return how many requests a plan would send, and how many the translation memory answers."""
    found = re.search(r"translate: (\d+) requests to \S+, (\d+) more are in the translation memory;", said)
    assert found
    return int(found[1]), int(found[2])


def test_the_plan_says_what_translation_would_cost(
    recipe: Path,
    chat: ChatServer,
    server: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert "translate: its tokens and their cost can be estimated when clean is done" in plan(recipe, capfd)
    assert main(["clean", str(recipe)]) == 0
    assert chat.log() == []
    said = plan(recipe, capfd)
    found = re.search(
        r"translate: (\d+) requests to (\S+); about ([\d,]+) input and ([\d,]+) output tokens, cost about (\S+)", said
    )
    assert found
    assert found[2] == chat.url
    requests, input_tokens, output_tokens = (int(found[number].replace(",", "")) for number in (1, 3, 4))
    assert float(found[5]) == pytest.approx((input_tokens * 123.25 + output_tokens * 10.5) / 1e6, rel=0.01)
    assert "translate.openai.max_cost is 0.2: the stage would stop there" in said
    assert chat.log() == [], "nothing is requested by a plan"

    capfd.readouterr()
    assert main(["translate", str(recipe)]) == 1
    assert "translate.openai.max_cost" in "".join(capfd.readouterr())
    done = len(chat.forget())
    left, known = _requests(plan(recipe, capfd))
    assert known > 0
    assert left + known == requests
    assert done - 2 <= known <= done, "faulty answers are not kept"
    assert main(["translate", str(recipe), "translate.openai.max_cost=50"]) == 0
    (result,) = Store(tmp_path / "store").results("translate")
    metrics = result.manifest.metrics
    assert metrics["requests"] == done + len(chat.log())
    assert metrics["requests"] == pytest.approx(requests, abs=3)
    assert metrics["input_tokens"] / 3 < input_tokens < metrics["input_tokens"] * 3
    assert metrics["output_tokens"] / 4 < output_tokens < metrics["output_tokens"] * 4
    assert "translate: " not in plan(recipe, capfd), "it is cached"
    left, known = _requests(plan(recipe, capfd, "translate.part_rows=3"))
    assert left <= 2, "what was faulty, there or back"
    assert known == requests - left

    stored = [file for file in (tmp_path / "store").rglob("*") if file.is_file()]
    assert len(stored) > 20
    assert not [file for file in stored if KEY.encode() in file.read_bytes()]
    manifest = (result.folder / "manifest.json").read_text()
    assert "123.25" not in manifest
    assert KEY not in "".join(capfd.readouterr())


def test_a_wrong_key_and_a_missing_server_are_found_before_anything_starts(
    recipe: Path,
    chat: ChatServer,
    server: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-key-0123456789")
    capfd.readouterr()
    assert main(["plan", str(recipe)]) == 1
    said = " ".join("".join(capfd.readouterr()).split())
    assert "refuses the request (status 401" in said
    assert "another-key" not in said
    assert main(["plan", "--offline", str(recipe)]) == 0
    chat.stop()
    assert main(["translate", str(recipe)]) == 1
    assert "Connection refused" in "".join(capfd.readouterr())
    assert Store(tmp_path / "store").results("download") == []
