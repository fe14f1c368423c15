"""The translation memory: what it stores, damaged files, several processes."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mlctl.translation.translation_memory import TranslationMemory, translation_key

KEYS = [number.to_bytes(32, "big") for number in range(12000)]
TEXTS = {key: f"text {number} é 猫" for number, key in enumerate(KEYS[:2500])}


def stored(path: Path) -> dict[bytes, str]:
    return TranslationMemory(path).get(KEYS)


def test_what_is_stored_is_found_by_others(tmp_path: Path) -> None:
    path = tmp_path / "store" / "memory" / "t.sqlite"
    TranslationMemory(path).put(TEXTS)
    again = TranslationMemory(path)
    assert again.get(KEYS) == TEXTS
    assert again.get([KEYS[7], KEYS[9000], KEYS[3]]) == {KEYS[7]: TEXTS[KEYS[7]], KEYS[3]: TEXTS[KEYS[3]]}
    again.close()
    assert again.get(KEYS[:1]) == {KEYS[0]: TEXTS[KEYS[0]]}  # a closed file is opened again


def test_the_first_translation_of_a_text_stays(tmp_path: Path) -> None:
    one, other = (TranslationMemory(tmp_path / "t.sqlite") for _ in range(2))
    assert one.put_if_absent(KEYS[0], "first") == "first"
    assert other.put_if_absent(KEYS[0], "second") == "first"
    assert other.put_if_absent(KEYS[1], "third") == "third"
    assert one.get(KEYS[:3]) == {KEYS[0]: "first", KEYS[1]: "third"}
    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        connection.execute("UPDATE translations SET digest = x'00' WHERE key = ?", (KEYS[0],))
    assert one.put_if_absent(KEYS[0], "fourth") == "fourth", "a damaged row is replaced"
    (tmp_path / "file").touch()
    assert TranslationMemory(tmp_path / "file" / "t.sqlite").put_if_absent(KEYS[0], "fifth") == "fifth"


def test_another_backend_direction_or_text_has_another_key() -> None:
    key = translation_key({"backend": "a", "digest": "1"}, "en", "fr", "text")
    others = [
        translation_key({"backend": "a", "digest": "2"}, "en", "fr", "text"),
        translation_key({"backend": "a", "digest": "1"}, "fr", "en", "text"),
        translation_key({"backend": "a", "digest": "1"}, "en", "fr", "text "),
    ]
    assert len({key, *others}) == 4
    assert translation_key({"digest": "1", "backend": "a"}, "en", "fr", "text") == key


def test_thousands_of_texts_are_a_few_queries(tmp_path: Path) -> None:
    memory = TranslationMemory(tmp_path / "t.sqlite")
    memory.put({key: str(number) for number, key in enumerate(KEYS)})
    assert memory._connection is not None
    statements: list[str] = []
    memory._connection.set_trace_callback(statements.append)
    assert len(memory.get(KEYS)) == len(KEYS)
    assert len(statements) <= 3


@pytest.mark.parametrize("damage", ["text = x'6162'", "digest = x'00'", "text = 5", "text = x'ff'"])
def test_a_damaged_row_is_ignored_and_made_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t.sqlite"
    TranslationMemory(path).put({KEYS[0]: "one", KEYS[1]: "two"})
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE translations SET {damage} WHERE text = ?", (b"one",))  # noqa: S608
    assert stored(path) == {KEYS[1]: "two"}
    TranslationMemory(path).put({KEYS[0]: "one"})
    assert stored(path) == {KEYS[0]: "one", KEYS[1]: "two"}


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = bytes(255 for _ in range(len(content) - 8192))
    path.write_bytes(content)


def replace(path: Path) -> None:
    path.write_text("not a database, but long enough to look like one" * 100, encoding="utf-8")


def other_table(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE translations (key, text)")


@pytest.mark.parametrize("damage", [truncate, garble, replace, other_table])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite"
    memory = TranslationMemory(path)
    memory.put(dict.fromkeys(KEYS, "long enough to fill some pages " * 4))
    memory.close()
    damage(path)  # type: ignore[operator]
    found = TranslationMemory(path).get(KEYS)
    assert set(found.values()) <= {"long enough to fill some pages " * 4}
    memory = TranslationMemory(path)
    memory.put(TEXTS)  # the damage may show only now
    memory.put(TEXTS)
    assert {key: text for key, text in memory.get(KEYS).items() if key in TEXTS} == TEXTS
    assert (tmp_path / "t.sqlite.damaged").exists()
    assert sum("was damaged" in record.message for record in caplog.records) == 1
    assert stored(path) == memory.get(KEYS)


def test_an_open_file_that_another_process_set_aside_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    first = TranslationMemory(path)
    first.put({KEYS[0]: "old"})
    for file in tmp_path.glob("t.sqlite*"):
        file.rename(f"{file}.damaged")
    second = TranslationMemory(path)
    second.put({KEYS[1]: "new"})
    first._set_aside(sqlite3.DatabaseError("malformed"))  # the file that it had opened is damaged, the new one is not
    assert first.get(KEYS[:2]) == second.get(KEYS[:2]) == {KEYS[1]: "new"}


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "t.sqlite"


def a_folder(folder: Path) -> Path:
    (folder / "t.sqlite").mkdir()
    return folder / "t.sqlite"


def unwritable_folder(folder: Path) -> Path:
    del folder
    return Path("/proc/self/t.sqlite")


@pytest.mark.parametrize("make_path", [below_a_file, a_folder, unwritable_folder])
def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path, make_path: object, caplog: pytest.LogCaptureFixture) -> None:
    memory = TranslationMemory(make_path(tmp_path))  # type: ignore[operator]
    for _ in range(3):
        memory.put({KEYS[0]: "a"})
        assert memory.get(KEYS) == {}
    assert sum("continuing without it" in record.message for record in caplog.records) == 1


def test_a_locked_file_is_waited_for_and_then_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.sqlite"
    memory = TranslationMemory(path, busy_seconds=0.2)
    memory.put({KEYS[0]: "a"})
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert memory.get(KEYS[:1]) == {KEYS[0]: "a"}  # readers do not wait for writers
        memory.put({KEYS[1]: "b"})
        other.execute("ROLLBACK")
    assert "locked" in caplog.text
    assert memory.get(KEYS[:2]) == {}
    assert stored(path) == {KEYS[0]: "a"}


WRITERS = """
import multiprocessing, sys
from pathlib import Path
from mlctl.translation.translation_memory import TranslationMemory

