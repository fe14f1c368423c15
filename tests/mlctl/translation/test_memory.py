from __future__ import annotations

import logging
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlctl.translation.backend import TOO_LONG, Translation
from mlctl.translation.memory import Memory, Remembering


class Reversing:
    """A translator whose translations are its texts backwards; it counts what it is asked, and refuses long texts."""

    def __init__(self, digest: str = "1") -> None:
        self.digest = digest
        self.asked: list[str] = []

    def identity(self) -> dict[str, str]:
        return {"backend": "reversing", "digest": self.digest}

    def serves(self, source: str, target: str) -> bool:
        return source != target

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        assert self.serves(source, target)
        return [len(text) < 40 for text in texts]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        assert self.serves(source, target)
        self.asked += texts
        return [Translation(f"{target} {text[::-1]}") if len(text) < 40 else Translation("", TOO_LONG) for text in texts]

    def close(self) -> None:
        self.asked.append("closed")


TEXTS = [f"text {number} é 猫" for number in range(2500)]
KEYS = [number.to_bytes(32, "big") for number in range(12000)]


def found(path: Path) -> dict[bytes, str]:
    return Memory(path).look_up(KEYS)


def test_what_was_translated_once_does_not_go_to_the_engine_again(tmp_path: Path) -> None:
    path, first = tmp_path / "store" / "memory" / "t.sqlite", Reversing()
    expected = first.translate(TEXTS, "en", "fr")
    first.asked.clear()
    assert Remembering(first, Memory(path)).translate([*TEXTS, *TEXTS[:9]], "en", "fr") == [*expected, *expected[:9]]
    assert first.asked == TEXTS
    again = Reversing()  # another corpus, another run: some of its sentences are known
    assert Remembering(again, Memory(path)).translate([TEXTS[7], "new", TEXTS[3]], "en", "fr") == [
        expected[7],
        Translation("fr wen"),
        expected[3],
    ]
    assert again.asked == ["new"]


def test_another_engine_or_direction_is_another_memory(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "t.sqlite")
    for engine, source, target in ((Reversing("1"), "en", "fr"), (Reversing("2"), "en", "fr"), (Reversing("1"), "fr", "en")):
        made = Remembering(engine, memory).translate(["a b"], source, target)
        assert (engine.asked, made) == (["a b"], [Translation(f"{target} b a")])


def test_rejections_are_not_remembered(tmp_path: Path) -> None:
    engine = Reversing()
    remembering = Remembering(engine, Memory(tmp_path / "t.sqlite"))
    for _ in range(2):
        assert remembering.translate(["x" * 50, "y"], "en", "fr") == [Translation("", TOO_LONG), Translation("fr y")]
    assert engine.asked == ["x" * 50, "y", "x" * 50]
    assert remembering.fits(["x" * 50, "y"], "en", "fr") == [False, True]
    remembering.close()
    assert engine.asked[-1] == "closed"
    assert remembering.translate(["y"], "en", "fr") == [Translation("fr y")]  # a closed file is opened again


def test_thousands_of_texts_are_a_few_queries(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "t.sqlite")
    memory.keep({key: str(number) for number, key in enumerate(KEYS)})
    assert memory._connection is not None
    statements: list[str] = []
    memory._connection.set_trace_callback(statements.append)
    assert len(memory.look_up(KEYS)) == len(KEYS)
    assert len(statements) <= 3


@pytest.mark.parametrize("damage", ["text = x'6162'", "digest = x'00'", "text = 5", "text = x'ff'"])
def test_a_damaged_row_is_ignored_and_made_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t.sqlite"
    Remembering(Reversing(), Memory(path)).translate(["one", "two"], "en", "fr")
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE translations SET {damage} WHERE text = ?", (b"fr eno",))  # noqa: S608
    for asked in (["one"], []):
        engine = Reversing()
        made = Remembering(engine, Memory(path)).translate(["one", "two"], "en", "fr")
        assert made == [Translation("fr eno"), Translation("fr owt")]
        assert engine.asked == asked


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = bytes(255 for _ in range(len(content) - 8192))
    path.write_bytes(content)


def replace(path: Path) -> None:
    path.write_text("no database at all, but long enough to be taken for one" * 100, encoding="utf-8")


def other_table(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE translations (key, text)")


@pytest.mark.parametrize("damage", [truncate, garble, replace, other_table])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite"
    memory = Memory(path)
    memory.keep(dict.fromkeys(KEYS, "long enough to fill some pages " * 4))
    memory.close()
    damage(path)  # type: ignore[operator]
    expected = Reversing().translate(TEXTS, "en", "fr")
    for _ in range(2):
        assert Remembering(Reversing(), Memory(path)).translate(TEXTS, "en", "fr") == expected
    assert (tmp_path / "t.sqlite.damaged").exists()
    assert sum("set aside" in record.message for record in caplog.records) == 1
    engine = Reversing()
    assert Remembering(engine, Memory(path)).translate(TEXTS, "en", "fr") == expected
    assert len(engine.asked) <= len(TEXTS) // 2  # what came after the damage was seen is kept


def test_an_open_file_that_another_process_set_aside_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    ours = Memory(path)
    ours.keep({KEYS[0]: "old"})
    for file in tmp_path.glob("t.sqlite*"):
        file.rename(f"{file}.damaged")
    theirs = Memory(path)
    theirs.keep({KEYS[1]: "new"})
    ours._set_aside(sqlite3.DatabaseError("malformed"))  # what it held is damaged, what lies there now is not
    assert ours.look_up(KEYS[:2]) == theirs.look_up(KEYS[:2]) == {KEYS[1]: "new"}


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "t.sqlite"


def a_folder(folder: Path) -> Path:
    (folder / "t.sqlite").mkdir()
    return folder / "t.sqlite"


def no_room_for_files(folder: Path) -> Path:
    del folder
    return Path("/proc/self/t.sqlite")


@pytest.mark.parametrize("place", [below_a_file, a_folder, no_room_for_files])
def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path, place: object, caplog: pytest.LogCaptureFixture) -> None:
    engine = Reversing()
    remembering = Remembering(engine, Memory(place(tmp_path)))  # type: ignore[operator]
    for _ in range(3):
        assert remembering.translate(["a", "b"], "en", "fr") == [Translation("fr a"), Translation("fr b")]
    assert engine.asked == ["a", "b"] * 3
    assert sum("going on without it" in record.message for record in caplog.records) == 1


