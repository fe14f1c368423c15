"""The store's promises: whole or absent, never changed unnoticed, one builder at a time, nothing needed ever removed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cli.main import main
from mlctl.core.hashing import canonical_json, content_digest, key_of
from mlctl.core.workspace import Workspace
from storage import Draft, Result, Store, StoreError
from storage.gc import collect
from storage.run_log import RunLog, StageRun
from storage.session import session
from storage.store import differences
from storage.verify import find_damage

PARTS = {"stage": "clean", "version": 1, "settings": {"a": 1}, "inputs": {"download": "d"}, "outside": {}}
KEY = key_of(PARTS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def build(store: Store, key: str = KEY, text: str = "hello", stage: str = "clean") -> Result:
    with store.building(stage, key) as draft:
        assert isinstance(draft, Draft)
        workspace = Workspace(draft.folder)
        for name, content in (("pairs/fr.txt", text), ("speed.jsonl", str(time.time_ns()))):
            with workspace.part(name) as path:
                path.write_text(content)
        with workspace.part("t.parquet") as path:
            pq.write_table(pa.table({"a": [1, 2, 3]}), path)
        (workspace.scratch / "x").write_text("temporary")
        with workspace.part(".scratch/measured/fr.json") as path:
            path.write_text("temporary, with a checksum")
        return draft.seal({**PARTS, "stage": stage}, {"download": "k"}, {"rows": 3}, {"mlctl": "0"}, volatile=("speed.jsonl",))


def test_sealed_result_is_found_with_its_rows_and_without_scratch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find("clean", KEY) is None
    built = build(store)
    found = store.find("clean", KEY, check="always")
    assert found is not None
    assert found.manifest == built.manifest
    assert {f.name: f.rows for f in found.manifest.files} == {"pairs/fr.txt": None, "speed.jsonl": None, "t.parquet": 3}
    assert not (found.folder / ".scratch").exists()


def test_content_is_equal_for_equal_bytes_whatever_the_volatile_files_say(tmp_path: Path) -> None:
    first, second = build(Store(tmp_path / "a")), build(Store(tmp_path / "b"))
    assert first.manifest.content == second.manifest.content
    assert build(Store(tmp_path / "c"), text="other").manifest.content != first.manifest.content


@pytest.mark.parametrize("harm", ["delete", "grow", "flip"])
def test_damage_is_noticed_set_aside_and_built_again(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    path = build(store).folder / "pairs" / "fr.txt"
    if harm == "delete":
        path.unlink()
    else:
        path.write_text("hello, world" if harm == "grow" else "HELLO")
    assert store.find("clean", KEY) is None
    again = build(store)
    assert (again.folder / "pairs" / "fr.txt").read_text() == "hello"
    assert len(store.damaged()) == 1


def flip(path: Path, position: int) -> None:
    """Flip a bit of a file; its size and time stay."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_flip_that_keeps_size_and_time_is_found_in_small_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    result = build(store)
    flip(result.folder / "pairs" / "fr.txt", 4)
    assert store.find("clean", KEY, check="changed") is not None
    assert store.find("clean", KEY) is None
    assert store.find("clean", KEY, check="always") is None
    assert list(find_damage(result.folder, result.manifest)) == ["pairs/fr.txt: its bytes have changed"]


MIB = 1 << 20


