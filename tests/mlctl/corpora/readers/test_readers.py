from __future__ import annotations

import gzip
import io
import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_writers import PACKERS, WRITERS, xliff2

from mlctl.core.zstandard import zstd
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers import FORMATS, open_pairs
from mlctl.errors import InputError

PAIRS = [("one", "un"), ("two\u2028\u0085 & <b>", "deux"), ("three", "")]


def put(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def texts(path: Path | tuple[Path, Path], kind: str, **options: object) -> list[tuple[str | None, str | None]]:
    return [(row.source, row.target) for row in open_pairs(path, kind, "en", "fr", **options)]  # type: ignore[arg-type]


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "parquet"])
def test_every_format_in_every_packing(tmp_path: Path, kind: str, packing: str) -> None:
    path = put(tmp_path, f"x.{kind}{packing}", PACKERS[packing](WRITERS[kind](PAIRS)))
    expected = [(source, None if kind == "lines" else target or None) for source, target in PAIRS]
    assert texts(path, kind) == expected


def test_every_format_is_tested() -> None:
    assert set(FORMATS) == {*WRITERS, "moses"}


def test_a_text_alone_is_of_either_side(tmp_path: Path) -> None:
    alone = {"lines": b"a\n\n", "tsv": b"a\tx\n\tx\n", "jsonl": b'{"1": "a"}\n{"1": ""}\n'}
    pq.write_table(pa.table({"1": ["a", ""]}), tmp_path / "x.parquet")
    for kind, data in alone.items():
        put(tmp_path, f"x.{kind}", data)
    for kind in (*alone, "parquet"):
        path, columns = tmp_path / f"x.{kind}", () if kind == "lines" else ("1",)
        assert texts(path, kind, columns=columns) == [("a", None), ("", None)]
        assert texts(path, kind, columns=columns, side="target") == [(None, "a"), (None, "")]
    path = put(tmp_path, "y.jsonl", '{"t": {"en": "a", "fr": ""}}\n')  # a side by its name is that side
    assert texts(path, "jsonl", columns=("t",), side="target") == [("a", None)]


@pytest.mark.parametrize("packing", PACKERS)
def test_moses_in_every_packing(tmp_path: Path, packing: str) -> None:
    sides = [put(tmp_path, f"x.{code}{packing}", PACKERS[packing](text)) for code, text in (("en", b"a\nb\n"), ("fr", b"c\nd"))]
    assert texts((sides[0], sides[1]), "moses") == [("a", "c"), ("b", "d")]


def test_origins_name_file_and_line_or_unit_without_folders(tmp_path: Path) -> None:
    assert [row.origin for row in open_pairs(put(tmp_path, "x.tsv", "a\tb\n"), "tsv", "en", "fr")] == ["x.tsv:1"]
    assert [row.origin for row in open_pairs(put(tmp_path, "x.tmx", WRITERS["tmx"](PAIRS[:2])), "tmx", "en", "fr")] == [
        "x.tmx#1",
        "x.tmx#2",
    ]
    path = zipped(tmp_path / "x.zip", {"a.txt": "yes\n", "b.txt": ""})
    assert list(open_pairs(path, "lines", "en", "fr", member="a.txt")) == [Row("yes", None, "x.zip/a.txt:1")]


def test_a_zip_with_both_sides(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"LICENSE": "free", "B.en-fra.en": "a\nb\n", "B.en-fra.fra": "c\nd\n", ".hidden": ""})
    assert texts(path, "moses") == texts(path, "moses", member="B.en-fra.{language}") == [("a", "c"), ("b", "d")]
    with pytest.raises(InputError, match=r"x\.zip has no file for 'fr'(?s:.*)it has a\.de, a\.en"):
        texts(zipped(tmp_path / "x.zip", {"a.en": "", "a.de": ""}), "moses")
    with pytest.raises(InputError, match=r"one file for both sides"):
        texts(path, "moses", member="B.en-fra.en")


