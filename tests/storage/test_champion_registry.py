"""The champion registry: moved whole or not at all, by one of two, and moved back; in a folder, and behind a URL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlctl.core.workspace import Workspace
from storage import Store, StoreError
from storage.champion_registry import ChampionRegistry, MovedError, champions
from storage.gc import collect

KEYS = {"train": "a" * 24, "shard": "b" * 24}


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLCTL_CACHE", str(tmp_path / "cache"))
    return Store(tmp_path / "store" if request.param == "folder" else f"memory://lab-{uuid.uuid4().hex}")


def test_before_the_first_there_is_none(store: Store) -> None:
    state = ChampionRegistry(store, "x").read()
    assert (state.current, state.champion, state.seen) == (0, None, {})
    assert list(champions(store)) == []


def test_a_promotion_moves_the_pointer_and_keeps_the_last(store: Store) -> None:
    registry = ChampionRegistry(store, "x")
    for number in range(4):
        champion = registry.promote(number, {**KEYS, "report": str(number)}, f"why {number}", keep=2, seen={"text": number})
        assert champion.number == number + 1
    state = ChampionRegistry(store, "x").read()
    assert (state.current, [champion.number for champion in state.champions], state.seen) == (4, [4, 3], {"text": 3})
    assert state.champion
    assert (state.champion.results["report"], state.champion.reason) == ("3", "why 3")
    assert [name for name, _ in champions(store)] == ["x"]


def test_who_compared_with_another_champion_is_told(store: Store) -> None:
    registry = ChampionRegistry(store, "x")
    registry.promote(0, KEYS, "first", keep=3)
    for moved in (lambda: registry.promote(0, KEYS, "late", keep=3), lambda: registry.confirm(0, {"text": 1})):
        with pytest.raises(MovedError, match="is number 1 now, not 0"):
            moved()
    assert ChampionRegistry(store, "x").read().seen == {}


def test_rollback_goes_to_any_that_is_kept_and_numbers_are_never_given_twice(store: Store) -> None:
    registry = ChampionRegistry(store, "x")
    for number in range(3):
        registry.promote(number, KEYS, "", keep=5, seen={"text": number})
    registry.add_note(2, "published")
    assert registry.rollback().number == 2
    assert registry.read().seen == {"text": 2}, "or the same challenger would come again"
    assert registry.rollback(to=3).number == 3
    assert registry.rollback(to=2).notes == (), "something else took its place meanwhile"
    assert registry.rollback(to=1).number == 1
    with pytest.raises(StoreError, match="x has no champion before number 1"):
        registry.rollback()
    with pytest.raises(StoreError, match=r"champion 9 of x is not kept\n  → kept: 3, 2, 1"):
        registry.rollback(to=9)
    assert registry.promote(1, KEYS, "", keep=5).number == 4


def test_what_was_done_is_noted_once(store: Store) -> None:
    registry = ChampionRegistry(store, "x")
    registry.promote(0, KEYS, "", keep=1)
    for done in ("published", "told", "told"):
        registry.add_note(1, done)
    registry.add_note(7, "of one that is not kept")
    champion = registry.read().champion
    assert champion
    assert champion.notes == ("published", "told")


def test_of_many_that_promote_over_the_same_champion_one_does(tmp_path: Path) -> None:
    def attempt(place: int) -> int:
        try:
            return ChampionRegistry(Store(tmp_path), "x").promote(0, {"train": str(place)}, "", keep=5).number
        except MovedError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(24)))[-2:] == [0, 1]


def test_notes_of_many_processes_are_all_kept(tmp_path: Path) -> None:
    ChampionRegistry(Store(tmp_path), "x").promote(0, KEYS, "", keep=5)
    script = """
        import sys
        from storage import Store
        from storage.champion_registry import ChampionRegistry
        for number in range(10):
            ChampionRegistry(Store(sys.argv[1]), "x").add_note(1, f"{sys.argv[2]}-{number}")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    started = [subprocess.Popen([*command, str(place)]) for place in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    champion = ChampionRegistry(Store(tmp_path), "x").read().champion
    assert champion
    assert len(champion.notes) == 30


@pytest.mark.parametrize("moment", ["fsync", "link", "unlink"])
def test_killed_at_any_moment_the_pointer_is_the_old_or_the_new_one(tmp_path: Path, moment: str) -> None:
    ChampionRegistry(Store(tmp_path), "x").promote(0, KEYS, "old", keep=5)
    script = f"""
        import os, pathlib, signal, sys
        from storage import Store
        from storage.champion_registry import ChampionRegistry
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        if "{moment}" == "unlink":
            pathlib.Path.unlink = die
        else:
            os.{moment} = die
        ChampionRegistry(Store(sys.argv[1]), "x").promote(1, {{"train": "new"}}, "new", keep=5)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    state = ChampionRegistry(Store(tmp_path), "x").read()
    assert state.current == (2 if moment == "unlink" else 1)
    assert ChampionRegistry(Store(tmp_path), "x").promote(state.current, KEYS, "next", keep=5).number == state.current + 1


def test_gc_keeps_what_champions_refer_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in "abc":
        with store.building("train", key * 24) as draft:
            with Workspace(draft.folder).part("weights") as path:
                path.write_text(key)
            draft.seal({}, {}, {}, {})  # type: ignore[union-attr]
    registry = ChampionRegistry(store, "x")
    for place, key in enumerate("ab"):
        registry.promote(place, {"train": key * 24}, "", keep=2)
    assert [folder.name[0] for folder, _ in collect(store, 0).removed] == ["c"]
    registry.promote(2, {"train": "b" * 24}, "", keep=2)
    assert [folder.name[0] for folder, _ in collect(store, 0).removed] == ["a"]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_revision_is_named(tmp_path: Path, text: str) -> None:
    registry = ChampionRegistry(Store(tmp_path), "x")
    for number in range(2):
        registry.promote(number, KEYS, "", keep=2)
    file = tmp_path / ".champions" / "x" / "00000002.json"
    file.write_text(text or "x")
    with pytest.raises(StoreError, match=r"00000002.json in the store is damaged(.|\n)*remove it"):
        registry.read()
    file.unlink()
    assert registry.read().current == 1
