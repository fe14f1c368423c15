from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from webserver import Server, serving, status

from mlctl.config import Download, Languages, OpusSource, parse
from mlctl.core.distribution import install_extras
from mlctl.corpora.catalog.mtdata_index import MtdataEntry, index_path, write_index
from mlctl.corpora.catalog.search import SearchResult, parse_pair, search
from mlctl.errors import InputError

QUESTION = "/api/?source=en&target=sw&preprocessing=moses&version=latest"
CRAWLED = "https://files/OPUS-CCMatrix/v1/moses/en-sw.txt.zip"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_index(
        [
            MtdataEntry("OPUS-ccmatrix-v1-eng-swa", ("en", "sw"), (CRAWLED,), "x.zip", ("*.en", "*.sw")),
            MtdataEntry(
                "ELRC-health-1-swa-eng", ("sw", "en"), ("https://elrc/1",), "1.zip", ("a.tmx",), "tmx", licence="CC-BY-4.0"
            ),
            MtdataEntry("Old-news-2014-eng-swa", ("en", "sw"), ("https://old/1",), "1.tgz", ("a.sgm", "b.sgm"), "sgm"),
            MtdataEntry("Other-toy-1-eng-fra", ("en", "fr"), ("https://other",), "x.tsv", format="tsv"),
        ],
        index_path(),
    )
    with serving() as server:
        yield server


def opus(server: Server, *entries: dict[str, Any], path: str = QUESTION) -> None:
    server.files[path] = json.dumps({"corpora": entries}).encode()


def corpus(name: str, **values: Any) -> dict[str, Any]:
    return {"corpus": name, "version": "v1", "alignment_pairs": 7, "size": 1234, "url": f"https://files/{name}", **values}


def ask(server: Server, pair: str = "en-sw", api: str = "/api/") -> SearchResult:
    return search(pair, Download(opus_api=server.url(api)))


def test_both_indexes_the_largest_first(server: Server) -> None:
    big = corpus("CCMatrix", alignment_pairs="5756664", url=CRAWLED)
    opus(server, corpus("Tanzil", size=None), big, corpus("QED", alignment_pairs="", version="v2.0a"))
    result = ask(server)
    listed = [(entry.kind, entry.name, entry.version, entry.pairs, entry.size_kb, entry.licence) for entry in result.corpora]
    assert listed == [
        ("opus", "CCMatrix", "v1", 5756664, 1234, "unknown"),
        ("opus", "Tanzil", "v1", 7, None, "unknown"),
        ("opus", "QED", "v2.0a", None, 1234, "unknown"),
        ("mtdata", "ELRC-health-1-swa-eng", "1", None, None, "CC-BY-4.0"),  # mtdata's CCMatrix is the same file
    ]
    assert (result.source, result.target, result.unsupported, result.unavailable) == ("en", "sw", 1, {})
    recipe = parse({"download": {"sources": [entry.recipe for entry in result.corpora]}})
    assert [source.kind for source in recipe.download.sources] == ["opus", "opus", "opus", "mtdata"]


def test_codes_of_any_notation(server: Server) -> None:
    opus(server, corpus("Tanzil"))
    assert [entry.name for entry in ask(server, "eng-swh_Latn").corpora] == [entry.name for entry in ask(server).corpora]
    assert parse_qs(urlsplit(server.requests[0].path).query)["target"] == ["sw"]


@pytest.mark.parametrize(
    ("pair", "tags"),
    [
        ("en-sw", ("en", "sw")),
        ("cmn_Hans-eng", ("zh", "en")),
        ("zh-CN-en", ("zh", "en")),
        ("en-zh-CN", ("en", "zh")),
        ("sr-Latn-en", ("sr-Latn", "en")),
        (" pt_BR-es_MX ", ("pt", "es")),
    ],
)
def test_pairs(pair: str, tags: tuple[str, str]) -> None:
    assert parse_pair(pair) == tags


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("en", r"'en' is not a language pair\n.*en-sw"),
        ("en-", "'en-' is not a language pair"),
        ("", "'' is not a language pair"),
        ("en-swahilli", "unknown language 'swahilli'\n.*such as 'sw'"),
        ("zz-en", "unknown language 'zz'"),
        ("zh-cmn_Hans", "names 'zh' twice"),
    ],
)
def test_what_is_no_pair(pair: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pair(pair)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "does not answer as OPUS's API does"),
        (b'{"corpora": [{"corpus": "x"}]}', "does not answer as OPUS's API does"),
        (b'["corpora"]', "does not answer as OPUS's API does"),
        (None, "it answers 404"),
    ],
)
def test_without_opus(server: Server, answer: bytes | None, reason: str) -> None:
    if answer is not None:
        server.files[QUESTION] = answer
    result = ask(server)
    assert [entry.name for entry in result.corpora] == ["ELRC-health-1-swa-eng", "OPUS-ccmatrix-v1-eng-swa"]
    assert reason in result.unavailable["OPUS"].problem


