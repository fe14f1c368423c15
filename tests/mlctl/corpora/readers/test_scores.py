"""Quality scores of a corpus: columns of tsv, jsonl and parquet, and <prop> of tmx."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl.config import FilesSource, parse
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import open_pairs
from mlctl.errors import InputError

SCORES = {"laser": "l", "bicleaner": "quality.b"}


def read(path: Path, format: str, scores: dict[str, str], **options: Any) -> list[Row]:  # noqa: A002
    return list(open_pairs(path, format, "en", "fr", scores=scores, **options))


def scores_of(path: Path, format: str, scores: dict[str, str], **options: Any) -> list[dict[str, float] | None]:  # noqa: A002
    return [None if row.scores is None else dict(row.scores) for row in read(path, format, scores, **options)]


def test_tsv_by_number_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("yes\toui\t1.25\t\nno\tnon\t \t-3e-1\nmaybe\t\t9\t9\n", encoding="utf-8")
    assert scores_of(path, "tsv", {"laser": "3", "b": "4"}) == [{"laser": 1.25}, {"b": -0.3}, None]
    named = tmp_path / "named.tsv"
    named.write_text("laser_score\ten\tfr\n1.25\tyes\toui\n", encoding="utf-8")
    assert scores_of(named, "tsv", {"laser": "laser_score"}) == [{"laser": 1.25}]
    assert scores_of(named, "tsv", {"laser": "laser_score"}, columns=("2", "3")) == [{"laser": 1.25}], "line 1 is a header"
    with pytest.raises(InputError, match=r"line 1 has no column 'l' for the score 'laser'\s.*'laser_score', 'en', 'fr'"):
        read(named, "tsv", {"laser": "l"})
    with pytest.raises(InputError, match="at least the 9 columns"):
        read(path, "tsv", {"laser": "9"})


def test_jsonl_and_parquet(tmp_path: Path) -> None:
    records = [
        {"en": "yes", "fr": "oui", "l": 1.5, "quality": {"b": 0.25}},
        {"en": "no", "fr": "non", "l": None, "quality": {"b": math.nan}},
        {"en": "maybe", "fr": None, "l": 2.0, "quality": None},
    ]
    expected: list[dict[str, float] | None] = [{"laser": 1.5, "bicleaner": 0.25}, None, None]
    jsonl = tmp_path / "x.jsonl"
    jsonl.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert scores_of(jsonl, "jsonl", SCORES) == expected
    jsonl.write_text('{"en": "yes", "fr": "oui", "l": "1.5"}\n{"en": "no", "fr": "non"}\n', encoding="utf-8")
    assert scores_of(jsonl, "jsonl", SCORES) == [{"laser": 1.5}, None]
    parquet = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(records), parquet)
    assert scores_of(parquet, "parquet", SCORES) == expected
    with pytest.raises(InputError, match="no column 'lasr' for 'laser'"):
        read(parquet, "parquet", {"laser": "lasr"})


def test_tmx_props_of_the_unit_and_of_its_variants(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(
        """<tmx version="1.4"><header/><body>
        <tu><prop type="score-bicleaner">0.75</prop><tuv xml:lang="en"><prop type="url">a</prop><seg>yes</seg></tuv>
          <tuv xml:lang="fr"><prop type="score-bicleaner">0.1</prop><prop type="laser">1.1</prop><seg>oui</seg></tuv></tu>
        <tu><tuv xml:lang="en"><seg>no</seg></tuv><tuv xml:lang="fr"><seg>non</seg></tuv></tu>
        <tu><prop type="laser">much</prop><tuv xml:lang="en"><seg>no</seg></tuv><tuv xml:lang="fr"><seg>non</seg></tuv></tu>
        </body></tmx>""",
        encoding="utf-8",
    )
    assert scores_of(path, "tmx", {"bicleaner": "score-bicleaner"}) == [{"bicleaner": 0.75}, None, None]
    rows = open_pairs(path, "tmx", "en", "fr", scores={"laser": "laser"})
    assert [next(rows).scores, next(rows).scores] == [{"laser": 1.1}, None]
    with pytest.raises(InputError, match=r"x\.tmx, line 5: the score 'laser' is 'much', which is not a finite number"):
        next(rows)


@pytest.mark.parametrize("value", ["much", "nan", "inf", "1e39", "1,5", True])
def test_what_is_no_finite_number_is_an_error_with_its_line(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"en": "a", "fr": "b"}) + "\n" + json.dumps({"en": "a", "fr": "b", "l": value}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"x\.jsonl, line 2: the score 'laser' is '{value}', which is not"):
        read(path, "jsonl", {"laser": "l"})


def test_a_score_that_no_pair_has_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"en": "a", "fr": "b", "l": 1}\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        read(path, "jsonl", {"laser": "l", "other": "o"})
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: no pair has the score 'other': check its column in `scores`"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "moses"}, "format 'moses' has no scores"),
        ({"format": "tsv", "scores": {"a": 0}}, "numbers from 1"),
        ({"format": "tsv", "scores": {"a.b": 3}}, "use letters, digits"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    source = {"kind": "files", "name": "x", "path": "x.{language}", "scores": {"laser": 3}, **settings}
    with pytest.raises(InputError, match=message):
        parse({"download": {"sources": [source]}})
    assert FilesSource(name="x", path="-", format="tsv", scores={"laser": 3}).scores == {"laser": "3"}  # type: ignore[dict-item]
