"""Lines of published files, and errors that say where."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.core.text_lines import lines, numbered_lines
from mlctl.core.zstandard import zstd
from mlctl.errors import InputError

TEXT = "\ufeffone\r\ntwo\u2028still two\x0bstill\n\nfour".encode()


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".txt", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)]
)
def test_lines_end_at_lf_or_cr_lf_alone(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(pack(TEXT))
    assert lines(path) == ["one", "two\u2028still two\x0bstill", "", "four"]
    assert next(numbered_lines(path)) == (1, "one")


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)])
@pytest.mark.parametrize("kept", [0.5, 0.0])
def test_damage_is_an_input_error(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], kept: float) -> None:
    packed = pack(bytes(range(1, 256)) * 40)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(packed[: int(len(packed) * kept)] or b"not packed at all")
    with pytest.raises(InputError, match=rf"x{suffix} is cut off or damaged"):
        lines(path)


def test_errors_say_where(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"good\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"x\.txt, line 2 is not UTF-8"):
        lines(tmp_path / "x.txt")
    with pytest.raises(InputError, match=r"y\.txt cannot be read"):
        lines(tmp_path / "y.txt")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("one\ntwo\n".encode("utf-16"), "is UTF-16, by its byte order mark\n.*iconv -f utf-16"),
        ("one\ntwo\n".encode("utf-16-le"), "line 1 has a NUL character.* UTF-16"),
        (b"one\ntw\0o\n", "line 2 has a NUL character"),
        (b"one\n" + b"x" * (17 * 2**20), "line 2 is longer than 16 MiB"),
    ],
)
def test_lines_that_are_no_text(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        lines(tmp_path / "x.txt")


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)])
def test_a_decompression_bomb(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / f"x{suffix}").write_bytes(pack((b"x" * 1023 + b"\n") * 2**15))
    with pytest.raises(InputError, match=f"x{suffix} is refused: it unpacks to more than 400 times its size"):
        for _ in numbered_lines(tmp_path / f"x{suffix}"):
            pass
