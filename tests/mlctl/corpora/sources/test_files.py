from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlctl.config import FilesSource, Languages
from mlctl.corpora.corpus import Row
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.errors import InputError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, data: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def corpus(path: str, *targets: str, kind: str = "moses", source: str = "en") -> FilesCorpus:
    described = FilesSource(name="demo", path=path, format=kind, version="v1", licence="CC0-1.0")  # type: ignore[arg-type]
    return FilesCorpus(described, Languages(source=source, targets=targets or ("fr",)))


def test_moses_pair() -> None:
    write("x.en", "one\ntwo\n\n")
    write("x.fr", "un\n\ntrois")
    demo = corpus("x.{language}")
    assert list(demo.rows("fr")) == [Row("one", "un", "x.en:1"), Row("two", "", "x.en:2"), Row("", "trois", "x.en:3")]
    assert demo.address == "x.en, x.fr"
    assert len(demo.sha256()) == 64


def test_one_english_file_for_each_target() -> None:
    for target in ("fr", "de"):
        write(f"d/b.en-{target}.en.gz", f"for {target}\n")
        write(f"d/b.en-{target}.{target}.gz", f"text in {target}\n")
    demo = corpus("d/b.en-{target}.{language}.gz", "fr", "de")
    assert [row.source for row in demo.rows("de")] == ["for de"]
    assert len(demo.paths()) == 4


def test_tsv() -> None:
    write("x.en-fr.tsv", "one\tun\ntwo\t\n")
    assert list(corpus("x.en-{target}.tsv", kind="tsv").rows("fr")) == [
        Row("one", "un", "x.en-fr.tsv:1"),
        Row("two", None, "x.en-fr.tsv:2"),
    ]


def test_byte_order_mark_line_ends_and_unicode_separators() -> None:
    write("x.en", b"\xef\xbb\xbfone\r\ntwo\r\n")
    write("x.fr", "un\u2028\u0085\x0b\x0c\x1e\nd\reux\n")
    assert [(row.source, row.target) for row in corpus("x.{language}").rows("fr")] == [
        ("one", "un\u2028\u0085\x0b\x0c\x1e"),
        ("two", "d\reux"),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.text(st.characters(blacklist_characters="\n", codec="utf-8"))] * 2), min_size=1))
def test_text_comes_back_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    pairs = [(f"a{source}.", f"b{target}.") for source, target in pairs]
    write("y.en", "".join(f"{source}\n" for source, _ in pairs))
    write("y.fr", "\n".join(target for _, target in pairs))
    assert [(row.source, row.target) for row in corpus("y.{language}").rows("fr")] == pairs


def test_broken_utf8_names_file_line_and_byte() -> None:
    write("x.en", "one\ntwo\n")
    write("x.fr", b"un\nd\xe9ux\n")
    with pytest.raises(InputError, match=r"x\.fr, line 2: byte 2 of the line \(0xe9\) is not UTF-8"):
        list(corpus("x.{language}").rows("fr"))


@pytest.mark.parametrize(("source_lines", "target_lines"), [(3, 5), (5, 3), (0, 1)])
def test_line_counts_that_differ(source_lines: int, target_lines: int) -> None:
    write("x.en", "a\n" * source_lines)
    write("x.fr", "b\n" * target_lines)
    with pytest.raises(InputError, match=rf"x\.en has {source_lines} lines, x\.fr has {target_lines}"):
        list(corpus("x.{language}").rows("fr"))


@pytest.mark.parametrize(
    ("text", "message"), [("a\tb\nc\n", r"line 2 has 1 column"), ("a\tb\tc\nd\te\n", r"line 2 has 2 column(?s:.*)the 3 columns")]
)
def test_tsv_lines_of_another_shape(text: str, message: str) -> None:
    write("x.tsv", text)
    with pytest.raises(InputError, match=rf"x\.tsv, {message}"):
        list(corpus("x.tsv", kind="tsv").rows("fr"))


def test_damaged_gzip_is_named() -> None:
    whole = write("x.fr.gz", "texte\n" * 9999).read_bytes()
    write("x.en.gz", "text\n" * 9999)
    for damaged in (whole[:-20], b"plain text\n", whole[:20] + bytes(20) + whole[40:]):
        Path("x.fr.gz").write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.fr\.gz"):
            list(corpus("x.{language}.gz").rows("fr"))


def test_a_line_without_end_is_refused() -> None:
    write("x.en", "a\n")
    with Path("x.fr").open("wb") as stream:
        stream.truncate(2**24 + 1)
    with pytest.raises(InputError, match=r"x\.fr, line 1 is longer than 16 MiB"):
        list(corpus("x.{language}").rows("fr"))


