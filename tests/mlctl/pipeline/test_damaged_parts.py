"""Unfinished work that is damaged, and files that nobody listed: a resumed run makes what the undisturbed run makes, and names the damage."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny

from mlctl.config import Recipe, parse
from mlctl.core import checksums
from mlctl.pipeline.stage import Ref, Stage, make, result_of
from mlctl.pipeline.stages import STAGES, stage_named
from storage import Result, Store


class StoppedError(Exception):
    """Ends a stage in the middle."""


@dataclass(frozen=True)
class Finished:
    """An undisturbed run, and the number of times that each of its stages reported progress."""

    recipe: Recipe
    refs: dict[str, Ref]
    reports: dict[str, int]

    def copy_to(self, folder: Path, stage: str) -> Recipe:
        """Copy the results before a stage to a new store."""
        names = [each.name for each in STAGES]
        for name in names[: names.index(stage)]:
            shutil.copytree(Store(self.recipe.store).root / name, folder / "store" / name)
        return self.recipe.model_copy(update={"store": str(folder / "store")})

    def make(self, stage: Stage, recipe: Recipe, stop_at: int | None = None) -> Result:
        """Make a stage; stop at a report of progress."""
        count = 0

        def report(*_: object, **__: object) -> None:
            nonlocal count
            count += 1
            if count == stop_at:
                raise StoppedError

        refs = tuple(Ref(stage=name, key=self.refs[name]["key"], store=recipe.store) for name in stage.needs)
        return result_of(make(stage, recipe, refs, report)[0])

    def assert_same(self, result: Result) -> None:
        assert result.manifest.key == self.refs[result.manifest.stage]["key"]
        expected = result_of(self.refs[result.manifest.stage]).manifest
        assert {f.name: f.sha256 for f in result.manifest.files if not f.volatile} == {
            f.name: f.sha256 for f in expected.files if not f.volatile
        }
        assert result.manifest.metrics == expected.metrics


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    values = tiny.recipe(folder / "store")
    values["download"]["lock"] = str(folder / "corpora.lock")
    values["translate"] = {"backend": "none"}
    recipe, refs, reports = parse(values), dict[str, Ref](), dict[str, int]()
    for stage in STAGES[:-1]:  # the report draws pictures for seconds and has no parts of its own kind
        calls: list[object] = []
        refs[stage.name], _ = make(
            stage, recipe, tuple(refs[name] for name in stage.needs), lambda *a, calls=calls, **_: calls.append(a)
        )
        reports[stage.name] = len(calls)
    return Finished(recipe, refs, reports)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(path: Path) -> None:
    """Flip a bit; size and time stay."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_away(path: Path) -> None:
    outside = next(folder for folder in path.parents if folder.name == "store").parent / f"outside-{path.name}"
    shutil.move(path, outside)
    path.symlink_to(outside)


DAMAGES: tuple[Callable[[Path], None], ...] = (truncate, flip, Path.unlink, replace_by_a_folder, empty, link_away)

# The last report of progress comes when all parts are finished; at an earlier one, scratch files of the steps are there as well.
MOMENTS = [("download", -1), ("clean", 2), ("clean", -1), ("align", 7), ("align", -1), ("shard", -1), ("train", 7)]
MOMENTS += [("train", -1), ("evaluate", -1)]


@pytest.mark.parametrize(("name", "moment"), MOMENTS)
def test_a_damaged_part_is_made_again_and_named(
    finished: Finished, tmp_path: Path, name: str, moment: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each file of the unfinished result is damaged in another way, all at once; then each of a few alone."""
    stage = stage_named(name)
    recipe = finished.copy_to(tmp_path, name)
    stop_at = moment if moment > 0 else finished.reports[name]
    with pytest.raises(StoppedError):
        finished.make(stage, recipe, stop_at)
    (draft,) = Store(recipe.store).drafts()
    shutil.copytree(draft, tmp_path / "kept", symlinks=True)
    files = [path for path in sorted(draft.rglob("*")) if path.is_file() and not path.is_symlink() and path.stat().st_size]
    assert files
    for number, path in enumerate(files):
        DAMAGES[number % len(DAMAGES)](path)
    with caplog.at_level(logging.WARNING):
        finished.assert_same(finished.make(stage, recipe))
    assert "damaged" in caplog.text or "cannot be used" in caplog.text
    alone = [path for path in files if checksums.SCRATCH not in path.relative_to(draft).parts][:3]
    for path, damage in zip(alone if name == "clean" else [], (Path.unlink, flip, empty), strict=False):
        shutil.rmtree(draft)
        shutil.copytree(tmp_path / "kept", draft, symlinks=True)
        damage(path)
        finished.assert_same(finished.make(stage, recipe))


@pytest.mark.parametrize(("name", "cache"), [("download", "download-parts"), ("evaluate", "evaluate-parts")])
def test_a_damaged_cache_is_not_trusted(
    finished: Finished, tmp_path: Path, name: str, cache: str, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = finished.copy_to(tmp_path, name)
    shutil.copytree(Store(finished.recipe.store).root / cache, tmp_path / "store" / cache)
    files = sorted(path for path in (tmp_path / "store" / cache).rglob("*") if path.is_file() and path.stat().st_size)
    assert files
    for number, path in enumerate(files):
        DAMAGES[number % len(DAMAGES)](path)
    with caplog.at_level(logging.WARNING):
        finished.assert_same(finished.make(stage_named(name), recipe))
    assert "damaged" in caplog.text


@pytest.mark.parametrize("name", ["clean", "align", "shard", "train"])
def test_what_is_put_into_a_result_is_not_read(finished: Finished, tmp_path: Path, name: str) -> None:
    stage, recipe = stage_named(name), finished.copy_to(tmp_path, name)
    for need in stage.needs:
        folder = Store(recipe.store).folder(need, finished.refs[need]["key"])
        for path in [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]:
            shutil.copyfile(path, path.with_name(f"0{path.name}"))
            shutil.copyfile(path, path.with_name(f"{path.stem}-9{path.suffix}"))
            path.with_name(f"added-{path.name}").symlink_to(path)
    finished.assert_same(finished.make(stage, recipe))
