"""Runs the measurements of `benchmarks/gpu.py`: each isolated from the others, all within a deadline, results written after each.

A measurement that raises or runs out of memory becomes a row with the error's text. One that is not expected to end before the deadline is
not started, and one that runs past it ends the program: what has been measured is written in both cases.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from gpu_tables import markdown, row_line

Figures = Mapping[str, Any]

OK, FAILED, SKIPPED, NOT_RUN = "ok", "failed", "skipped", "not run"
RESULTS, TABLES = "gpu.json", "gpu.md"
_RESERVE_SECONDS = 2.0  # to write the results


class SkippedError(Exception):
    """A measurement is not possible on this machine; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """One row of the results.

    Attributes:
        section: the table that it belongs to.
        name: of the row.
        seconds: how long it is expected to take.
        run: returns its figures.
    """

    section: str
    name: str
    seconds: float
    run: Callable[[], Figures]


@dataclass
class Row:
    """The result of a measurement: its status, its figures, how long it took, and the reason where it has no figures."""

    section: str
    name: str
    status: str
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


class Runner:
    """Runs measurements until a deadline and writes the results into a folder.

    Args:
        out: where `gpu.json` and `gpu.md` are written.
        deadline: as `time.monotonic()` counts.
        about: what the results say about the machine and the run.
        aims: returns the aims, with what was reached, from the rows.
        clean_up: called before the program ends at the deadline.
    """

    def __init__(
        self,
        out: Path,
        deadline: float,
        about: dict[str, Any],
        aims: Callable[[list[Row]], list[dict[str, Any]]],
        clean_up: Callable[[], object],
    ) -> None:
        self.rows: list[Row] = []
        self._out, self._deadline, self._about, self._aims, self._clean_up = out, deadline, about, aims, clean_up
        self._start, self._lock = time.monotonic(), threading.Lock()

    def run(self, measurements: Iterable[Measurement]) -> None:
        """Run the measurements in their order."""
        measurements = list(measurements)
        self._out.mkdir(parents=True, exist_ok=True)
        self.write()
        for index, measurement in enumerate(measurements):
            if measurement.seconds > self._left():
                reason = f"needs about {measurement.seconds:.0f} s, {max(self._left(), 0):.0f} s are left"
                self._add(Row(measurement.section, measurement.name, NOT_RUN, reason=reason))
                continue
            watchdog = threading.Timer(self._left(), self._give_up, (measurements[index:],))
            watchdog.daemon = True
            watchdog.start()
            row = self._measure(measurement)
            watchdog.cancel()
            self._add(row)

    def write(self) -> None:
        """Write what has been measured so far; readers never see half a file."""
        about = {**self._about, "seconds": round(time.monotonic() - self._start, 1)}
        result = {"about": about, "aims": self._aims(self.rows), "rows": [asdict(row) for row in self.rows]}
        for name, text in ((RESULTS, json.dumps(result, indent=1) + "\n"), (TABLES, markdown(result))):
            part = self._out / f".{name}"
            part.write_text(text, encoding="utf-8")
            part.replace(self._out / name)

    def _measure(self, measurement: Measurement) -> Row:
        row, start = Row(measurement.section, measurement.name, OK), time.monotonic()
        try:
            row.figures = dict(measurement.run())
        except SkippedError as reason:
            row.status, row.reason = SKIPPED, str(reason)
        except Exception as error:  # whatever it is, the other measurements go on
            row.status, row.reason = FAILED, f"{type(error).__name__}: {error}".splitlines()[0][:300]
            traceback.clear_frames(error.__traceback__)  # the tensors of the failed measurement
            row.figures = {"traceback": traceback.format_exc(limit=-3)}
        row.seconds = round(time.monotonic() - start, 2)
        _free_memory()
        return row

    def _add(self, row: Row) -> None:
        with self._lock:
            self.rows.append(row)
            self.write()
        print(row_line(asdict(row)), flush=True)

    def _left(self) -> float:
        return self._deadline - _RESERVE_SECONDS - time.monotonic()

    def _give_up(self, measurements: list[Measurement]) -> None:
        """End the program at the deadline, in the middle of the first of these measurements."""
        with self._lock:
            first, *others = measurements
            self.rows.append(Row(first.section, first.name, FAILED, reason="did not end before the deadline"))
            self.rows += [Row(other.section, other.name, NOT_RUN, reason="no time is left") for other in others]
            self.write()
            print(f"{first.section}: {first.name}: did not end before the deadline", flush=True)
            self._clean_up()
            os._exit(1)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
