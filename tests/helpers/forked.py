"""Programs in processes of their own that have the large packages loaded: a test that kills many runs does not wait for as many imports.

They are forked from a server that imports those packages once. What they start themselves, such as workers, starts as ever.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "flows.pipeline",
        "mlctl.training.stage",
        "mlctl.evaluation.stage",
        "prefect.main",
        "pyarrow.parquet",
        "transformers.models.bert.modeling_bert",
        "transformers.models.xlm_roberta.modeling_xlm_roberta",
    ]
)
_TIMEOUT = 600  # seconds


def start(function: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Start a process that calls a function of an importable module, in the present environment and folder."""
    process = _context.Process(target=_call, args=(function, arguments, dict(os.environ), str(Path.cwd())))
    process.start()
    return process


def run_script(script: str, *arguments: str) -> int:
    """Run the text of a program, as `python -c` does, and return its exit status (negative: the signal that ended it)."""
    return _wait(start(_execute, script, arguments))


def run_file(path: Path, *arguments: str) -> int:
    """Run a file, as `python FILE` does, and return its exit status (negative: the signal that ended it)."""
    return _wait(start(_execute_file, str(path), arguments))


def _wait(process: BaseProcess) -> int:
    process.join(_TIMEOUT)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"a program did not end within {_TIMEOUT} s")
    return process.exitcode


def _call(function: Callable[..., object], arguments: tuple[Any, ...], environment: Mapping[str, str], folder: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    function(*arguments)


def _execute(script: str, arguments: tuple[str, ...]) -> None:
    sys.argv = ["-c", *arguments]
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})  # noqa: S102


def _execute_file(path: str, arguments: tuple[str, ...]) -> None:
    sys.argv = [path, *arguments]
    sys.path.insert(0, str(Path(path).parent))
    runpy.run_path(path, run_name="__main__")
