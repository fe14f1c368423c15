"""The backend `command`, with real programs: correct ones and ones that fail in all ways."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation.backend import EMPTY, FAILED, TOO_LONG, Translation
from mlctl.translation.backend_pool import BackendPool
from mlctl.translation.external_command import CommandBackend

UPPER = "for line in sys.stdin: print(line.rstrip('\\n').upper(), flush=True)"
AT_THE_END = "lines = sys.stdin.read().split('\\n')[:-1]\nprint('\\n'.join(lines).upper())"
DIES = "lines = list(sys.stdin)\nif any('killer' in line for line in lines): os.abort()\nfor line in lines: print(line, end='')"
LOSES = "for line in sys.stdin:\n    if 'lost' not in line: print(line, end='')"
NO_UTF8 = "for line in sys.stdin: sys.stdout.buffer.write(b'\\xff\\n' if 'bad' in line else line.encode())"
FAILS = "print('no model here', file=sys.stderr); sys.exit(4)"
DEAF = "os.close(0)\nfor _ in range(3): print('word')"
HANGS = "time.sleep(600)"
CHATTY = "for line in sys.stdin:\n    print('x' * 5000, file=sys.stderr)\n    print(line, end='')"


def program(folder: Path, code: str) -> tuple[str, str]:
    file = folder / "program.py"
    file.write_text("import os, sys, time\n" + textwrap.dedent(code), encoding="utf-8")
    return sys.executable, str(file)


def backend(command: tuple[str, ...], **values: object) -> CommandBackend:
    return CommandBackend(Translate.model_validate({"backend": "command", "command": command, **values}), "en", "es")


def translations_of(command: tuple[str, ...], texts: list[str], **values: object) -> list[Translation]:
    with contextlib.closing(backend(command, **values)) as opened:
        return opened.translate(texts, "en", "es")


@pytest.mark.parametrize("code", [UPPER, AT_THE_END])
def test_programs_that_flush_and_programs_that_wait(code: str, tmp_path: Path) -> None:
    texts = [f"line {number}" for number in range(1_203)]
    outputs = translations_of(program(tmp_path, code), texts, threads=2)
    assert outputs == [Translation(text.upper()) for text in texts]
    assert translations_of(program(tmp_path, code), texts, threads=1) == outputs


def test_a_program_for_one_way_is_asked_no_other(tmp_path: Path) -> None:
    """The program would take its input for text of its own source language."""
    same, placed = ((*program(tmp_path, UPPER), *more) for more in ((), ("{target}",)))
    for command, has_reverse in ((same, False), (placed, True)):
        settings = Translate.model_validate({"backend": "command", "command": command})
        with contextlib.closing(BackendPool(settings)) as pool:
            pool.get("en", "es")
            assert (pool.get_if_local("es", "en", [("en", "es")]) is not None) == has_reverse
            if has_reverse:
                pool.get("en", "ca")
            else:
                pool.get("fr", "es")  # the program may accept any source language
                with pytest.raises(InputError, match=r"the same from en to es and from en to ca\n.*write {source} and {target}"):
                    pool.get("en", "ca")


def test_odd_text_stays_a_line(tmp_path: Path) -> None:
    texts = ["a\nb", "a\u2028b\x0bc\x0cd\x85e", "a\r\nb", "a\0b", "😀 <b>é</b>", "", "  ", "ß" * 100_000]
    outputs = translations_of(program(tmp_path, UPPER), texts)
    assert [output.text for output in outputs] == ["A B", "A B C D E", "A B", "A B", "😀 <B>É</B>", "", "", "S" * 200_000]
    assert [output.rule for output in outputs] == ["", "", "", "", "", EMPTY, EMPTY, ""]


def test_more_than_a_pipe_holds_goes_both_ways(tmp_path: Path) -> None:
    texts = [f"{number} " + "x" * 2_000 for number in range(400)]
    assert translations_of(program(tmp_path, CHATTY), texts) == [Translation(text) for text in texts]


@pytest.mark.parametrize(("code", "bad"), [(DIES, "killer"), (LOSES, "lost"), (NO_UTF8, "bad")])
def test_one_bad_text_is_left_out_alone(code: str, bad: str, tmp_path: Path) -> None:
    texts = [f"line {number}" for number in range(12)]
    texts[7] = f"a {bad} line"
    outputs = translations_of(program(tmp_path, code), texts)
    assert outputs == [Translation("", FAILED) if bad in text else Translation(text) for text in texts]
    assert translations_of(program(tmp_path, code), [f"a {bad} line"]) == [Translation("", FAILED)]


def test_a_program_that_was_killed_once_is_asked_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"if not os.path.exists({str(flag)!r}): open({str(flag)!r}, 'w').close(); os.kill(os.getpid(), 9)\n{UPPER}"
    assert translations_of(program(tmp_path, code), ["one"]) == [Translation("ONE")]


@pytest.mark.parametrize(
    ("code", "message"),
    [(FAILS, r"exit status 4; standard error: no model here"), (DEAF, "3 lines for 1"), ("sys.stdin.read()", "0 lines for 1")],
)
def test_a_program_that_does_not_work_is_an_error(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        translations_of(program(tmp_path, code), [f"line {number}" for number in range(9)])


def test_a_program_that_hangs_is_an_error_and_is_ended(tmp_path: Path) -> None:
    # The program starts a child, which must end too.
    pid = tmp_path / "pid"
    code = f"import subprocess\nopen({str(pid)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n{HANGS}"
    settings = Translate(backend="command", command=program(tmp_path, code))
    started = CommandBackend(settings, "en", "es", start_seconds=1.5, line_seconds=0.0)
    with pytest.raises(InputError, match=r"did not end within 1\.5 s"):
        started.translate(["one"], "en", "es")
    assert_ended(int(pid.read_text()))


def test_its_processes_end_when_it_is_closed_or_killed(tmp_path: Path) -> None:
    hanging = backend(program(tmp_path, HANGS))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            hanging.translate(["one"], "en", "es")
        except Exception as error:  # noqa: BLE001, RUF100
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    hanging.close()
    thread.join(20)
    assert not thread.is_alive()
    assert failures

    pid = tmp_path / "pid"
    command = program(tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n{HANGS}")
    code = (
        "from mlctl.config import Translate; from mlctl.translation.external_command import CommandBackend as C;"
        f"C(Translate(backend='command', command={command!r}), 'en', 'es').translate(['one'], 'en', 'es')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        end = time.monotonic() + 30
        while not (pid.exists() and pid.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        parent.kill()
    assert_ended(int(pid.read_text()))


def assert_ended(pid: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs")


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"translate\.command: there is no executable program 'no-such-program'"):
        backend(("no-such-program",))
    text = tmp_path / "text"
    text.write_text("neither script nor program")
    text.chmod(0o755)
    with pytest.raises(InputError, match=r"translate\.command: .*text cannot be started"):
        translations_of((str(text),), ["one"])


def test_languages_are_placed_and_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    command = (*program(tmp_path, "for line in sys.stdin: print(*sys.argv[1:])"), "{source}-{target}.yml", "$HOME; {x}")
    assert translations_of(command, ["one"]) == [Translation("en-es.yml $HOME; {x}")]


def test_it_serves_what_it_was_set_up_for_and_counts_words(tmp_path: Path) -> None:
    limited = backend(program(tmp_path, UPPER), max_tokens=8)
    assert limited.supports("en", "es")
    assert not limited.supports("es", "en")
    assert limited.fits(["a " * 8, "a " * 9, "猫" * 16, "猫" * 18], "en", "es") == [True, False, True, False]
    assert [output.rule for output in limited.translate(["a " * 9, "a"], "en", "es")] == [TOO_LONG, ""]


def test_the_identity_changes_with_the_program_its_arguments_and_its_version(tmp_path: Path) -> None:
    command = program(tmp_path, UPPER)
    first = backend(command).identity()
    assert backend(command).identity() == first
    assert backend(command, command_version="2").identity() != first
    assert backend((*command, "{target}")).identity() != first
    program(tmp_path, AT_THE_END)
    assert backend(command).identity() != first
