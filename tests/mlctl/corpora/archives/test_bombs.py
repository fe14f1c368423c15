"""Decompression bombs: refused as soon as they go off, in every container, and limits that a recipe can set."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_writers import a_zip

from mlctl import config
from mlctl.core.unpack_limits import UnpackLimits, active_limits
from mlctl.core.workspace import Workspace
from mlctl.core.zstandard import zstd
from mlctl.corpora.archives.compression import FileLocation, members, open_bytes
from mlctl.corpora.archives.unpack import unpack
from mlctl.corpora.readers import open_pairs
from mlctl.corpora.stage import download
from mlctl.errors import InputError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
    "bz2": lambda data: bz2.compress(data[:ZEROS]) + bz2.compress(data[ZEROS:]),  # a block is unpacked at once
}
KINDS = [*PACKERS, "zip", "tar.gz", "tar.xz", "tar.zst", "zip of gz", "tar of xz"]
#: A bomb before more than enough bytes that do not shrink: the whole file unpacks to a few times its size.
ZEROS = 12 * 2**20
CONTENT = bytes(ZEROS) + random.Random(0).randbytes(2**20)


def a_tar(name: str, data: bytes) -> bytes:
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def packed(folder: Path, kind: str, content: bytes = CONTENT) -> Path:
    outer, _, inner = kind.partition(" of ")
    name, data = (f"x.{inner}", PACKERS[inner](content)) if inner else ("x", content)
    if outer == "zip":
        data = a_zip({name: data})
    elif outer.startswith("tar"):
        data = a_tar(name, data)
    if outer.rpartition(".")[2] in PACKERS:
        data = PACKERS[outer.rpartition(".")[2]](data)
    (folder / f"f.{outer}").write_bytes(data)
    return folder / f"f.{outer}"


def limits(seen: list[int]) -> UnpackLimits:
    return UnpackLimits(harmless=2**20, ratio=50, on_unpacked=lambda _, done: seen.append(done))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_stops_where_it_goes_off(kind: str, tmp_path: Path) -> None:
    path = packed(tmp_path, kind)
    seen: list[int] = []
    read = [0]
    with active_limits(limits(seen)), pytest.raises(InputError, match="more than 50 times its size"):
        count_bytes(path, read)
    assert sum(read) < 7 * 2**20
    with pytest.raises(InputError, match="more than 50 times its size"):
        unpack(path, {"": tmp_path / "out"}, limits=limits(seen))
    assert not (tmp_path / "out").exists()
    assert all(done < ZEROS for done in seen)
    with open_bytes(FileLocation(path)) as stream:
        assert stream.read() == CONTENT


def count_bytes(path: Path, read: list[int]) -> None:
    with open_bytes(FileLocation(path)) as stream:
        while data := stream.read(2**16):
            read.append(len(data))


@pytest.mark.parametrize("kind", KINDS)
def test_repetitive_text_is_read(kind: str, tmp_path: Path) -> None:
    chooser = random.Random(0)
    text = b"".join(b"line %d of a repetitive text that repeats itself\n" % chooser.randrange(1000) for _ in range(30_000))
    path = packed(tmp_path, kind, text)
    with active_limits(limits([])), open_bytes(FileLocation(path)) as stream:
        assert stream.read() == text


def test_a_zip_whose_members_share_bytes(tmp_path: Path) -> None:
    data = bytearray(a_zip({"a": bytes(10**5), "b": b"text"}))
    second = data.rindex(b"PK\x01\x02") + 42  # the place of the member b in the archive
    data[second : second + 4] = (0).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"shares? bytes.*\(a zip bomb\)"):
        unpack(tmp_path / "x.zip", {"a": tmp_path / "out"})
    with pytest.raises(InputError, match=r"members 'a' and 'b' share bytes \(a zip bomb\)"):
        members(tmp_path / "x.zip")


def test_a_tar_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    (tmp_path / "x.tar").write_bytes(header.tobuf() + bytes(10240))
    for read in (lambda: members(tmp_path / "x.tar"), lambda: unpack(tmp_path / "x.tar", {"x": tmp_path / "out"})):
        with pytest.raises(InputError, match=r"x\.tar.* a header of 4294967296 bytes"):
            read()


def test_one_endless_line(tmp_path: Path) -> None:
    for name, data in (("x.gz", gzip.compress(bytes(17 * 2**20), 1)), ("x.txt", b"x" * (17 * 2**20))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=r"longer than 16 MiB|times its size"):
            list(open_pairs(tmp_path / name, "lines", "en", "fr"))


def test_many_zip_members_of_one_text_are_no_bomb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3000):
            archive.writestr(f"{number}.txt", b"")
    assert len(members(tmp_path / "x.zip")) == 3000


def test_the_recipe_sets_the_ratio_and_progress_shows_bytes(tmp_path: Path) -> None:
    chooser = random.Random(0)
    lines = b"".join(b"%06d %s\n" % (chooser.randrange(10**6), b"text " * 700) for _ in range(5000))
    (tmp_path / "x.en.gz").write_bytes(gzip.compress(lines))
    source = config.FilesSource.model_validate(
        {"kind": "files", "name": "x", "path": str(tmp_path / "x.en.gz"), "format": "lines"}
    )
    languages = config.Languages(source="en", targets=("fr",))
    shown: list[tuple[int, str]] = []

    def show(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        del total, figures
        shown.append((done, unit))

    def run(ratio: float) -> None:
        settings = config.Download(sources=(source,), lock=str(tmp_path / "lock"), max_unpack_ratio=ratio)
        workspace = Workspace(tmp_path / f"work-{ratio}")
        download(settings, languages, workspace, show)

    with pytest.raises(InputError, match=r"more than 2 times its size.*\n.*increase download.max_unpack_ratio"):
        run(2)
    shown.clear()
    run(400)
    assert [done for done, unit in shown if unit == "bytes"] == sorted(done for done, unit in shown if unit == "bytes")
    assert any(done >= 8 * 2**20 for done, unit in shown if unit == "bytes")


def test_a_parquet_file_that_announces_to_unpack_to_more_than_any_text(tmp_path: Path) -> None:
    table = pa.table({"en": ["a" * 2**20] * 4, "fr": ["b"] * 4})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    with (
        pytest.raises(InputError, match=r"x\.parquet is refused: it unpacks to more than 50 times its size"),
        active_limits(limits([])),
    ):
        list(open_pairs(tmp_path / "x.parquet", "parquet", "en", "fr"))
    assert len(list(open_pairs(tmp_path / "x.parquet", "parquet", "en", "fr"))) == 4


def test_a_parquet_file_that_repeats_long_texts_is_read_in_small_batches(tmp_path: Path) -> None:
    table = pa.table({"en": ["a" * 2**18] * 600, "fr": ["b" * 2**18] * 600})
    pq.write_table(table, tmp_path / "x.parquet")
    del table
    before = pa.total_allocated_bytes()
    for number, _ in enumerate(open_pairs(tmp_path / "x.parquet", "parquet", "en", "fr")):
        assert pa.total_allocated_bytes() - before < 2**28 // 3
        if number == 100:
            break
