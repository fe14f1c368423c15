from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Files, Hub

from mlctl.config import Download, HuggingfaceSource, Languages
from mlctl.core.workspace import Workspace
from mlctl.corpora import download, local_files
from mlctl.corpora.corpus import Row
from mlctl.corpora.sources.huggingface import HuggingfaceCorpus
from mlctl.errors import InputError

TRANSLATIONS = [{"en": "yes", "fr": "oui", "de": "ja"}, {"en": "no", "fr": "", "de": None}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set as the hub keeps it: a card and a Parquet file a split."""
    root = tmp_path / "my-set"
    (root / "data").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2], "translation": TRANSLATIONS}), root / "data" / "train-00000-of-00001.parquet")
    (root / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# My set\n")
    return root


def corpus(folder: Path, scratch: Path, *targets: str, **settings: Any) -> HuggingfaceCorpus:
    source = HuggingfaceSource(dataset=str(folder), **settings)
    return HuggingfaceCorpus(source, Languages(targets=targets or ("fr",)), scratch)


def test_a_folder_with_translations(folder: Path, tmp_path: Path) -> None:
    demo = corpus(folder, tmp_path, "fr", "de")
    assert list(demo.rows("fr")) == [Row("yes", "oui", "train#1"), Row("no", None, "train#2")]
    assert [row.target for row in demo.rows("de")] == ["ja", None]
    assert (demo.name, demo.licence, demo.address) == ("my-set", "cc-by-4.0", "my-set")


def test_scores_are_columns_of_the_data_set(folder: Path, tmp_path: Path) -> None:
    table = pa.table({"laser": [1.25, None], "translation": [{"en": "yes", "fr": "oui"}, {"en": "no", "fr": "non"}]})
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    demo = corpus(folder, tmp_path, scores={"laser_score": "laser"})
    assert [row.scores for row in demo.rows("fr")] == [{"laser_score": 1.25}, None]
    assert demo.sha256() != corpus(folder, tmp_path).sha256()
    with pytest.raises(InputError, match="scores: there is no column 'lasr' for 'laser_score'"):
        next(iter(corpus(folder, tmp_path, scores={"laser_score": "lasr"}).rows("fr")))


def test_two_columns_of_json_lines(tmp_path: Path) -> None:
    root = tmp_path / "pairs"
    root.mkdir()
    lines = [{"sentence": "yes", "traduction": "oui"}, {"sentence": "no", "traduction": None}]
    (root / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    demo = corpus(root, tmp_path, columns=("sentence", "traduction"), licence="MIT", name="ours")
    assert [(row.source, row.target) for row in demo.rows("fr")] == [("yes", "oui"), ("no", None)]
    assert (demo.name, demo.licence) == ("ours", "MIT")
    assert corpus(root, tmp_path, columns=("sentence", "traduction")).licence == "unknown"


def test_a_column_of_text_in_either_language(tmp_path: Path) -> None:
    root = tmp_path / "news"
    root.mkdir()
    pq.write_table(pa.table({"text": ["oui", None, "non"]}), root / "train.parquet")
    sides = [
        [row[:2] for row in corpus(root, tmp_path, columns=("text",), side=side).rows("fr")] for side in ("source", "target")
    ]
    assert sides == [[("oui", None), ("non", None)], [(None, "oui"), (None, "non")]]
    with pytest.raises(InputError, match="are the same for fr, de"):
        corpus(root, tmp_path, "fr", "de", columns=("text",), side="target")
    with pytest.raises(ValueError, match="name one column"):
        HuggingfaceSource(dataset=str(root), side="target")


def test_a_subset_for_each_pair(tmp_path: Path) -> None:
    for pair, word in (("en-fr", "oui"), ("de-en", "ja")):
        (tmp_path / "set" / pair).mkdir(parents=True)
        target = pair.replace("en", "").strip("-")
        pq.write_table(pa.table({"translation": [{"en": "yes", target: word}]}), tmp_path / "set" / pair / "train.parquet")
    card = "---\nconfigs:\n" + "".join(f"- config_name: {pair}\n  data_dir: {pair}\n" for pair in ("en-fr", "de-en")) + "---\n"
    (tmp_path / "set" / "README.md").write_text(card)
    demo = corpus(tmp_path / "set", tmp_path, "fr", "de", subset="{pair}")
    assert [[row.target for row in demo.rows(tag)] for tag in demo.targets] == [["oui"], ["ja"]]


def test_the_digest_is_of_the_text(folder: Path, tmp_path: Path) -> None:
    before = corpus(folder, tmp_path / "a").sha256()
    assert corpus(folder, tmp_path / "b").sha256() == before
    changed = [{**TRANSLATIONS[0], "fr": "si"}, TRANSLATIONS[1]]
    pq.write_table(pa.table({"translation": changed}), folder / "data" / "train-00000-of-00001.parquet")
    assert corpus(folder, tmp_path / "c").sha256() != before


def test_the_stage_reads_it_and_its_key_follows_the_files(folder: Path, tmp_path: Path) -> None:
    settings = Download(sources=(HuggingfaceSource(dataset=str(folder)),), lock=str(tmp_path / "corpora.lock"))
    languages = Languages(targets=("fr",))
    metrics = download(settings, languages, Workspace(tmp_path / "work"))
    assert (metrics["pairs"], metrics["untranslated"]) == (1, 1)
    [record] = json.loads((tmp_path / "work" / "provenance.json").read_text())
    assert (record["kind"], record["licence"], record["address"]) == ("huggingface", "CC-BY-4.0", "my-set")
    digests = local_files(settings, languages)
    assert sorted(digests) == ["0/README.md", "0/data/train-00000-of-00001.parquet"]
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert local_files(settings, languages) != digests


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "test"}, r"my-set(?s:.*)test"),
        ({"subset": "nope"}, r"my-set(?s:.*)nope"),
        ({"columns": ("id", "translation")}, "row 1: int '1' is not text"),
        ({"columns": ("a", "b")}, "row 1 has no column 'a'"),
    ],
)
def test_what_it_does_not_have_is_named(folder: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(corpus(folder, tmp_path, **settings).rows("fr"))


def test_a_language_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1 has nothing in 'sw'(?s:.*)'de', 'en', 'fr'|'en', 'fr', 'de'"):
        list(corpus(folder, tmp_path, "sw").rows("sw"))


def test_the_same_columns_for_several_languages_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"are the same for fr, de"):
        corpus(folder, tmp_path, "fr", "de", columns=("a", "b"))


def test_damaged_files_and_cards(folder: Path, tmp_path: Path) -> None:
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="cannot be read"):
        list(corpus(folder, tmp_path).rows("fr"))
    (folder / "README.md").write_text("---\n: [\n---\n")
    with pytest.raises(InputError, match=r"README\.md is not a valid dataset card"):
        corpus(folder, tmp_path)


def test_no_such_folder() -> None:
    with pytest.raises(InputError, match="there is no folder '/nowhere/at all'"):
        corpus(Path("/nowhere/at all"), Path())


_OFFLINE = """
from pathlib import Path
from mlctl.config import HuggingfaceSource, Languages
from mlctl.corpora.sources.huggingface import HuggingfaceCorpus
from mlctl.errors import InputError
try:
    HuggingfaceCorpus(HuggingfaceSource(dataset="someone/something"), Languages(), Path())
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_the_hub_it_says_so_at_once(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _OFFLINE],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "'someone/something' is no folder, and the hub cannot be reached" in done.stdout, done.stderr


def parquet(values: dict[str, Any]) -> bytes:
    pq.write_table(pa.table(values), out := io.BytesIO())
    return out.getvalue()


_CONFIGS = "configs:\n" + "".join(f"- config_name: {pair}\n  data_dir: {pair}\n" for pair in ("en-fr", "de-en"))
HUB: dict[str, Files] = {
    "us/translated": {
        "README.md": b"---\nlicense: cc-by-4.0\n---\n",
        "data/train-00000-of-00002.parquet": parquet({"id": [1], "translation": TRANSLATIONS[:1]}),
        "data/train-00001-of-00002.parquet": parquet({"id": [2], "translation": TRANSLATIONS[1:]}),
    },
    "us/columns": {"data/train-00000-of-00001.parquet": parquet({"sentence": ["yes", "no"], "traduction": ["oui", None]})},
    "us/news": {"README.md": b"---\nlicense: cc0-1.0\n---\n", "train.jsonl": b'{"text": "first"}\n{"text": "second"}\n'},
    "us/pairs": {
        "README.md": f"---\n{_CONFIGS}---\n".encode(),
        "en-fr/train.parquet": parquet({"translation": [{"en": "yes", "fr": "oui"}]}),
        "de-en/train.parquet": parquet({"translation": [{"de": "ja", "en": "yes"}]}),
    },
    "us/broken": {"bad.jsonl": b'{"en": "yes", "fr": "oui"}\n'},
    "us/secret": {},
}
CASES: dict[str, dict[str, Any]] = {
    "translated": {"dataset": "us/translated"},
    "columns": {"dataset": "us/columns", "columns": ["sentence", "traduction"], "licence": "MIT", "targets": ["fr"]},
    "one column": {"dataset": "us/news", "columns": ["text"]},
    "subset": {"dataset": "us/pairs", "subset": "{pair}"},
    "private": {"dataset": "us/secret"},
    "missing": {"dataset": "us/nothing"},
    "revision": {"dataset": "us/translated", "revision": "v9"},
    "split": {"dataset": "us/translated", "split": "test"},
    "broken": {"dataset": "us/broken"},
    "gone": {"dataset": "us/columns", "columns": ["sentence"], "name": "gone"},
}
_CHILD = """
import contextlib, json, os, sys, urllib.request
from pathlib import Path
from mlctl.config import HuggingfaceSource, Languages
from mlctl.corpora.sources.huggingface import HuggingfaceCorpus
from mlctl.errors import InputError
def read(name, settings):
    corpus = HuggingfaceCorpus(HuggingfaceSource(**settings), Languages(targets=("fr", "de")), Path(sys.argv[1]) / name)
    if name == "gone":
        with contextlib.suppress(OSError):
            urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/-/go")
    rows = {target: [row[:3] for row in corpus.rows(target)] for target in corpus.targets}
    return [corpus.version, corpus.licence, corpus.address, rows, list(corpus.retrieved())]
for name, settings in json.loads(sys.argv[2]).items():
    try:
        result = read(name, settings)
    except InputError as error:
        result = str(error)
    print(json.dumps([name, result]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, dict[str, Any]]]:
    """Return the result of reading each case, in a separate process: the library reads the hub's URL when it is imported."""
    folder = tmp_path_factory.mktemp("hub")
    with Hub(HUB, private=("us/secret",)) as hub:
        hub.broken = "bad.jsonl"
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(folder), json.dumps(CASES)],
            env=os.environ | {"HF_ENDPOINT": hub.url(""), "HF_HOME": str(folder / "home"), "no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,  # the library by itself would try again for minutes
        )
        assert done.returncode == 0, done.stderr
        yield hub, dict(map(json.loads, done.stdout.splitlines()))


