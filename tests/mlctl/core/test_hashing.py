"""Digests change with every name and byte, and with nothing else."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.core.hashing import KEY_LENGTH, canonical_json, content_digest, file_digest, key_of, named_digest, tree_digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with files at two depths, two of them with equal bytes."""
    folder = tmp_path / "tree"
    (folder / "inner" / "deep").mkdir(parents=True)
    (folder / "other").mkdir()
    for name, content in (("a", "1"), ("inner/a", "1"), ("inner/b", "2"), ("inner/deep/c", "3"), ("other/d", "4")):
        (folder / name).write_text(content)
    return folder


def rename(folder: Path, old: str, new: str) -> None:
    (folder / new).parent.mkdir(exist_ok=True)
    (folder / old).rename(folder / new)


def swap(folder: Path, first: str, second: str) -> None:
    texts = [(folder / name).read_text() for name in (first, second)]
    (folder / first).write_text(texts[1])
    (folder / second).write_text(texts[0])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "a").write_text("9"), id="bytes of a file"),
        pytest.param(lambda folder: (folder / "inner/deep/c").write_text("9"), id="bytes of a nested file"),
        pytest.param(lambda folder: rename(folder, "a", "z"), id="name of a file"),
        pytest.param(lambda folder: rename(folder, "inner/b", "other/b"), id="file moved between folders"),
        pytest.param(lambda folder: rename(folder, "inner/deep/c", "inner/c"), id="file moved up"),
        pytest.param(lambda folder: rename(folder, "inner", "outer"), id="name of a folder"),
        pytest.param(lambda folder: rename(folder, "inner/deep", "deep"), id="folder moved"),
        pytest.param(lambda folder: swap(folder, "inner/b", "other/d"), id="contents exchanged"),
        pytest.param(lambda folder: (folder / "inner" / "a").unlink(), id="file with equal bytes removed"),
        pytest.param(lambda folder: (folder / "new").write_text(""), id="empty file added"),
        pytest.param(lambda folder: (folder / ".hidden").write_text("x"), id="hidden file added"),
    ],
)
def test_a_tree_has_another_digest_after(tree: Path, change: Callable[[Path], object]) -> None:
    before = tree_digest(tree)
    change(tree)
    assert tree_digest(tree) != before


def test_a_tree_keeps_its_digest_wherever_it_is_and_however_it_was_written(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy"
    for file in sorted(tree.rglob("*"), reverse=True):  # another order of creation
        if file.is_file():
            (copy / file.relative_to(tree)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy / file.relative_to(tree))
    assert tree_digest(copy) == tree_digest(tree)


def test_empty_folders_do_not_count(tree: Path) -> None:
    """A manifest lists files alone: what is digested from a manifest must equal what is digested from the disk."""
    before = tree_digest(tree)
    (tree / "empty" / "inner").mkdir(parents=True)
    assert tree_digest(tree) == before


def test_a_trees_digest_is_that_of_its_manifest(tree: Path) -> None:
    files = {name: hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in ("a", "inner/a", "inner/b", "inner/deep/c", "other/d")}  # fmt: skip
    assert tree_digest(tree) == content_digest(files) == content_digest(dict(reversed(files.items())))


def test_a_file_is_digested_by_its_bytes(tree: Path) -> None:
    assert tree_digest(tree / "a") == file_digest(tree / "inner" / "a") == hashlib.sha256(b"1").hexdigest()


def test_named_digests_depend_on_names_order_and_digests() -> None:
    pairs = [("a", "1"), ("b", "2")]
    others = [[("a", "2"), ("b", "1")], pairs[::-1], pairs[:1], [("b", "1"), ("a", "2")], [("a", "1"), ("b", "2"), ("c", "")]]
    assert len({named_digest(pairs), *map(named_digest, others)}) == 6
    assert named_digest(pairs) == hashlib.sha256(b"a\x001\nb\x002\n").hexdigest()


def test_keys_are_24_digits_of_sha256_over_canonical_json() -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'
    assert key_of({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest()[:24]
    assert len(key_of({})) == KEY_LENGTH == 24
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": math.nan})
