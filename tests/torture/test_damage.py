"""Damaged results, drafts and caches: the next run makes the damaged part again, and its results equal the reference's."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import Store
from storage.manifest import NAME

from .conftest import trials
from .damage import DAMAGES, files_of
from .runs import Reference, RunServer, assert_equals, made

References = Callable[[str], Reference]
log = logging.getLogger("torture")


@pytest.mark.slow
def test_a_damaged_result_is_made_again_and_no_other(
    run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path
) -> None:
    undisturbed = reference("plain")
    for trial in range(trials(2)):
        store = undisturbed.copy_to(tmp_path / str(trial))
        result = rng.choice(Store(store).results())
        file, damage = rng.choice(files_of(result.folder)), rng.choice(DAMAGES)
        context = f"{file.relative_to(store)} {damage.__name__}"
        before = made(store)
        damage(file, rng)
        log.info("damaged result: %s", context)
        ended = run_server.run(undisturbed.recipe, f"store={store}", "verify_store=always")
        assert ended.status == 0, f"{context}\n{ended.output}"
        assert "Traceback" not in ended.output, f"{context}\n{ended.output}"
        assert_equals(undisturbed, store, context)
        name = f"{result.manifest.stage} {result.manifest.key}"
        assert {other for other, inode in made(store).items() if before[other] != inode} <= {name}, context
        shutil.rmtree(store)


@pytest.mark.slow
def test_a_damaged_draft_resumes(run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path) -> None:
    for trial in range(trials(2)):
        undisturbed = reference(rng.choice(["plain", "translated"]))
        store, damaged = tmp_path / str(trial), list[str]()
        for _ in range(rng.randint(1, 2)):
            running = run_server.start(undisturbed.recipe, f"store={store}")
            damaged.append(f"killed in {running.kill_at_random(undisturbed.durations, rng)}")
            running.wait()
            files = [file for draft in Store(store).drafts() for file in files_of(draft)] if store.exists() else []
            for file in rng.sample(files, min(len(files), rng.randint(1, 2))):
                damage = rng.choice(DAMAGES)
                damaged.append(f"{file.relative_to(store)} {damage.__name__}")
                damage(file, rng)
            log.info("damaged draft: %s", damaged)
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        assert ended.status == 0, f"{damaged}\n{ended.output}"
        assert "Traceback" not in ended.output, f"{damaged}\n{ended.output}"
        assert_equals(undisturbed, store, f"{damaged}\n{ended.output}")


@pytest.mark.slow
def test_an_intruder_in_a_draft_becomes_no_part_of_the_result(
    run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path
) -> None:
    """Files that somebody puts into an unfinished result are named by a warning, and the result has its own files only."""
    undisturbed = reference("plain")
    for trial in range(trials(1)):
        store, intruders = tmp_path / str(trial), list[Path]()
        while not intruders:  # the kill may come between two stages, or too late
            shutil.rmtree(store, ignore_errors=True)
            running = run_server.start(undisturbed.recipe, f"store={store}")
            kill = running.kill_at_random(undisturbed.durations, rng)
            running.wait()
            for draft in Store(store).drafts() if store.exists() else []:
                intruders += [intrude(file, rng) for file in [draft / "all", *visible(draft)]]
            log.info("killed in %s, %d intruders", kill, len(intruders))
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        assert ended.status == 0, f"{kill}\n{ended.output}"
        assert_equals(undisturbed, store, f"{kill}, {intruders}")
        for intruder in intruders:
            assert str(intruder) in ended.output or f"({intruder.name}: it has no checksum)" in ended.output, (
                f"{kill}, {intruder}"
            )


def visible(draft: Path) -> list[Path]:
    """Return the files of a draft outside of its scratch folder."""
    return [file for file in files_of(draft) if not any(part.startswith(".") for part in file.relative_to(draft).parts)]


def intrude(beside: Path, rng: random.Random) -> Path:
    """Put a file, or a folder with a file, beside another; return the file."""
    intruder = beside.parent / rng.choice(["0{}", "{}-2", "zz{}", "copy/{}"]).format(beside.name)
    intruder.parent.mkdir(exist_ok=True)
    intruder.write_bytes(beside.read_bytes() if beside.exists() else b"text")
    return intruder


def caches_of(store: Path) -> Iterator[Path]:
    """Yield the files beside the results that a run may read."""
    stages = {folder.parent for folder in Store(store).folders()}
    for folder in sorted(store.iterdir()):
        if folder.is_dir() and folder not in stages:
            yield from (file for file in files_of(folder) if file.suffix != ".lock")


def test_damaged_caches_are_never_trusted(
    run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path
) -> None:
    for trial in range(trials(2)):
        undisturbed = reference(rng.choice(["plain", "translated"]))
        store = undisturbed.copy_to(tmp_path / str(trial))
        for stage in rng.choice([("download",), ("translate",), ("evaluate",), ("clean", "align"), tuple(undisturbed.durations)]):
            shutil.rmtree(store / stage)
        files, damaged = list(caches_of(store)), list[str]()
        for file in rng.sample(files, min(len(files), 3)):
            damage = rng.choice(DAMAGES)
            damaged.append(f"{file.relative_to(store)} {damage.__name__}")
            damage(file, rng)
        log.info("damaged caches: %s", damaged)
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        assert ended.status == 0, f"{damaged}\n{ended.output}"
        assert "Traceback" not in ended.output, f"{damaged}\n{ended.output}"
        assert_equals(undisturbed, store, str(damaged))


def test_an_intruder_is_not_read(run_server: RunServer, reference: References, rng: random.Random, tmp_path: Path) -> None:
    """A file that was put into a result's folder afterwards changes no later stage."""
    undisturbed = reference("plain")
    for trial in range(trials(1)):
        store = undisturbed.copy_to(tmp_path / str(trial))
        folders = {folder.parent.name: folder for folder in Store(store).folders()}
        stage = rng.choice(["download", "clean", "align", "shard"])
        for file in [file for file in files_of(folders[stage]) if file.name != NAME]:
            shutil.copy(file, file.with_name(f"0{file.name}"))
            shutil.copy(file, file.with_name(f"{file.stem}-2{file.suffix}"))
        for later in list(undisturbed.durations)[list(undisturbed.durations).index(stage) + 1 :]:
            shutil.rmtree(store / later)
        ended = run_server.run(undisturbed.recipe, f"store={store}")
        assert ended.status == 0, f"{stage}\n{ended.output}"
        assert_equals(undisturbed, store, stage)