def test_a_data_set_of_the_hub_is_read_at_one_commit(answers: tuple[Hub, dict[str, Any]]) -> None:
    hub, results = answers
    version, licence, address, rows, retrieved = results["translated"]
    assert (version, licence, address) == (hub.commit("us/translated"), "cc-by-4.0", f"us/translated@{version}")
    assert rows == {
        "fr": [["yes", "oui", "train#1"], ["no", None, "train#2"]],
        "de": [["yes", "ja", "train#1"], ["no", None, "train#2"]],
    }
    assert retrieved == [address]
    assert not [path for path in hub.requests if "/resolve/main/" in path]


def test_columns_of_the_hub(answers: tuple[Hub, dict[str, Any]]) -> None:
    _, results = answers
    assert [results["columns"][1], results["columns"][3]] == [
        "MIT",
        {"fr": [["yes", "oui", "train#1"], ["no", None, "train#2"]]},
    ]
    assert results["one column"][3] == {tag: [["first", None, "train#1"], ["second", None, "train#2"]] for tag in ("fr", "de")}
    assert results["one column"][1] == "cc0-1.0"
    assert [results["subset"][1], results["subset"][3]] == [
        "unknown", {"fr": [["yes", "oui", "train#1"]], "de": [["yes", "ja", "train#1"]]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("private", r"neither a folder nor a dataset on the hub: 'us/secret' .*\n.*a private dataset needs"),
        ("missing", r"neither a folder nor a dataset on the hub: 'us/nothing' .*\n.*check the spelling"),
        ("revision", r"'us/translated' \(revision 'v9'\)"),
        ("split", r"translated \(us/translated@\w{40}\) cannot be read: .*test"),
        ("broken", r"broken \(us/broken@\w{40}\) cannot be read: .*500"),
        ("gone", r"gone \(us/columns@\w{40}\) cannot be read: "),
    ],
)
def test_what_the_hub_does_not_give_is_told(case: str, message: str, answers: tuple[Hub, dict[str, Any]]) -> None:
    assert isinstance(answers[1][case], str)
    assert re.search(message, answers[1][case])
