"""The tokens that the answers of a result have used, counted in a file that survives a crash, and the limit of what they may cost."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from mlctl.config.translate_openai import OpenAI
from mlctl.core.files import atomic_write_text
from mlctl.errors import InputError

_MILLION = 1_000_000


@dataclass(frozen=True)
class Usage:
    """Answered requests, and the tokens of their prompts and answers."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests, self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )

    def cost(self, settings: OpenAI) -> float:
        """Return what the tokens cost at the recipe's prices."""
        return (self.input_tokens * settings.input_price + self.output_tokens * settings.output_price) / _MILLION


class Spending:
    """Counts the usage of a result. Thread-safe.

    Each answer adds a line to the file, so that a killed process loses none. A request reserves the most that it may cost before it is
    sent: with those on their way, the cost never exceeds the limit.
    """

    def __init__(self, settings: OpenAI, file: Path | None) -> None:
        """Read what was counted before; `file` None: nothing is kept."""
        self._settings = settings
        self._usage = read_usage(file)
        self._reserved, self._in_flight = 0.0, 0
        self._changed = threading.Condition()
        self._descriptor: int | None = None
        if file:
            atomic_write_text(file, _line(self._usage))
            self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)

    @property
    def usage(self) -> Usage:
        """What all answers of the result have used until now."""
        with self._changed:
            return self._usage

    def reserve(self, most: Usage) -> float:
        """Reserve the most that a request may cost, and return it; wait for answers that cost less than reserved if that decides.

        Raises:
            InputError: the cost could exceed the limit.
        """
        cost, limit = most.cost(self._settings), self._settings.max_cost
        with self._changed:
            while limit and self._in_flight and self._spent + self._reserved + cost > limit:
                self._changed.wait()
            if limit and self._spent + cost > limit:
                raise self._exceeded(cost)
            self._reserved, self._in_flight = self._reserved + cost, self._in_flight + 1
        return cost

    def settle(self, reserved: float, used: Usage | None) -> None:
        """Release what a request has reserved, and count what its answer used; None: there was no answer."""
        with self._changed:
            self._in_flight -= 1
            self._reserved = self._reserved - reserved if self._in_flight else 0.0
            if used:
                self._usage += used
                if self._descriptor is not None:
                    os.write(self._descriptor, _line(used).encode())
            self._changed.notify_all()

    def close(self) -> None:
        """Close the file."""
        with self._changed:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    @property
    def _spent(self) -> float:
        return self._usage.cost(self._settings)

    def _exceeded(self, cost: float) -> InputError:
        usage = self._usage
        return InputError(
            f"translate.openai.max_cost: {self._spent:.6g} of {self._settings.max_cost:g} is spent ({describe(usage)}), and the next "
            f"request may cost {cost:.2g}",
            "increase translate.openai.max_cost and run again: what was translated is kept and not requested again",
        )


def read_usage(file: Path | None) -> Usage:
    """Return what a file has counted; a line that a crash has cut off does not count."""
    total = Usage()
    if file and file.exists():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            fields = line.split()
            if line.endswith("\n") and len(fields) == 3 and all(map(str.isdecimal, fields)):
                total += Usage(*map(int, fields))
    return total


def describe(usage: Usage) -> str:
    """Return usage in words."""
    return f"{usage.requests:,} requests, {usage.input_tokens:,} input and {usage.output_tokens:,} output tokens"


def _line(usage: Usage) -> str:
    return f"{usage.requests} {usage.input_tokens} {usage.output_tokens}\n"
