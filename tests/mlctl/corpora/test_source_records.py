"""The entries of provenance.json by source of the recipe."""

from __future__ import annotations

from typing import Any

from mlctl import config
from mlctl.corpora.source_records import languages_of, records_by_source, rows_of


def record(kind: str, corpus: str, **pairs: int) -> dict[str, Any]:
    return {"kind": kind, "corpus": corpus, "pairs": pairs, "untranslated": {"fr": 1}}


def test_each_source_gets_its_corpora() -> None:
    sources = config.parse(
        {
            "download": {
                "sources": [
                    {"kind": "locales", "packages": ["a==1", "b==2"]},
                    {"kind": "opus", "corpus": "TED"},
                    {"kind": "opus", "corpus": "TED", "format": "tmx"},
                    {"kind": "opus", "corpus": "GNOME"},
                    {"kind": "mtdata", "id": "Statmt-europarl-9-deu-eng"},
                    {"kind": "files", "name": "own", "path": "x.{language}"},
                ]
            }
        }
    ).download.sources
    names = [
        ("locales", "a"),
        ("locales", "b"),
        *[("opus", "TED")] * 3,
        ("opus", "GNOME"),
        ("mtdata", "Statmt"),
        ("files", "own"),
    ]
    found = records_by_source(sources, [record(*name) for name in names])
    assert [[one["corpus"] for one in records] for records in found] == [
        ["a", "b"],
        ["TED", "TED"],
        ["TED"],
        ["GNOME"],
        ["Statmt"],
        ["own"],
    ]


def test_rows_and_languages_count_both_sides() -> None:
    records = [record("files", "a", fr=3, de=0), record("files", "b", de=4)]
    assert (rows_of(records), rows_of(records, "fr"), rows_of(records, "de")) == (9, 5, 4)
    assert languages_of(records) == {"fr", "de"}
    assert languages_of(records[:1]) == {"fr"}