@pytest.mark.parametrize("megabytes", [2, 31])
def test_a_result_of_some_megabytes_is_read_whole_at_each_use(tmp_path: Path, megabytes: int) -> None:
    store = Store(tmp_path)
    result = build(store, text="x" * (megabytes * MIB + 5))
    path = result.folder / "pairs" / "fr.txt"
    assert len(next(file for file in result.manifest.files if file.name == "pairs/fr.txt").blocks) == 8 * (megabytes + 1)
    for position in (0, megabytes * MIB // 2, megabytes * MIB + 4):
        assert store.find("clean", KEY) is not None
        flip(path, position)
        assert store.find("clean", KEY) is None
        flip(path, position)


def test_of_a_large_file_a_sample_is_read_and_a_mark_has_all_of_it_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.verify._SAMPLED_BLOCKS", 2)
    store = Store(tmp_path)
    result = build(store, text="x" * (12 * MIB))
    flip(result.folder / "pairs" / "fr.txt", 7 * MIB)
    missed = sum(store.find("clean", KEY) is not None for _ in range(60))
    assert 1 <= missed < 60, "2 of 12 blocks: each use finds it with a probability of 1/6"
    assert store.find("clean", KEY, check="changed") is not None
    assert store.mark_suspect("clean", KEY)
    assert store.find("clean", KEY, check="changed") is None
    flip(result.folder / "pairs" / "fr.txt", 7 * MIB)
    assert store.find("clean", KEY) is not None
    assert not list((tmp_path / ".suspect").iterdir()), "the mark goes when everything is right"


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]", '{"format": 99}'])
def test_an_unreadable_manifest_is_no_result(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    result = build(store)
    (result.folder / "manifest.json").write_text(text)
    assert store.find("clean", KEY) is None
    build(store)
    assert store.find("clean", KEY) is not None


def test_an_interrupted_draft_keeps_its_parts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.building("clean", KEY) as draft:
        assert isinstance(draft, Draft)
        (draft.folder / "part").write_text("done")
        raise RuntimeError
    assert store.find("clean", KEY) is None
    assert store.drafts() == [store.folder("clean", KEY)]
    with store.building("clean", KEY) as draft:
        assert (draft.folder / "part").read_text() == "done"


def test_the_lock_of_a_killed_builder_is_free_and_a_second_builder_waits(tmp_path: Path) -> None:
    script = f"""
import time
from storage import Store
with Store({str(tmp_path)!r}).building("clean", {KEY!r}):
    print("entered", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "entered\n"
    store = Store(tmp_path)
    assert store.is_building("clean", KEY)
    waited: list[bool] = []

    def kill() -> None:
        waited.append(True)
        process.kill()

    with store.building("clean", KEY, on_wait=kill) as draft:
        assert isinstance(draft, Draft)
    assert waited
    process.communicate()
    assert not store.is_building("clean", KEY)


@pytest.mark.parametrize("name", ["0.parquet", "pairs/de.txt", "model/weights", "pairs/model/x", ".hidden"])
def test_a_file_that_no_stage_wrote_is_sealed_into_no_result(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = build(Store(tmp_path / "undisturbed")).manifest.content
    store = Store(tmp_path / "store")
    intruder = store.folder("clean", KEY) / name
    with store.building("clean", KEY):
        intruder.parent.mkdir(parents=True, exist_ok=True)
        intruder.write_text("put here by somebody")
    result = build(store)
    assert result.manifest.content == expected
    assert name not in {file.name for file in result.manifest.files}
    assert [record.levelname for record in caplog.records if str(intruder) in record.message] == ["WARNING"] * intruder.exists()
    assert intruder.exists() == (name != ".hidden")
    assert store.find("clean", KEY) == result


def _rewrite(path: Path) -> None:
    path.write_text("other")


def _link(path: Path) -> None:
    path.symlink_to(path.rename(path.parents[3] / "elsewhere"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [_rewrite, _link, _folder, Path.unlink])
def test_a_part_that_changed_after_the_stage_wrote_it_is_not_sealed(change: Callable[[Path], None], tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.building("clean", KEY) as draft:
        assert isinstance(draft, Draft)
        with Workspace(draft.folder).part("pairs/fr.txt") as path:
            path.write_text("hello")
        change(draft.folder / "pairs" / "fr.txt")
        with pytest.raises(StoreError, match=r"pairs/fr.txt .*since its stage wrote it\n  → run the same command again"):
            draft.seal({}, {}, {}, {})
    assert store.find("clean", KEY) is None
    assert build(store).manifest.stage == "clean"


def test_seal_killed_before_the_manifest_leaves_no_result(tmp_path: Path) -> None:
    script = f"""
import os, signal
from storage import Store, manifest
manifest.Manifest.write = lambda self, folder: os.kill(os.getpid(), signal.SIGKILL)
with Store({str(tmp_path)!r}).building("clean", {KEY!r}) as draft:
    (draft.folder / "a").write_text("x")
    (draft.folder / ".scratch").mkdir()
    (draft.folder / ".scratch" / "checkpoint").touch()
    draft.seal({{}}, {{}}, {{}}, {{}})
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert Store(tmp_path).find("clean", KEY) is None
    assert (tmp_path / "clean" / KEY / ".scratch" / "checkpoint").exists(), "what was computed is not lost"
    assert build(Store(tmp_path)).manifest.stage == "clean"


@given(json_values)
def test_keys_do_not_depend_on_the_order_of_names(value: object) -> None:
    def turned(v: object) -> object:
        if isinstance(v, dict):
            return {k: turned(v[k]) for k in reversed(list(v))}
        return [turned(i) for i in v] if isinstance(v, list) else v

    assert canonical_json(value) == canonical_json(turned(value))
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.text(), min_size=1))
def test_content_changes_with_any_file(files: dict[str, str]) -> None:
    name = sorted(files)[0]
    assert content_digest(files) != content_digest({**files, name: files[name] + "x"})
    assert content_digest(files) != content_digest({k: v for k, v in files.items() if k != name})


