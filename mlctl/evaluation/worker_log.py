"""Log records of workers: each writes them to a file, and the stage's process repeats them. Without a shared folder they are not seen."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_SECONDS = 1.0  # between two looks at the files


def log_to(path: Path) -> None:
    """In a worker: write the records of mlctl's loggers to a file, as lines of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    logger = logging.getLogger("mlctl")
    logger.setLevel(logging.INFO)
    logger.handlers = [handler]


@contextlib.contextmanager
def repeated(paths: list[Path]) -> Iterator[None]:
    """In the stage's process: repeat the records that workers write to files while the block runs; older files are removed."""
    for path in paths:
        path.unlink(missing_ok=True)
    ended, context = threading.Event(), contextvars.copy_context()  # that of the Prefect run, which shows the records
    thread = threading.Thread(target=context.run, args=(_repeat, paths, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps([record.name, record.levelno, record.getMessage()])


def _repeat(paths: list[Path], ended: threading.Event) -> None:
    with contextlib.ExitStack() as stack:
        files: dict[Path, IO[str]] = {}
        while True:
            is_last = ended.wait(_SECONDS)
            for path in paths:
                if path not in files and path.exists():
                    files[path] = stack.enter_context(path.open(encoding="utf-8"))
            for file in files.values():
                _repeat_lines(file)
            if is_last:
                return


def _repeat_lines(file: IO[str]) -> None:
    while True:
        start, line = file.tell(), file.readline()
        if not line.endswith("\n"):  # it is written just now, or there is none
            file.seek(start)
            return
        name, level, message = json.loads(line)
        logging.getLogger(name).log(level, "%s", message)