@pytest.mark.parametrize(("name", "target"), [("zho", "zh"), ("cmn_Hans", "zh"), ("zh-CN", "zh"), ("fra", "fr"), ("pt_BR", "pt")])
def test_other_notations_in_file_names(name: str, target: str) -> None:
    write("x.eng", "yes\n")
    write(f"x.{name}", "?\n")
    write("x.ids", "1\n")
    assert corpus("x.{language}", target).address == f"x.eng, x.{name}"


def test_the_canonical_name_goes_first() -> None:
    write("a.fra.tsv", "x\ty\n")
    write("a.fr.tsv", "x\ty\n")
    assert corpus("a.{target}.tsv", kind="tsv").address == "a.fr.tsv"


def test_missing_file_lists_what_is_there() -> None:
    write("x.en", "a\n")
    write("x.de", "b\n")
    with pytest.raises(InputError, match=r"no file x\.fr(?s:.*)there are x\.de, x\.en"):
        corpus("x.{language}")


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("x.{lang}", "moses", "unknown placeholder {lang}"),
        ("x.en", "moses", "one file for both"),
        ("x.tsv", "tsv", "one file for fr, de"),
    ],
)
def test_wrong_patterns(path: str, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corpus(path, "fr", "de", kind=kind)


def test_targets_of_the_source_limit_what_is_read() -> None:
    write("x.en", "a\n")
    write("x.de", "b\n")
    source = FilesSource(name="demo", path="x.{language}", targets=("de", "ja"))
    assert FilesCorpus(source, Languages(targets=("fr", "de"))).targets == ("de",)


def test_one_file_of_many_languages_serves_several_targets() -> None:
    write("x.jsonl.gz", '{"translation": {"en": "yes", "fr": "oui", "de": "ja"}}\n')
    demo = corpus("x.jsonl.gz", "fr", "de", kind="jsonl")
    assert [list(demo.rows(tag)) for tag in ("fr", "de")] == [
        [Row("yes", "oui", "x.jsonl.gz:1")],
        [Row("yes", "ja", "x.jsonl.gz:1")],
    ]
    assert len(demo.paths()) == 1


def test_text_to_be_translated_is_the_source_language_for_each_target() -> None:
    write("mono.eng", "yes\n")
    demo = corpus("mono.{language}", "fr", "de", kind="lines")
    assert [list(demo.rows(tag)) for tag in ("fr", "de")] == [[Row("yes", None, "mono.eng:1")]] * 2


def test_text_that_people_wrote_in_the_target_languages() -> None:
    write("mono.fra", "oui\n")
    write("mono.de", "ja\n")
    write("x.jsonl", '{"Text (fr)": "non", "Text (de)": "nein"}\n')
    demo = described(path="mono.{language}", format="lines", side="target")
    assert [list(demo.rows(tag)) for tag in ("fr", "de")] == [[Row(None, "oui", "mono.fra:1")], [Row(None, "ja", "mono.de:1")]]
    for name in ("Text ({language})", "Text ({target})"):
        column = described(path="x.jsonl", format="jsonl", columns=[name], side="target")
        assert [row[:2] for tag in ("fr", "de") for row in column.rows(tag)] == [(None, "non"), (None, "nein")]


def described(**settings: object) -> FilesCorpus:
    return FilesCorpus(FilesSource.model_validate({"name": "demo", **settings}), Languages(targets=("fr", "de")))


def test_columns_and_members_of_the_recipe() -> None:
    write("x-fr.tsv", "1\ta\t2\tb\n")
    write("x-de.tsv", "1\tc\t2\td\n")
    table = described(path="x-{target}.tsv", format="tsv", columns=[2, 4])
    assert [(row.source, row.target) for row in table.rows("de")] == [("c", "d")]
    with zipfile.ZipFile("x.zip", "w") as archive:
        for name, text in {"en-fr.en": "a", "en-fr.fr": "b", "de-en.en": "c", "de-en.de": "d"}.items():
            archive.writestr(name, text)
    pair = described(path="x.zip", member="en-{target}.{language}", targets=["fr"])
    assert [(row.source, row.target) for row in pair.rows("fr")] == [("a", "b")]
    one_side = described(path="x.zip", member="de-en.{language}", format="lines")
    assert [row.source for row in one_side.rows("fr")] == ["c"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "jsonl", "columns": ["a", "b"]}, "one file for fr, de"),
        ({"format": "po"}, "one file for fr, de"),
        ({"format": "lines", "columns": ["a"]}, "format 'lines' has no columns"),
        ({"format": "tsv", "columns": ["a", "2"]}, "numbers from 1, or names"),
        ({"format": "tsv", "columns": ["a", "b"]}, "one file for fr, de"),
        ({"format": "tsv", "columns": [0, 1]}, "numbers from 1"),
        ({"format": "tsv", "side": "target"}, r"only for monolingual text: set `format: lines`"),
        ({"format": "lines", "side": "target"}, "one file for fr, de"),
        ({"format": "jsonl", "columns": ["a"], "side": "target"}, "one file for fr, de"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises((InputError, ValueError), match=message):
        described(path="x", **settings)
