"""Progress in a terminal of 80 columns and in a pipe: bars and log lines never share a line."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

PROGRAM = """
import logging, time
from tasks import run_logging
from tasks.progress import show_progress
import prefect.main
run_logging.attach()
logger = logging.getLogger("mlctl.test")
with show_progress("train") as progress:
    for step in range(1, 9):
        time.sleep(0.12)
        progress(step, 8, "steps", loss=7.4551, pairs_per_s=433.49, corpus="a name that is longer than the space that is left")
        logger.info("line %s of the log", step)
print("the end")
"""


def _visible(line: str) -> str:
    """Return what a terminal shows of a line: what follows the last erasure or return to its start."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", re.split(r"\x1b\[2K|\r", line.rstrip("\r"))[-1]).strip()


def test_a_bar_in_a_terminal_leaves_every_log_line_alone() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    output = ""
    try:
        while block := os.read(ours, 65536):
            output += block.decode(errors="replace")
    except OSError:  # the terminal's other end is closed
        pass
    assert process.wait() == 0, output
    assert "8/8 steps" in output
    shown = [_visible(line) for line in output.split("\n")]
    lines = [line for line in shown if "of the log" in line]
    assert [line.rpartition("line ")[2] for line in lines] == [f"{step} of the log" for step in range(1, 9)]
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d+ \| INFO", line) for line in lines), lines
    assert all(len(line) <= 80 for line in shown), shown


def test_a_pipe_gets_no_bar() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert done.stderr.count("\n") == 8
    assert done.stdout == "the end\n"