def test_zip_members_that_are_refused(tmp_path: Path) -> None:
    several = zipped(tmp_path / "x.zip", {"a.txt": "x", "b.txt": "y", "__MACOSX/a.txt": "z"})
    with pytest.raises(InputError, match=r"contains 2 files: a\.txt, b\.txt(?s:.*)`member`"):
        texts(several, "lines")
    with pytest.raises(InputError, match=r"no member 'c\.txt'(?s:.*)it has a\.txt"):
        texts(several, "lines", member="c.txt")
    with pytest.raises(InputError, match=r"is not a .zip"):
        texts(put(tmp_path, "x.txt", "x"), "lines", member="a.txt")
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        link = zipfile.ZipInfo("a.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match=r"a\.txt is a link"):
        texts(tmp_path / "link.zip", "lines")


def test_the_canonical_code_goes_before_others(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a.eng": "no\n", "a.en": "yes\n", "a.fr": "oui\n"})
    assert texts(path, "moses") == [("yes", "oui")]


def test_a_compression_that_is_not_known(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "x.zip", {"a.txt": "x"}).read_bytes())
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 99
    with pytest.raises(InputError, match=r"y\.zip cannot be unpacked"):
        texts(put(tmp_path, "y.zip", bytes(data)), "lines")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "x.zip", {"a.txt": "x"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(InputError, match=r"a\.txt is encrypted"):
        texts(put(tmp_path, "y.zip", bytes(data)), "lines")


@pytest.mark.parametrize("packing", [packing for packing in PACKERS if packing])
def test_bombs_stop_early(tmp_path: Path, packing: str) -> None:
    path = put(tmp_path, f"x{packing}", PACKERS[packing]((b"x" * 2**20 + b"\n") * 80))
    with pytest.raises(InputError, match="unpacks to more than 400 times its size"):
        for _ in open_pairs(path, "lines", "en", "fr"):
            pass


@pytest.mark.parametrize("packing", [packing for packing in PACKERS if packing])
def test_cut_off_or_wrongly_named_files_are_named(tmp_path: Path, packing: str) -> None:
    whole = PACKERS[packing](b"".join(b"line %d\n" % number for number in range(5000)))
    for data in (whole[: len(whole) // 2], b"\x00binary\xff", b"<!doctype html><title>404</title>"):
        with pytest.raises(InputError, match=rf"y\.txt{packing}"):
            texts(put(tmp_path, f"y.txt{packing}", data), "lines")


def test_files_of_several_frames(tmp_path: Path) -> None:
    for suffix, pack in ((".gz", gzip.compress), (".zst", zstd.compress), (".xz", PACKERS[".xz"])):
        assert texts(put(tmp_path, f"x{suffix}", pack(b"a\n") + pack(b"b\n")), "lines") == [("a", None), ("b", None)]


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "lines"])
def test_marks_line_ends_and_broken_bytes(tmp_path: Path, kind: str) -> None:
    data = b"\xef\xbb\xbf" + WRITERS[kind]([("a\0b", "c"), ("d", "e")]).replace(b"\n", b"\r\n")
    assert [source for source, _ in texts(put(tmp_path, "x", data), kind)] == ["a\0b", "d"]
    with pytest.raises(InputError, match=r"x, line 3: byte 1 of the line \(0xff\) is not UTF-8"):
        texts(put(tmp_path, "x", data + b"\xff\n"), kind)


@pytest.mark.parametrize("kind", WRITERS)
def test_ten_megabytes_in_a_line_pass_or_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    long = "word " * 2_100_000
    data = f'msgid "{long}"\nmsgstr "mot"\n'.encode() if kind == "po" else WRITERS[kind]([(long, "mot")])
    path = put(tmp_path, f"x.{kind}", data)
    if kind in {"tmx", "xliff"}:
        with pytest.raises(InputError, match=rf"x\.{kind}, line \d: invalid XML: Resource limit exceeded"):
            texts(path, kind)
    else:
        assert texts(path, kind)[0][0] == long


def test_tsv_columns_by_number(tmp_path: Path) -> None:
    path = put(tmp_path, "x.tsv", "1\tone\t9\tun\n2\ttwo\t8\t\n")
    assert texts(path, "tsv", columns=("2", "4")) == [("one", "un"), ("two", None)]
    assert texts(path, "tsv", columns=("2",)) == [("one", None), ("two", None)]
    with pytest.raises(InputError, match=r"line 1 has 4 column(?s:.*)at least the 5"):
        texts(path, "tsv", columns=("2", "5"))


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ('{"translation": {"en": "a", "fr": "b"}}', ()),
        ('{"translation": {"eng_Latn": "a", "fr-FR": "b"}, "en": 1}', ()),
        ('{"id": 7, "fra": "b", "en": "a"}', ()),
        ('{"text": "a", "other": "b"}', ("text", "other")),
        ('{"x-en": "a", "x-fr": "b"}', ("x-{language}", "x-{target}")),
        ('{"t": {"en": "a", "fr": "b"}}', ("t",)),
    ],
)
def test_where_a_record_holds_its_texts(tmp_path: Path, line: str, columns: tuple[str, ...]) -> None:
    assert texts(put(tmp_path, "x.jsonl", f"{line}\n\n"), "jsonl", columns=columns) == [("a", "b")]
    table = pa.Table.from_pylist([json.loads(line)])
    pq.write_table(table, tmp_path / "x.parquet")
    assert texts(tmp_path / "x.parquet", "parquet", columns=columns) == [("a", "b")]


