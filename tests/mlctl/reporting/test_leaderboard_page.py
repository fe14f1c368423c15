"""The leaderboard's page: its data, in a form that says what the board says, and no markup from it."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.reporting import leaderboard_page
from mlctl.reporting.leaderboard_data import BoardColumn, BoardModel, BoardScore, BoardTests, Leaderboard, LeftOut

from .conftest import HOSTILE
from .page import Page

RESAMPLES = 99


def model(name: str, number: int, kind: Any = "trained", **more: Any) -> BoardModel:
    values: dict[str, Any] = {"runs": [f"r{number}"], "changes": [], "family": "", "vectors": "mean", **more}
    fixed = {
        "weights": f"{number}" * 64,
        "created": "2026-11-30T10:00:00+00:00",
        "stores": ["a"],
        "results": [f"evaluate/{number}"],
    }
    return BoardModel(id=f"id{number}", name=name, kind=kind, **fixed, **values)


def pairs_of(models: list[str], *rows: tuple[float, float, float, float]) -> BoardTests:
    return BoardTests(models, *map(list, zip(*rows, strict=True)))


def board(**more: Any) -> Leaderboard:
    models = [model("one", 0), model("two", 1), model(HOSTILE, 2, "base")]
    ids = [one.id for one in models]
    scores = {
        "de": {one: BoardScore([0.5, 0.25], 10, {}) for one in ids},
        "en": {ids[0]: BoardScore([0.75, 1.0], 12, {})},
    }
    pairs = pairs_of(ids, (0.1, 0.01, 0.2, 0.01), (0.0, -1e-6, 2e-6, 1.0), (float("nan"),) * 4)
    xnli = BoardColumn("xnli", f"XNLI {HOSTILE}", "", "accuracy", HOSTILE, "How.", scores, pairs, {"de": pairs})
    other = BoardColumn("xnli", "XNLI", "seeds: [0]", "accuracy", "", "", scores, pairs, {})
    values = {"columns": [xnli, other], "left_out": [LeftOut("a", "evaluate/x", HOSTILE)], **more}
    return Leaderboard(["a"], models, resamples=RESAMPLES, **values)


def unpacked(tests: dict[str, Any], data: dict[str, Any]) -> list[tuple[float, float, float]]:
    numbers = np.frombuffer(base64.b64decode(tests["pairs"]), "<i2").reshape(-1, 3)
    return [
        (low * data["units"]["limit"], high * data["units"]["limit"], p * data["units"]["p"]) for low, high, p in numbers.tolist()
    ]


def test_data_say_what_the_board_says() -> None:
    data = leaderboard_page.page_data(board(), ["xnli", "xnli.2"])
    first, second = data["columns"]
    assert (first["scores"]["en"], first["scores"]["de"][2]) == ([[75000, 100000], None, None], [50000, 25000])
    assert (first["models"], first["items"], first["shown"]) == ([0, 1, 2], {"de": 10, "en": 12}, True)
    assert first["tests"] == first["languageTests"]["de"]
    assert second["languageTests"] == {}
    assert data["languages"] == {"de": "German", "en": "English"}
    assert data["withEnglish"] == sorted(("xnli", "pawsx", "panx", "xquad", "mlqa", "tydiqa", "udpos"))
    low, high, p = unpacked(first["tests"], data)[0]
    assert (low, high, p) == pytest.approx((0.01, 0.2, 0.01), abs=4e-5)
    assert unpacked(first["tests"], data)[2] == (0, 0, 0), "p 0: not tested"


@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(1, 2001))
def test_packed_limits_have_the_signs_of_the_limits(low: float, high: float, extreme: int) -> None:
    one = pairs_of(["id0", "id1"], (0.0, low, high, extreme / 2001))
    data = leaderboard_page.page_data(board(), ["xnli", "xnli.2"])
    packed = leaderboard_page._tests(one, {"id0": 0, "id1": 1}, 2000)
    [(found_low, found_high, _)] = unpacked(packed, data)
    assert (np.sign(found_low), np.sign(found_high)) == (np.sign(low), np.sign(high))
    assert (found_low, found_high) == pytest.approx((low, high), abs=4e-5)
    assert np.frombuffer(base64.b64decode(packed["pairs"]), "<i2")[2] == extreme


def test_names_tell_models_apart() -> None:
    models = [model("a", 0), model("a", 1), model("b", 2), model("b", 3, runs=[]), model("b", 4, runs=[], vectors="cls")]
    labels = leaderboard_page._labels([*models, model("b", 5, runs=[])])
    assert labels == ["a (r0)", "a (r1)", "b (r2)", "b (mean) (id3)", "b (cls)", "b (mean) (id5)"]
    assert len(set(labels)) == len(labels)


def test_text_of_results_is_no_markup() -> None:
    page = Page(leaderboard_page.render(board()))
    assert not [attributes for tag, attributes in page.tags if tag == "img" or "onerror" in attributes]
    _, data, script = page.scripts  # the first is that of every page
    assert json.loads(data)["models"][2]["name"] == HOSTILE
    assert "</script" not in script
    policy = next(str(attributes["content"]) for _, attributes in page.tags if attributes.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert not [attributes for tag, attributes in page.tags if str(attributes.get("src", "")) or (tag == "link")]


def test_sections_follow_the_content() -> None:
    page = Page(leaderboard_page.render(board()))
    assert list(page.sections) == ["scores", "compare", "languages", "models", "tasks", "left-out"]
    assert "XLM-R large" in page.part("tasks")
    assert "too many pairs" not in page.part("compare")
    plain = BoardColumn("mine", "Mine", "", "accuracy", "", "", board().columns[0].scores, board().columns[0].mean_tests, {})
    other = Page(leaderboard_page.render(board(columns=[plain], left_out=[])))
    assert "left-out" not in other.sections
    assert "Published rows" not in other.part("tasks")
    assert "too many pairs" in other.part("compare")


def test_every_pair_has_six_bytes() -> None:
    ids = [f"id{number}" for number in range(3)]
    data = leaderboard_page.page_data(board(), ["xnli", "xnli.2"])
    assert len(base64.b64decode(data["columns"][0]["tests"]["pairs"])) == 6 * len(list(itertools.combinations(ids, 2)))