def test_differences_name_the_leaf() -> None:
    old = {"settings": {"train": {"steps": 1, "loss": "a"}}, "inputs": {"shard": "x"}}
    new = {"settings": {"train": {"steps": 2, "loss": "a", "new": 5}}, "inputs": {"shard": "x"}}
    assert differences(old, new) == [("settings.train.new", None, 5), ("settings.train.steps", 1, 2)]


def test_nearest_is_the_one_with_fewest_differences(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for a, b in ((1, 1), (1, 2), (3, 3)):
        parts = {"stage": "clean", "a": a, "b": b}
        with store.building("clean", key_of(parts)) as draft:
            assert isinstance(draft, Draft)
            draft.seal(parts, {}, {}, {})
    nearest = store.nearest("clean", {"stage": "clean", "a": 3, "b": 2})
    assert nearest is not None
    assert nearest.manifest.parts in ({"stage": "clean", "a": 1, "b": 2}, {"stage": "clean", "a": 3, "b": 3})


def test_gc_keeps_what_recent_runs_need_and_what_is_being_made(tmp_path: Path) -> None:
    store, keys = Store(tmp_path), [f"{n}" * 24 for n in range(4)]
    for key in keys[:3]:
        build(store, key)
    log = RunLog(store)
    for key in keys[:2]:
        with log.run("pipeline", {}) as run:
            run.stages.append(StageRun("clean", key, "computed"))
    with store.building("clean", keys[3]):
        assert [folder.name for folder, _ in collect(store, keep_runs=1, dry_run=True).removed] == [keys[0], keys[2]]
        collect(store, keep_runs=1)
        assert sorted(p.name for p in store.folders()) == [keys[1], keys[3]]
    assert len(log.runs()) == 1


def test_gc_forgets_parts_that_no_recent_run_used(tmp_path: Path) -> None:
    store, memory = Store(tmp_path), tmp_path / "memory"
    (memory / ".locks").mkdir(parents=True)
    (memory / "old.folder").mkdir()
    for name in ("old.folder/weights", "old.parquet", "new.parquet"):
        (memory / name).write_bytes(b"1234")
    for name in ("old.folder", "old.parquet"):
        os.utime(memory / name, (1e9, 1e9))
    with RunLog(store).run("pipeline", {}):
        pass
    removed = [(memory / "old.folder", 4), (memory / "old.parquet", 4)]
    assert collect(store, keep_runs=1, dry_run=True, caches=("memory", "none")).removed == removed
    assert collect(store, keep_runs=1, caches=("memory",)).removed == removed
    assert sorted(path.name for path in memory.iterdir()) == [".locks", "new.parquet"]
    collect(store, keep_runs=0, caches=("memory",))
    assert [path.name for path in memory.iterdir()] == [".locks"]


def test_runs_tell_completed_failed_and_interrupted(tmp_path: Path) -> None:
    log = RunLog(Store(tmp_path))
    with log.run("pipeline", {"name": "a"}):
        assert log.runs()[0].status == "running"
    with pytest.raises(ValueError, match="bad"), log.run("pipeline", {"name": "b"}):
        raise ValueError("bad")
    script = f"""
import os, signal
from storage import Store
from storage.run_log import RunLog
with RunLog(Store({str(tmp_path)!r})).run("pipeline", {{"name": "c"}}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert {run.recipe["name"]: run.status for run in log.runs()} == {"a": "completed", "b": "failed", "c": "interrupted"}


def verify(store: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["store", "verify", f"--store={store}"])
    return status, capsys.readouterr().out


def lose(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_text("{")


def change_a_metric(path: Path) -> None:
    path.write_text(path.read_text().replace('"rows": 3\n }', '"rows": 4\n }'))


@pytest.mark.parametrize(("harm", "problem"), [(lose, "is missing"), (garble, "unreadable"), (change_a_metric, "was changed")])
def test_a_manifest_that_is_lost_or_changed_is_reported_and_the_result_made_again(
    tmp_path: Path, harm: Callable[[Path], None], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    path = build(store).folder / "manifest.json"
    before = path.read_text()
    harm(path)
    assert not path.exists() or path.read_text() != before
    status, said = verify(tmp_path, capsys)
    assert status == 1
    assert f"its manifest {problem}" in said.replace("its manifest is unreadable", "its manifest unreadable")
    assert "sets it aside" in said
    assert store.find("clean", KEY) is None
    with store.building("clean", KEY) as draft:
        assert isinstance(draft, Draft)
        assert not (draft.folder / "t.parquet").exists(), "nothing of it is trusted"
    assert len(store.damaged()) == 1


def test_verify_tells_what_happens_next_and_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    path = build(store).folder / "pairs" / "fr.txt"
    assert verify(tmp_path, capsys) == (0, "every file of 1 result is unchanged\n")
    flip(path, 0)
    assert store.find("clean", KEY, check="changed"), "as a run would that reads no digest"
    status, said = verify(tmp_path, capsys)
    assert status == 1
    assert "pairs/fr.txt: its bytes have changed\n  → the next run that needs it sets it aside; it is then computed again" in said
    with session(store.root, "changed"), store.building("clean", KEY) as draft:
        assert isinstance(draft, Draft)
    assert len(store.damaged()) == 1


def test_verify_names_files_that_no_manifest_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = build(Store(tmp_path))
    (result.folder / "pairs" / "de.txt").write_text("x")
    (result.folder / "more").symlink_to(result.folder / "pairs")
    (result.folder / ".hidden").touch()
    status, said = verify(tmp_path, capsys)
    assert status == 1
    assert "not in its manifest: .hidden, more, pairs/de.txt" in said


@pytest.mark.parametrize("name", ["pairs/fr.txt", "pairs", "manifest.json", ""])
def test_a_link_out_of_the_store_is_damage_and_one_within_it_is_not(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    path = build(store).folder / name
    inside, outside = tmp_path / "store" / "elsewhere", tmp_path / "outside"
    path.rename(inside)
    path.symlink_to(inside)
    assert store.find("clean", KEY)
    path.unlink()
    inside.rename(outside)
    path.symlink_to(outside)
    assert store.find("clean", KEY) is None
    status, said = verify(tmp_path / "store", capsys)
    assert status == 1
    assert f"a link to {outside}, outside of the store" in said


def test_a_stage_may_be_on_another_volume(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    build(store)
    (tmp_path / "store" / "clean").rename(tmp_path / "large")
    (tmp_path / "store" / "clean").symlink_to(tmp_path / "large")
    assert store.find("clean", KEY)


def test_a_manifest_of_the_format_before_is_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    result = build(store)
    dataclasses.replace(result.manifest, format=1).write(result.folder)
    assert '"digest"' not in (result.folder / "manifest.json").read_text()
    found = store.find("clean", KEY)
    assert found
    assert found.manifest.content == result.manifest.content