@pytest.mark.parametrize(
    ("line", "columns", "message"),
    [
        ("{", (), r"line 2 is not JSON: .*\(character 2\)"),
        ("[1]", (), "line 2 is a list"),
        ('"x"', (), "line 2 is a str"),
        ('{"en": "a"}', (), "line 2 has nothing in 'fr'"),
        ('{"en": "a"}', ("en", "fra"), r"line 2 has no column 'fra'(?s:.*)it has 'en'"),
        ('{"en": 5, "fr": "x"}', (), "line 2: int '5' is not text"),
        ('{"en": "\\ud800", "fr": "x"}', (), "line 2 has a lone surrogate"),
        ('{"translation": "x"}', (), "'translation' does not contain texts by language"),
        ("[" * 100_000, (), "line 2 cannot be read"),
        ("9" * 5000, (), "line 2 cannot be read"),
    ],
)
def test_json_lines_that_are_refused(tmp_path: Path, line: str, columns: tuple[str, ...], message: str) -> None:
    path = put(tmp_path, "x.jsonl", '{"en": "a", "fr": "b", "fra": "c"}\n' + line)
    with pytest.raises(InputError, match=message):
        texts(path, "jsonl", columns=columns)


def test_null_and_empty_sides(tmp_path: Path) -> None:
    path = put(tmp_path, "x.jsonl", '{"en": "a", "fr": null}\n{"en": "b", "fr": ""}\n{"en": null, "fr": "c"}\n')
    assert texts(path, "jsonl") == [("a", None), ("b", None)]
    pq.write_table(pa.table({"en": ["a", "b", None], "fr": pa.array([None, "", "c"], pa.large_string())}), tmp_path / "x.parquet")
    assert texts(tmp_path / "x.parquet", "parquet") == [("a", None), ("b", None)]
    assert texts(tmp_path / "x.parquet", "parquet", columns=("en",)) == [("a", None), ("b", None)]


def test_parquet_that_is_refused(tmp_path: Path) -> None:
    sound = WRITERS["parquet"](PAIRS)
    cases: list[tuple[str, bytes, str]] = [
        ("x.parquet", sound[:-9], "damaged or not a Parquet file"),
        ("x.parquet", b"", "damaged or not a Parquet file"),
        ("x.parquet.gz", gzip.compress(sound), "inside another file"),
    ]
    for name, data, message in cases:
        with pytest.raises(InputError, match=message):
            texts(put(tmp_path, name, data), "parquet")
    sink = io.BytesIO()
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"en": broken, "fr": ["x"]}), sink)
    with pytest.raises(InputError, match="not UTF-8"):
        texts(put(tmp_path, "y.parquet", sink.getvalue()), "parquet")


def test_missing_files_and_formats(tmp_path: Path) -> None:
    for kind in WRITERS:
        with pytest.raises(InputError, match=r"gone\.x"):
            texts(tmp_path / "gone.x", kind)
        with pytest.raises(InputError, match=str(tmp_path)):
            texts(tmp_path, kind)
    with pytest.raises(InputError, match=r"no format 'csv'(?s:.*)moses, tsv"):
        texts(tmp_path, "csv")
    with pytest.raises(InputError, match="reads one file"):
        texts((tmp_path, tmp_path), "tsv")
    with pytest.raises(InputError, match="the format moses has two"):
        texts(tmp_path, "moses")


_MEASURE = """
import pathlib, re, sys
from mlctl.corpora.readers import open_pairs
def read(size):
    for path in sorted(pathlib.Path(sys.argv[1]).glob(f"{size}.*")):
        assert sum(1 for _ in open_pairs(path, path.suffixes[0][1:], "en", "fr")) > 400
    return re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]
print(read("small"), read("large"))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one process is read from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # The small files have several row groups and batches too: what Arrow takes once for its buffers is no growth.
    for size, count in (("small", 15_000), ("large", 60_000)):
        pairs = [(f"a sentence of some words, number {number}", f"une phrase, numéro {number}") for number in range(count)]
        for kind in ("tmx", "xliff", "jsonl", "tsv", "lines"):
            put(tmp_path, f"{size}.{kind}.gz", gzip.compress(WRITERS[kind](pairs), 1))
        table = pa.table({"en": [s for s, _ in pairs], "fr": [t for _, t in pairs]})
        pq.write_table(table, tmp_path / f"{size}.parquet", row_group_size=2000)
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    assert large - small < 8 * 1024, f"peak grew from {small} to {large} KiB"


def test_xliff_2(tmp_path: Path) -> None:
    assert texts(put(tmp_path, "x.xlf", xliff2(PAIRS)), "xliff") == [(s, t or None) for s, t in PAIRS]
