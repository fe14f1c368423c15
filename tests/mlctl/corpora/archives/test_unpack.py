from __future__ import annotations

import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from format_writers import a_zip
from hypothesis import given
from hypothesis import strategies as st

from mlctl.core.unpack_limits import UnpackLimits
from mlctl.core.zstandard import zstd
from mlctl.corpora.archives import unpack as archives
from mlctl.corpora.archives.unpack import DamagedError, kind_of, members, read, unpack
from mlctl.errors import InputError

FILES = {"a/x.en": b"one\ntwo\n" * 1000, "x.fr": b"un\ndeux\n" * 1000, "LICENSE": b"CC0"}
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstd.compress}


def a_tar(files: Mapping[str, bytes], *others: tarfile.TarInfo) -> bytes:
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in others:
            archive.addfile(info)
    return out.getvalue()


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def packed(folder: Path, kind: str, files: Mapping[str, bytes]) -> Path:
    tar = a_tar(files)
    data = a_zip(files) if kind == "zip" else tar if kind == "tar" else PACKERS[kind.rpartition(".")[2]](tar)
    return put(folder, f"x.{kind}", data)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.zst"])
def test_members_come_out_by_name(kind: str, tmp_path: Path) -> None:
    path = packed(tmp_path, kind, FILES)
    assert kind_of(path) == kind
    assert members(path) == list(FILES)
    unpack(path, {"a/x.en": tmp_path / "out" / "1", "x.fr": tmp_path / "out" / "2"})
    assert (tmp_path / "out" / "1").read_bytes() == FILES["a/x.en"]
    assert (tmp_path / "out" / "2").read_bytes() == FILES["x.fr"]
    assert sorted(entry.name for entry in (tmp_path / "out").glob("[!.]*")) == ["1", "2"]
    assert (read(path, "LICENSE", 2), read(path, "README", 2)) == (b"CC", b"")
    with pytest.raises(InputError, match=r"x\.\S+ has no member 'x.de'\n.*it has a/x.en, x.fr, LICENSE"):
        unpack(path, {"x.de": tmp_path / "3"})
    with pytest.raises(InputError, match=r"has 3 members: a/x\.en, x\.fr, LICENSE"):
        unpack(path, {"": tmp_path / "3"})


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_the_only_member_and_one_that_is_packed_itself(kind: str, tmp_path: Path) -> None:
    path = packed(tmp_path, kind, {"./deep/x.en.xz": lzma.compress(b"text")})
    unpack(path, {"": tmp_path / "out"})
    assert (tmp_path / "out").read_bytes() == b"text"
    unpack(path, {"deep/x.en.xz": tmp_path / "named"})
    assert (tmp_path / "named").read_bytes() == b"text"


@pytest.mark.parametrize("kind", ["gz", "xz", "zst", ""])
@given(data=st.binary(max_size=3000))
def test_single_files(kind: str, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("x")
    path = put(folder, f"x.en.{kind}".rstrip("."), PACKERS[kind](data) if kind else b"text" + data)
    assert members(path) in ([], [""])
    unpack(path, {"": folder / "out"})
    assert (folder / "out").read_bytes() == (data if kind else b"text" + data)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../x", "its path leaves the folder"), ("a/../../x", "its path leaves the folder"), ("..\\x", "its path leaves"),
        ("/etc/x", "it has an absolute path"), ("C:\\x", "it has an absolute path"), ("\\\\host\\x", "it has an absolute path"),
    ],
)  # fmt: skip
def test_paths_that_lead_away(kind: str, name: str, reason: str, tmp_path: Path) -> None:
    path = packed(tmp_path, kind, {"x.en": b"fine", name: b"bad"})
    with pytest.raises(InputError) as raised:
        unpack(path, {"x.en": tmp_path / "out"})
    assert f"x.{kind}, member {name!r} is refused: {reason}" in str(raised.value)


