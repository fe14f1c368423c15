"""The settings `clean.scores`: what is in the key, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from mlctl.config import key_settings, parse
from mlctl.config.scores import EncoderScore
from mlctl.errors import InputError

E5 = {"kind": "encoder", "model": "intfloat/multilingual-e5-small", "min": 0.8}


def key(score: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = key_settings(parse({"clean": {"scores": {"e5": score}}}).clean)["scores"]["e5"]
    return settings


def test_what_changes_no_score_is_not_in_the_key() -> None:
    same = {"batch_size": 3, "device": "cpu", "allow_pickle": True, "model": "other"}  # the model is digested
    assert key({**E5, **same}) == key(E5)
    for change in (
        {"min": 0.7},
        {"metric": "margin"},
        {"precision": "bf16"},
        {"by_language": {"de": {"min": 0.5}}},
        {"neighbours": 8},
    ):
        assert key({**E5, **change}) != key(E5), change


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"a b": E5}, r"clean\.scores\.a b: use letters, digits, `_` and `-`, a letter or digit first"),
        ({"e5": {"kind": "encodr", "model": "x"}}, "use encoder, .* did you mean 'encoder'"),
        ({"e5": {"kind": "encoder"}}, r"clean\.scores\.e5\.model: is missing"),
        ({"e5": {**E5, "min_percentile": 100}}, "less than 100"),
        ({"e5": {**E5, "by_language": {"xyzzy-": {}}}}, "xyzzy"),
        ({"e5": {**E5, "by_language": {"de": {"max": 1}}}}, "no such setting"),
        ({"own": {"kind": "command", "command": []}}, "at least 1"),
        ({"own": {"kind": "command", "command": ["score", "{file}"]}}, r"unknown placeholder \{file\}: use \{source\}, "),
    ],
)
def test_wrong_settings_are_named(scores: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse({"clean": {"scores": scores}})


def test_overrides_of_one_setting() -> None:
    recipe = parse({"clean": {"scores": {"e5": E5}}}, overrides=["clean.scores.e5.min=0.9", "clean.scores.seen={kind: lexicon}"])
    assert recipe.clean.scores["e5"].min == 0.9
    assert list(recipe.clean.scores) == ["e5", "seen"]


@pytest.mark.parametrize(
    ("metric", "given", "shortest"), [("cosine", None, 15), ("margin", None, 50), ("margin", 0, 0), ("cosine", 30, 30)]
)
def test_the_shortest_scored_pair_depends_on_the_metric(metric: Any, given: int | None, shortest: int) -> None:
    assert EncoderScore(model="-", metric=metric, min_characters=given).shortest == shortest
