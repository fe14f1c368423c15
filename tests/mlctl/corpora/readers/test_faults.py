"""Every reader against the same faults, except those that a format cannot have."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_writers import WRITERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlctl.corpora.readers import FORMATS, open_pairs
from mlctl.errors import InputError

PAIRS = [("one", "un"), ("a\u2028b", "c"), ("three", "trois")]
BOM = b"\xef\xbb\xbf"
Change = Callable[[bytes], bytes]


def write(folder: Path, kind: str, pairs: list[tuple[str, str]], change: Change = bytes) -> Path | tuple[Path, Path]:
    """Write pairs in a format, one file or two, with a change to the bytes of each."""
    if kind == "moses":
        sides = folder / "x.en", folder / "x.fr"
        for path, texts in zip(sides, zip(*pairs, strict=True), strict=True):
            path.write_bytes(change("".join(f"{text}\n" for text in texts).encode()))
        return sides
    path = folder / f"x.{kind}"
    path.write_bytes(change(WRITERS[kind](pairs)))
    return path


def read(path: Path | tuple[Path, Path], kind: str) -> list[tuple[str, str | None]]:
    return [(row.source, row.target) for row in open_pairs(path, kind, "en", "fr")]


def expected(kind: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str | None]]:
    return [(source, None if kind == "lines" else target) for source, target in pairs]


TEXTUAL = [kind for kind in FORMATS if kind != "parquet"]  # Parquet has neither marks nor lines: its bytes are counted


@pytest.mark.parametrize("kind", TEXTUAL)
@pytest.mark.parametrize("change", [lambda data: BOM + data, lambda data: data.replace(b"\n", b"\r\n")], ids=["mark", "crlf"])
def test_a_byte_order_mark_and_line_ends_of_windows_are_no_text(kind: str, change: Change, tmp_path: Path) -> None:
    assert read(write(tmp_path, kind, PAIRS, change), kind) == expected(kind, PAIRS)


@pytest.mark.parametrize("kind", FORMATS)
def test_nul_is_text_where_the_format_can_hold_it(kind: str, tmp_path: Path) -> None:
    if kind in {"tmx", "xliff"}:
        path = write(tmp_path, kind, [("one\nNUL", "un")], lambda data: data.replace(b"NUL", b"\0"))
        with pytest.raises(InputError, match=rf"x\.{kind}, line \d: invalid XML"):
            read(path, kind)
    else:
        pairs = [("a\0b", "c\0"), ("d", "e")]
        assert read(write(tmp_path, kind, pairs), kind) == expected(kind, pairs)


def test_a_bare_nul_in_json_is_refused_by_line(tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl", [("one", "un"), ("NUL", "x")], lambda data: data.replace(b"NUL", b"\0"))
    with pytest.raises(InputError, match=r"x\.jsonl, line 2 is not JSON: Invalid control character"):
        read(path, "jsonl")


@pytest.mark.parametrize("kind", TEXTUAL)
def test_a_byte_that_is_not_utf8_is_named_by_file_and_line(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, kind, [("one", "un"), ("two", "deux"), ("BAD", "BAD")], lambda data: data.replace(b"BAD", b"\xff\xfe"))
    with pytest.raises(InputError, match=r"x\.\w+(, line \d+:| is damaged or not a gettext catalogue: line \d+:)"):
        read(path, kind)


def test_a_byte_that_is_not_utf8_is_named_by_row(tmp_path: Path) -> None:
    offsets, data = pa.py_buffer(b"\0\0\0\0\3\0\0\0\4\0\0\0"), pa.py_buffer(b"one\xff")
    pq.write_table(
        pa.table({"en": pa.Array.from_buffers(pa.string(), 2, [None, offsets, data]), "fr": ["un", "x"]}), out := io.BytesIO()
    )
    (tmp_path / "x.parquet").write_bytes(out.getvalue())
    with pytest.raises(InputError, match=r"x\.parquet, row 2 has text that is not UTF-8"):
        read(tmp_path / "x.parquet", "parquet")


def test_ten_megabytes_in_a_line_of_two_files(tmp_path: Path) -> None:
    pairs = [("word " * 2_100_000, "mot"), ("x", "y")]
    assert read(write(tmp_path, "moses", pairs), "moses") == pairs


@pytest.mark.parametrize(("english", "french"), [("a\nb\n", "c\n"), ("a\n", "c\nd\ne\n"), ("", "c\n")])
def test_counts_that_differ_inside_an_archive(english: str, french: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("n.en", english)
        archive.writestr("n.fr", french)
    message = rf"x\.zip:n\.en has {english.count(chr(10))} lines, \S*x\.zip:n\.fr has {french.count(chr(10))}"
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.zip", "moses")


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        ("tsv", b"alone\n", r"x\.tsv, line 2 has 1 column"),
        ("tsv", b"a\tb\tc\n", r"x\.tsv, line 2 has 3 column"),
        ("jsonl", b'{"en": "a"}\n', r"x\.jsonl, line 2 has nothing in 'fr'"),
        ("tmx", b"<tu>", r"x\.tmx, line \d+: invalid XML"),
        ("xliff", b"<file>", r"x\.xliff, line \d+: invalid XML"),
        ("po", b'msgid "a"b"\n', r"x\.po is damaged or not a gettext catalogue: line \d+"),
    ],
)
def test_sides_that_do_not_fit_together(kind: str, bad: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, kind, [("one", "un")], lambda data: data + bad)
    with pytest.raises(InputError, match=message):
        read(path, kind)


@pytest.mark.parametrize("change", [1, 3, 0x80])
def test_no_changed_byte_of_a_parquet_file_ends_the_process(change: int, tmp_path: Path) -> None:
    """Some make pyarrow abort when it is asked for a column's metadata."""
    out = io.BytesIO()
    pq.write_table(pa.table({"en": ["one", "two"], "fr": ["un", "deux"]}), out)
    good, path = out.getvalue(), tmp_path / "x.parquet"
    for place in range(4, len(good)):
        path.write_bytes(good[:place] + bytes([(good[place] + change) % 256]) + good[place + 1 :])
        with contextlib.suppress(InputError):
            read(path, "parquet")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(english=st.binary(max_size=60), french=st.binary(max_size=60))
def test_hostile_bytes_in_two_files(english: bytes, french: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.en").write_bytes(english)
    (tmp_path / "x.fr").write_bytes(french)
    try:
        rows = read((tmp_path / "x.en", tmp_path / "x.fr"), "moses")
    except InputError as error:
        assert "x.en" in error.problem or "x.fr" in error.problem  # noqa: PT017 - either outcome is right
    else:
        assert len(rows) == english.count(b"\n") + (not english.endswith(b"\n") and english != b"")
