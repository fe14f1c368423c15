"""Any text comes back as it was written, and no bytes make a reader fail in another way than by an InputError."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from format_writers import PACKERS, WRITERS, xliff2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlctl.corpora.readers import open_pairs
from mlctl.errors import InputError

TRICKY = st.sampled_from(
    ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\ufeff", "\0", "\\n", '"', "\\", "<&>", "]]>", "😀"]
)
NOT_IN_XML = [chr(code) for code in range(32) if chr(code) not in "\t\n"] + ["\ufffe", "\uffff"]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

#: What a text of the format cannot hold: line formats their separators, XML what no XML may have.
FORBIDDEN = {
    "tsv": ["\n", "\t", "\r"],
    "lines": ["\n", "\r"],
    "moses": ["\n", "\r"],
    "jsonl": [],
    "parquet": [],
    "tmx": NOT_IN_XML,
    "xliff": NOT_IN_XML,
    "xliff2": NOT_IN_XML,
    "po": [],
}
EVERY = {**WRITERS, "xliff2": xliff2}


def text_for(kind: str) -> st.SearchStrategy[str]:
    """Text that is not empty: an empty side is another test's."""
    bare = st.text(st.characters(codec="utf-8", exclude_characters=FORBIDDEN[kind]), max_size=20)
    tricky = TRICKY.filter(lambda piece: not set(piece) & set(FORBIDDEN[kind]))
    return st.builds("{}{}{}.".format, st.sampled_from("ab"), bare, st.lists(bare | tricky, max_size=3).map("".join))


@pytest.mark.parametrize("kind", EVERY)
@QUICK
@given(data=st.data())
def test_text_comes_back_as_it_was_written(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    side = text_for(kind)
    pairs = data.draw(st.lists(st.tuples(side, side), min_size=1, max_size=5))
    path = tmp_path / "x"
    path.write_bytes(EVERY[kind](pairs))
    rows = [(row.source, row.target) for row in open_pairs(path, kind.rstrip("2"), "en", "fr")]
    assert rows == [(source, None if kind == "lines" else target) for source, target in pairs]


@QUICK
@given(pairs=st.lists(st.tuples(text_for("moses"), text_for("moses")), min_size=1), packing=st.sampled_from(sorted(PACKERS)))
def test_moses_comes_back_from_every_packing(tmp_path: Path, pairs: list[tuple[str, str]], packing: str) -> None:
    sides = tmp_path / f"x.en{packing}", tmp_path / f"x.fr{packing}"
    for path, texts in zip(sides, zip(*pairs, strict=True), strict=True):
        path.write_bytes(PACKERS[packing]("\r\n".join(texts).encode()))
    assert [(row.source, row.target) for row in open_pairs(sides, "moses", "en", "fr")] == pairs


def mangled(data: st.DataObject, valid: bytes) -> bytes:
    """Return random bytes, or a valid file with pieces removed, inserted or changed."""
    if data.draw(st.integers(0, 4)) == 0:
        return data.draw(st.binary(max_size=200))
    bytes_ = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(bytes_)))
        length = data.draw(st.sampled_from([0, 1, 1, 4, 40]))
        bytes_[start : start + length] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"<", b"\0", b"\xff", b"\n", b"{", b'"'])
        )
    return bytes(bytes_)


@pytest.mark.parametrize("kind", EVERY)
@settings(QUICK, max_examples=150)
@given(data=st.data())
def test_hostile_bytes_are_read_or_refused(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(mangled(data, EVERY[kind]([("one & two", "un"), ("three", "trois"), ("four", "")])))
    try:
        rows = list(open_pairs(path, kind.rstrip("2"), "en", "fr"))
    except InputError as error:
        assert "hostile" in error.problem  # noqa: PT017 - either outcome is right
    else:
        for row in rows:
            f"{row.source}{row.target}".encode()


@pytest.mark.parametrize("packing", [packing for packing in PACKERS if packing])
@settings(QUICK, max_examples=150)
@given(data=st.data())
def test_hostile_archives_are_read_or_refused(packing: str, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / f"hostile{packing}"
    path.write_bytes(mangled(data, PACKERS[packing](b"a line\nanother line\n" * 20)))
    try:
        list(open_pairs(path, "lines", "en", "fr"))
    except InputError as error:
        assert "hostile" in error.problem  # noqa: PT017 - either outcome is right


@settings(QUICK, max_examples=100)
@given(data=st.data())
def test_hostile_archives_with_both_sides(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.en", "a\nb\n")
        archive.writestr("x.fr", "c\nd\n")
    path.write_bytes(mangled(data, path.read_bytes()))
    try:
        list(open_pairs(path, "moses", "en", "fr"))
    except InputError as error:
        assert "hostile" in error.problem  # noqa: PT017 - either outcome is right