def test_a_locked_file_is_waited_for_and_then_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.sqlite"
    memory = Memory(path, busy_seconds=0.2)
    memory.keep({KEYS[0]: "a"})
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert memory.look_up(KEYS[:1]) == {KEYS[0]: "a"}  # readers do not wait for writers
        memory.keep({KEYS[1]: "b"})
        other.execute("ROLLBACK")
    assert "locked" in caplog.text
    assert memory.look_up(KEYS[:2]) == {}
    assert found(path) == {KEYS[0]: "a"}


WRITERS = """
import multiprocessing, sys
from pathlib import Path
from mlctl.translation.memory import Memory

path = Path(sys.argv[1])
keys = [number.to_bytes(32, "big") for number in range(12000)]


def write(first):
    memory = Memory(path)
    for start in range(first, first + 2000, 100):
        memory.keep({keys[number]: f"text {number}" for number in range(start, start + 100)})
    memory.close()


ours = Memory(path)
ours.keep({keys[11000]: "ours"})  # open when the others are forked
context = multiprocessing.get_context("fork")
processes = [context.Process(target=write, args=(1000 * n,)) for n in range(4)]  # ranges overlap
processes.append(context.Process(target=ours.keep, args=({keys[11001]: "forked"},)))
for process in processes:
    process.start()
for process in processes:
    process.join(60)
assert [process.exitcode for process in processes] == [0] * 5
assert len(ours.look_up(keys)) == 5002
"""


def test_processes_write_at_once_and_see_one_another(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    # In a process of its own: this one may have threads, and must not be forked.
    done = subprocess.run([sys.executable, "-c", WRITERS, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = {KEYS[number]: f"text {number}" for number in range(5000)} | {KEYS[11000]: "ours", KEYS[11001]: "forked"}
    assert Memory(path).look_up(KEYS) == found(path) == expected


def _numbers(connection: sqlite3.Connection) -> list[int]:
    return [int.from_bytes(key, "big") for (key,) in connection.execute("SELECT key FROM translations")]


WRITER = """
import sys
from pathlib import Path
from mlctl.translation.memory import Memory

memory = Memory(Path(sys.argv[1]))
for start in range(9000, 12000, 100):
    memory.keep({number.to_bytes(32, "big"): f"text {number}" for number in range(start, start + 100)})
"""
KILLED = """
import sys
from pathlib import Path
from mlctl.translation.memory import Memory
memory = Memory(Path(sys.argv[1]))
for number in range(10**6):
    memory.keep({(number * 50 + more).to_bytes(32, "big"): f"text {number * 50 + more}" for more in range(50)})
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_sound_file_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    victim = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment)
    other = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], env=environment)
    assert victim.stdout is not None
    begin = time.monotonic()
    while other.poll() is None and time.monotonic() - begin < 30 and int(victim.stdout.readline()) < 20:
        pass
    victim.send_signal(signal.SIGKILL)
    last = max(map(int, [*victim.stdout.read().split()[:-1], "0"]))
    victim.wait()
    assert other.wait(60) == 0
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        victims = Counter(number // 50 for number in _numbers(connection) if number < 9000)
    assert set(victims.values()) == {50}  # all of what was written together, or nothing
    kept = found(path)
    assert all(text == f"text {int.from_bytes(key, 'big')}" for key, text in kept.items())
    assert {KEYS[number] for number in range(9000, 12000)} <= kept.keys()
    assert len(kept) >= min(50 * last, 9000)
    assert not (tmp_path / "t.sqlite.damaged").exists()


FORKED = """
import multiprocessing, sys
from pathlib import Path
from mlctl.translation.memory import Memory


def use(memory, inherited):
    memory.keep({b"1" * 32: "b"})
    sys.exit(memory._connection is inherited)


memory = Memory(Path(sys.argv[1]))
memory.keep({b"0" * 32: "a"})
child = multiprocessing.get_context("fork").Process(target=use, args=(memory, memory._connection))
child.start()
child.join(60)
assert child.exitcode == 0
assert memory.look_up([b"0" * 32, b"1" * 32]) == {b"0" * 32: "a", b"1" * 32: "b"}
"""


def test_a_forked_process_opens_the_file_anew(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "t.sqlite")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_memory_can_be_handed_to_another_process(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "t.sqlite")
    memory.keep({KEYS[0]: "a"})
    assert pickle.loads(pickle.dumps(memory)).look_up(KEYS[:1]) == {KEYS[0]: "a"}  # noqa: S301


def test_how_much_was_known_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mlctl")
    remembering = Remembering(Reversing(), Memory(tmp_path / "t.sqlite"))
    remembering.translate(["a", "b"], "en", "fr")
    remembering.translate(["b", "c"], "en", "fr")
    remembering.close()
    assert "1 of 4 texts were in the translation memory" in caplog.text