path = Path(sys.argv[1])
keys = [number.to_bytes(32, "big") for number in range(12000)]


def write(first):
    memory = TranslationMemory(path)
    for start in range(first, first + 2000, 100):
        memory.put({keys[number]: f"text {number}" for number in range(start, start + 100)})
    memory.close()


ours = TranslationMemory(path)
ours.put({keys[11000]: "ours"})  # open when the others are forked
context = multiprocessing.get_context("fork")
processes = [context.Process(target=write, args=(1000 * n,)) for n in range(4)]  # ranges overlap
processes.append(context.Process(target=ours.put, args=({keys[11001]: "forked"},)))
for process in processes:
    process.start()
for process in processes:
    process.join(60)
assert [process.exitcode for process in processes] == [0] * 5
assert len(ours.get(keys)) == 5002
"""


def test_processes_write_at_once_and_see_one_another(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    # In a new process: this one may have threads and must not be forked.
    done = subprocess.run([sys.executable, "-c", WRITERS, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = {KEYS[number]: f"text {number}" for number in range(5000)} | {KEYS[11000]: "ours", KEYS[11001]: "forked"}
    assert TranslationMemory(path).get(KEYS) == stored(path) == expected


def _numbers(connection: sqlite3.Connection) -> list[int]:
    return [int.from_bytes(key, "big") for (key,) in connection.execute("SELECT key FROM translations")]


WRITER = """
import sys
from pathlib import Path
from mlctl.translation.translation_memory import TranslationMemory

memory = TranslationMemory(Path(sys.argv[1]))
for start in range(9000, 12000, 100):
    memory.put({number.to_bytes(32, "big"): f"text {number}" for number in range(start, start + 100)})
"""
KILLED = """
import sys
from pathlib import Path
from mlctl.translation.translation_memory import TranslationMemory
memory = TranslationMemory(Path(sys.argv[1]))
for number in range(10**6):
    memory.put({(number * 50 + more).to_bytes(32, "big"): f"text {number * 50 + more}" for more in range(50)})
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
        written = Counter(number // 50 for number in _numbers(connection) if number < 9000)
    assert set(written.values()) == {50}  # all of what was written together, or nothing
    kept = stored(path)
    assert all(text == f"text {int.from_bytes(key, 'big')}" for key, text in kept.items())
    assert {KEYS[number] for number in range(9000, 12000)} <= kept.keys()
    assert len(kept) >= min(50 * last, 9000)
    assert not (tmp_path / "t.sqlite.damaged").exists()


FORKED = """
import multiprocessing, sys
from pathlib import Path
from mlctl.translation.translation_memory import TranslationMemory


def use(memory, inherited):
    memory.put({b"1" * 32: "b"})
    sys.exit(memory._connection is inherited)


memory = TranslationMemory(Path(sys.argv[1]))
memory.put({b"0" * 32: "a"})
child = multiprocessing.get_context("fork").Process(target=use, args=(memory, memory._connection))
child.start()
child.join(60)
assert child.exitcode == 0
assert memory.get([b"0" * 32, b"1" * 32]) == {b"0" * 32: "a", b"1" * 32: "b"}
"""


def test_a_forked_process_opens_the_file_anew(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "t.sqlite")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_memory_can_be_handed_to_another_process(tmp_path: Path) -> None:
    memory = TranslationMemory(tmp_path / "t.sqlite")
    memory.put({KEYS[0]: "a"})
    assert pickle.loads(pickle.dumps(memory)).get(KEYS[:1]) == {KEYS[0]: "a"}  # noqa: S301