def special(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("special")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, "x.tar", a_tar({"x.en": b"fine"}, special(kind)))
    with pytest.raises(InputError, match=r"x.tar, member 'special' is refused: it is a link, a device or sparse"):
        unpack(path, {"x.en": tmp_path / "out"})


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip(mode: int, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("special")
    info.external_attr = (mode | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x.en", b"fine")
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(InputError, match=r"x.zip, member 'special' is refused: it is a link or a device"):
        unpack(tmp_path / "x.zip", {"x.en": tmp_path / "out"})


def test_an_encrypted_member(tmp_path: Path) -> None:
    data = bytearray(a_zip({"x.en": b"text"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(InputError, match=r"x.zip, member 'x.en' is refused: it is encrypted"):
        unpack(put(tmp_path, "x.zip", bytes(data)), {"x.en": tmp_path / "out"})


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_two_members_of_one_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"member 'x' is refused: two members have this name"):
        members(packed(tmp_path, kind, {"x": b"1", "./x": b"2"}))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.zst", "gz", "xz", "zst"])
def test_bombs(kind: str, tmp_path: Path) -> None:
    zeros = bytes(3 * 2**20)
    path = (
        packed(tmp_path, kind, {"x": zeros})
        if "tar" in kind or kind == "zip"
        else put(tmp_path, f"x.{kind}", PACKERS[kind](zeros))
    )
    with pytest.raises(InputError, match="zip bomb"):
        unpack(path, {"": tmp_path / "out"}, limits=UnpackLimits(harmless=2**20, ratio=100))
    with pytest.raises(InputError, match=r"it unpacks to more than 1000000 bytes\n.*download.max_unpacked_gib"):
        unpack(path, {"": tmp_path / "out"}, limits=UnpackLimits(unpacked=1e6))
    assert not (tmp_path / "out").exists()
    unpack(path, {"": tmp_path / "out"})
    assert (tmp_path / "out").read_bytes() == zeros


def test_a_bomb_beside_what_does_not_shrink(tmp_path: Path) -> None:
    path = packed(tmp_path, "zip", {"x": bytes(3 * 2**20), "y": random.Random(0).randbytes(2**20)})
    with pytest.raises(InputError, match=r"member 'x' is refused: it unpacks to more than 100 times its size \(a zip bomb\)"):
        unpack(path, {"y": tmp_path / "out"}, limits=UnpackLimits(harmless=2**20, ratio=100))


def test_a_bomb_inside_an_archive(tmp_path: Path) -> None:
    path = packed(tmp_path, "tar", {"x.gz": gzip.compress(bytes(30 * 2**20))})
    with pytest.raises(InputError, match=r"x.tar, member 'x.gz' is refused: .*a zip bomb"):
        unpack(path, {"x.gz": tmp_path / "out"})


def test_a_zip_that_lies_about_sizes(tmp_path: Path) -> None:
    data = bytearray(a_zip({"x.en": bytes(10**6)}))
    position = data.index(b"PK\x01\x02") + 24
    data[position : position + 4] = (100).to_bytes(4, "little")
    with pytest.raises(DamagedError):
        unpack(put(tmp_path, "x.zip", bytes(data)), {"x.en": tmp_path / "out"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.zst", "gz", "xz", "zst"])
def test_cut_off(kind: str, tmp_path: Path) -> None:
    text = bytes(range(256)) * 500
    path = (
        packed(tmp_path, kind, {"x": text}) if "tar" in kind or kind == "zip" else put(tmp_path, f"x.{kind}", PACKERS[kind](text))
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DamagedError, match=rf"x.{kind} is damaged or cut off"):
        unpack(path, {"": tmp_path / "out"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "xz", "zst", "tar"])
@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_is_text_or_a_clear_refusal(
    kind: str, position: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("x")
    single = kind in PACKERS
    path = put(folder, f"x.{kind}", PACKERS[kind](b"text" * 50)) if single else packed(folder, kind, {"x": b"text" * 50})
    data = bytearray(path.read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data)
    problem = refusal(path, {"" if single else "x": folder / "out"})
    assert (f"x.{kind}" in problem) is not (folder / "out").exists()


def refusal(path: Path, files: Mapping[str, Path]) -> str:
    try:
        unpack(path, files)
    except InputError as error:
        return str(error)
    return ""


def test_a_zip_member_without_a_name(tmp_path: Path) -> None:
    data = a_zip({"x": b"text"}).replace(b"x", b"\0")
    with pytest.raises(InputError, match=r"x\.zip"):
        unpack(put(tmp_path, "x.zip", data), {"": tmp_path / "out"})


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.en.gz", "x.XZ", "x.tgz", "x.zst"])
def test_names_that_promise_something_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=rf"{name} is refused: it is not \w+, it begins with b'<!doctype html>'\n.*error page"):
        unpack(put(tmp_path, "fetched", b"<!doctype html>"), {"": tmp_path / "out"}, name)
    with pytest.raises(InputError, match=r"x.txt is refused: .* its content is gz"):
        kind_of(put(tmp_path, "x.txt", gzip.compress(b"text")))
    with pytest.raises(InputError, match=r"x.tar is refused: it is not tar"):
        kind_of(put(tmp_path, "x.tar", gzip.compress(b"text")))


def test_a_name_that_says_nothing(tmp_path: Path) -> None:
    for data, kind in ((a_zip({"x": b"1"}), "zip"), (gzip.compress(b""), "gz"), (a_tar({"x": b"1"}), "tar"), (b"text", "")):
        assert kind_of(put(tmp_path, "download.php", data)) == kind


def test_very_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 10)
    with pytest.raises(InputError, match="more than 10 members"):
        members(packed(tmp_path, "tar", {str(number): b"" for number in range(11)}))
