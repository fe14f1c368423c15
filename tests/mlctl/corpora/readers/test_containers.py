"""The shapes in which parallel text is published: archives of several pairs, tars, headers, nested records, UTF-16."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import lzma
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_writers import a_zip

from mlctl.config import FilesSource, Languages
from mlctl.core.zstandard import zstd
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import open_pairs
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.errors import InputError

PAIR = {"en": b"one\ntwo\n", "fr": b"un\ndeux\n"}
PAIRS = [("one", "un"), ("two", "deux")]


def put(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def a_tar(files: dict[str, bytes], mode: str = "w:gz", link: str = "") -> bytes:
    with tarfile.open(fileobj=(out := io.BytesIO()), mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return out.getvalue()


def texts(path: Path | tuple[Path, Path], kind: str, **options: object) -> list[tuple[str | None, str | None]]:
    return [(row.source, row.target) for row in open_pairs(path, kind, "en", "fr", **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("pack", [a_zip, a_tar])
def test_several_pairs_without_a_member_are_listed(tmp_path: Path, pack: object) -> None:
    files = {f"{part}.{code}": f"{part} {code}\n".encode() for part in ("dev", "train") for code in ("en", "fr", "de")}
    path = put(tmp_path, "x.zip" if pack is a_zip else "x.tgz", pack(files))  # type: ignore[operator]
    message = r"contains 2 texts in en-fr: dev\.\{language\}, train\.\{language\}(?s:.*)`member: dev\.\{language\}`"
    with pytest.raises(InputError, match=message):
        texts(path, "moses")
    assert texts(path, "moses", member="train.{language}") == [("train en", "train fr")]


def test_one_text_is_never_paired_with_another(tmp_path: Path) -> None:
    for names in (("a.en", "b.fr"), ("a.en", "a.de", "b.fr", "b.de"), ("en-de.txt", "fr-de.txt")):
        path = put(tmp_path, "x.zip", a_zip(dict.fromkeys(names, b"x\n")))
        with pytest.raises(InputError, match=r"no two files of one text in en-fr|has no file for"):
            texts(path, "moses")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("B.en-fr.en", "B.en-fr.fr"), ("en.txt", "fr.txt"), ("data/x_eng_Latn.txt", "data/x_fra_Latn.txt"),
        ("en/x.en", "fr/x.fr"), ("x.en.gz", "x.fr.gz"), ("dev-eng.txt", "dev-fra.txt"), ("d/eng_Latn.dev", "d/fra_Latn.dev"),
            ("en-fr/x.en-GB", "en-fr/x.fr-ca"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pack", [a_zip, a_tar])
def test_the_two_sides_differ_in_the_language_alone(tmp_path: Path, pack: object, source: str, target: str) -> None:
    sides = {source: PAIR["en"], target: PAIR["fr"]}
    files = {name: gzip.compress(data) if name.endswith(".gz") else data for name, data in sides.items()}
    others = {"README": b"", "B.en-de.de": b"no\n", "LICENSE": b"", "._x.en": b"\0"}
    path = put(tmp_path, "x.zip" if pack is a_zip else "x.tar.gz", pack(files | others))  # type: ignore[operator]
    assert texts(path, "moses") == PAIRS


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.xz", "tar.bz2", "tar.zst"])
def test_a_tar_is_read_like_a_zip(tmp_path: Path, suffix: str) -> None:
    modes = {"tgz": "gz", "tar": "", "tar.zst": ""}
    data = a_tar({"./n/x.en": PAIR["en"], "./n/x.fr": PAIR["fr"]}, f"w:{modes.get(suffix, suffix[4:])}")
    path = put(tmp_path, f"x.{suffix}", zstd.compress(data) if suffix == "tar.zst" else data)
    assert texts(path, "moses") == PAIRS
    corpus = FilesCorpus(FilesSource(name="x", path=str(path), format="moses"), Languages(source="en", targets=("fr",)))
    assert next(corpus.rows("fr")) == Row("one", "un", f"x.{suffix}/n/x.en:1")
    assert texts(path, "lines", member="n/x.en") == [("one", None), ("two", None)]
    with pytest.raises(InputError, match=r"contains 2 files: n/x\.en, n/x\.fr(?s:.*)`member`"):
        texts(path, "lines")
    with pytest.raises(InputError, match=r"has no member 'y'(?s:.*)it has n/x\.en"):
        texts(path, "lines", member="y")


def test_tars_that_are_refused(tmp_path: Path) -> None:
    whole = a_tar({"x.tsv": b"a\tb\n" * 9999})
    with pytest.raises(InputError, match=r"x\.tgz\S* is cut off or damaged"):
        texts(put(tmp_path, "x.tgz", whole[: len(whole) // 2]), "tsv", member="x.tsv")
    with pytest.raises(InputError, match="is a link"):
        texts(put(tmp_path, "x.tgz", a_tar({}, link="x.tsv")), "tsv", member="x.tsv")
    with pytest.raises(InputError, match=r"x\.tgz is damaged or not tar\.gz"):
        texts(put(tmp_path, "x.tgz", gzip.compress(b"a\tb\n")), "tsv")
    with pytest.raises(InputError, match="unpacks to more than 400 times its size"):
        texts(put(tmp_path, "x.tgz", a_tar({"x.tsv": b"a\tb\n" * 2**23})), "tsv")


def test_content_goes_before_the_name(tmp_path: Path) -> None:
    text = b"one\tun\ntwo\tdeux\n"
    for packed in (
        text,
        gzip.compress(text),
        lzma.compress(text),
        zstd.compress(text),
        bz2.compress(text),
        a_tar({"t.tsv": text}),
    ):
        for name in ("x.tsv.gz", "x.tsv", "x.tsv.zst", "x"):
            assert texts(put(tmp_path, name, packed), "tsv") == PAIRS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
def test_text_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    def encoded(text: str) -> bytes:
        return (b"\xfe\xff" if encoding == "utf-16-be" else b"") + text.encode(encoding)

    sides = put(tmp_path, "x.en", encoded("one\r\nдва\u2028Ċ\n")), put(tmp_path, "x.fr", encoded("un\ndeux"))
    assert texts(sides, "moses") == [("one", "un"), ("два\u2028Ċ", "deux")]
    assert texts(put(tmp_path, "x.tsv.gz", gzip.compress(encoded("one\tun\n"))), "tsv") == [("one", "un")]
    assert texts(put(tmp_path, "x.txt", encoded("one\n")), "lines") == [("one", None)]
    assert texts(put(tmp_path, "x.jsonl", encoded('{"en": "one", "fr": "un"}\n')), "jsonl") == [("one", "un")]
    catalogue = f'msgid ""\nmsgstr "Content-Type: text/plain; charset={encoding}\\n"\n\nmsgid "one"\nmsgstr "un"\n'
    assert texts(put(tmp_path, "x.po", encoded(catalogue)), "po") == [("one", "un")]
    assert texts(put(tmp_path, "x.zip", a_zip({"x.tsv": encoded("one\tun\n")})), "tsv") == [("one", "un")]


def test_utf16_that_is_refused(tmp_path: Path) -> None:
    for encoding in ("utf-16le", "utf-16be"):
        for text in ("one\ntwo\n", "один два\nтри\n", "a line without an end " * 4):
            with pytest.raises(InputError, match=rf"looks like {encoding.upper()} without(?s:.*)iconv -f {encoding} -t utf-8"):
                texts(put(tmp_path, "x.txt", text.encode(encoding)), "lines")
    with pytest.raises(InputError, match=r"x\.txt, after line \d+: its byte order mark says UTF-16, but it is not valid"):
        texts(put(tmp_path, "x.txt", "one\n".encode("utf-16") + b"\x00\xd8\n\0" * 5000), "lines")
    with pytest.raises(InputError, match="find the encoding") as raised:
        texts(put(tmp_path, "x.txt", b"caf\xe9\n"), "lines")
    assert "latin1" not in str(raised.value)


def test_empty_lines_in_a_table_are_paragraph_breaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert texts(put(tmp_path, "x.tsv", "\none\tun\n\n \r\n\t\ntwo\tdeux\n\n"), "tsv") == PAIRS
    assert "x.tsv: 5 empty lines (paragraph breaks) skipped" in caplog.text
    assert texts(put(tmp_path, "x.tsv", "one\tun\n\tdeux\n"), "tsv") == [("one", "un"), ("", "deux")]


@pytest.mark.parametrize(
    "header", ["en\tfr", "eng_Latn\tfra_Latn", "source\ttarget", "src\ttrg", "English\tFrench", "sentence_en\tsentence_fr"]
)
def test_the_header_of_a_table_is_no_text(tmp_path: Path, header: str) -> None:
    assert texts(put(tmp_path, "x.tsv", f"{header}\none\tun\ntwo\tdeux\n"), "tsv") == PAIRS
    first, second = header.split("\t")
    table = put(tmp_path, "y.tsv", f"score\t{second}\t{first}\n0.9\tun\tone\n0.8\tdeux\ttwo\n")
    assert texts(table, "tsv") == texts(table, "tsv", columns=("3", "2")) == texts(table, "tsv", columns=(first, second)) == PAIRS


def test_columns_of_a_table_by_name(tmp_path: Path) -> None:
    table = put(tmp_path, "x.tsv", "id\ttext en\ttext fr\n1\tone\tun\n")
    assert texts(table, "tsv", columns=("text {language}", "text {target}")) == [("one", "un")]
    assert texts(table, "tsv", columns=("text fr",), side="target") == [(None, "un")]
    with pytest.raises(InputError, match=r"line 1 has no columns 'a', 'b'(?s:.*)it has 'id', 'text en'"):
        texts(table, "tsv", columns=("a", "b"))
    for row in ("1.08\tone\tun", "https://a.org\tone\tun", "one\t0.9\tun"):
        with pytest.raises(InputError, match=r"line 1 has 3 columns(?s:.*)columns: \[2, 3\]"):
            texts(put(tmp_path, "y.tsv", f"{row}\n"), "tsv")
    source = FilesSource(name="x", path=str(table), format="tsv", columns=("text {language}", "text {target}"))
    assert FilesCorpus(source, Languages(source="en", targets=("fr", "de"))).targets == ("fr", "de")


@pytest.mark.parametrize(
    ("record", "columns"),
    [
        ({"translation": {"language": ["de", "en", "fr", "fr"], "translation": ["eins", "one", "un", "une"]}}, ()),
        ({"language": ["en", "fr"], "translation": ["one", "un"]}, ()),
        ({"translation": [{"lang": "fr", "text": "un"}, {"lang": "en", "text": "one"}]}, ()),
        ({"texts": [{"language": "fr", "text": "un"}, {"language": "en", "text": "one"}]}, ("texts",)),
        ({"data": {"en": "one", "fr": "un"}}, ("data.en", "data.fr")),
        ({"data": {"translation": {"en": "one", "fr": "un"}}}, ("data.translation",)),
        (
            {"translation": {"en": {"text": "one"}, "fr": {"text": "un"}}},
            ("translation.{language}.text", "translation.{target}.text"),
        ),
        ({"a.b": "one", "c": "un"}, ("a.b", "c")),
    ],
)
def test_nested_records(tmp_path: Path, record: dict[str, object], columns: tuple[str, ...]) -> None:
    assert texts(put(tmp_path, "x.jsonl", json.dumps(record)), "jsonl", columns=columns) == [("one", "un")]
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "x.parquet")
    assert texts(tmp_path / "x.parquet", "parquet", columns=columns) == [("one", "un")]


def test_nested_records_that_are_refused_name_the_setting(tmp_path: Path) -> None:
    nested = put(tmp_path, "x.jsonl", '{"translation": {"en": {"text": "one"}, "fr": {"text": "un"}}}')
    with pytest.raises(InputError, match=r"is not text(?s:.*)the field b inside a"):
        texts(nested, "jsonl")
    with pytest.raises(InputError, match=r"no column 'translation\.en\.words'"):
        texts(nested, "jsonl", columns=("translation.en.words", "translation.fr.text"))


def test_a_listed_language_may_be_missing(tmp_path: Path) -> None:
    records = [{"translation": {"language": [code, "de"], "translation": [code, "x"]}} for code in ("en", "fr")]
    path = put(tmp_path, "x.jsonl", "\n".join(map(json.dumps, records)))
    assert texts(path, "jsonl") == [("en", None)]