def test_a_busy_opus_is_asked_again(server: Server) -> None:
    opus(server, corpus("Tanzil"))
    server.plans[QUESTION] = [status(503)]
    assert (len(ask(server).corpora), len(server.ranges(QUESTION))) == (3, 2)


def test_without_mtdata_and_without_both(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    opus(server, corpus("Tanzil"))
    result = ask(server)
    assert [entry.name for entry in result.corpora] == ["Tanzil"]
    assert install_extras("corpora") in result.unavailable["mtdata"].remedy
    with pytest.raises(
        InputError, match=r"no catalogue can be searched. OPUS: .*404.*; mtdata: .*\n.*network.*; or .*pip install .*\[corpora\]"
    ):
        ask(server, api="/gone/")


def test_entries_are_of_the_codes_that_the_kind_uses(server: Server) -> None:
    opus(server, corpus("Tatoeba"), path="/api/?source=en&target=sr_Latn&preprocessing=moses&version=latest")
    assert [entry.recipe for entry in ask(server, "en-sr@latin").corpora] == [
        {"kind": "opus", "corpus": "Tatoeba", "version": "v1"}
    ]
    assert OpusSource.model_validate(ask(server, "en-sr@latin").corpora[0].recipe).targets == ()
    assert Languages(targets=("sr-Latn",)).targets == ("sr-Latn",)


@pytest.mark.parametrize(
    ("pair", "codes"),
    [
        ("en-tl", "fil tl"),
        ("en-fil", "fil tl"),
        ("en-zh_TW", "zh_Hant zh_TW zh_HK zh_tw zh_hk zht"),
        ("en-zh_HK", "zh_Hant zh_TW zh_tw"),
        ("en-zh", "zh zh_CN zh_cn cmn zhs"),
        ("en-pt_BR", "pt pt_BR pt_br pt_PT"),
        ("en-sh", "sr_Latn sh sh_latn sr_el"),
        ("en-sr", "sr sr_Cyrl sr_ec"),
        ("en-nb", "no nb nb_NO"),
        ("en-no", "no nb nb_NO"),
        ("en-nn", "nn nn_NO"),
        ("en-he", "he iw"),
        ("en-id", "id in"),
        ("en-fa", "fa pes prs"),
        ("en-sw", "sw swh swa"),
        ("en-uz@cyrillic", "uz_Cyrl uz_cyrl"),
        ("en-yue", "yue yue_hant zh_yue"),
    ],
)
def test_every_code_of_opus_is_asked(pair: str, codes: str, server: Server) -> None:
    for code in codes.split():
        path = f"/api/?source=en&target={code}&preprocessing=moses&version=latest"
        opus(server, corpus(f"In-{code}"), path=path)
    result = ask(server, pair)
    assert not result.unavailable
    usual, *others = codes.split()
    assert {entry.name: entry.recipe.get("codes", {}) for entry in result.corpora if entry.kind == "opus"} == {
        f"In-{usual}": {}, **{f"In-{code}": {result.target: code} for code in others},
    }  # fmt: skip
    sources = parse({"download": {"sources": [entry.recipe for entry in result.corpora]}}).download.sources
    assert all(source.kind == "mtdata" or isinstance(source, OpusSource) for source in sources)


def test_both_sides_have_several_codes(server: Server) -> None:
    opus(server, corpus("Tatoeba"), path="/api/?source=iw&target=cmn&preprocessing=moses&version=latest")
    (entry,) = ask(server, "he-zh").corpora
    assert entry.recipe == {"kind": "opus", "corpus": "Tatoeba", "version": "v1", "codes": {"he": "iw", "zh": "cmn"}}


def test_a_corpus_that_every_code_gives_is_one(server: Server) -> None:
    for code in ("sw", "swh"):
        opus(server, corpus("Tanzil"), path=f"/api/?source=en&target={code}&preprocessing=moses&version=latest")
    assert [entry.recipe for entry in ask(server).corpora if entry.kind == "opus"] == [
        {"kind": "opus", "corpus": "Tanzil", "version": "v1"}
    ]


def test_one_code_that_fails_is_reported_and_the_others_are_shown(server: Server) -> None:
    opus(server, corpus("Tanzil"))
    server.files["/api/?source=en&target=swa&preprocessing=moses&version=latest"] = b"<html>"
    result = ask(server)
    assert "Tanzil" in [entry.name for entry in result.corpora]
    assert "target=swa" in result.unavailable["OPUS"].problem
