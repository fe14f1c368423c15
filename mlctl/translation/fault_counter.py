"""Counts faulty outputs of a backend, and stops the translation where they are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mlctl.errors import InputError
from mlctl.execution.program_text import quote
from mlctl.translation import output_checks
from mlctl.translation.backend import Translation

_MIN_FAULTY = 10  # outputs; fewer are no sign of a faulty backend


class FaultCounter:
    """Counts outputs by the rule that rejects them."""

    def __init__(self, max_faulty: float, direction: str) -> None:
        """Take the largest share of faulty outputs and the direction, for the message."""
        self._max_faulty = max_faulty
        self._direction = direction
        self._outputs = 0
        self._rules = Counter[str]()
        self._example = ""

    def add(self, texts: Sequence[str], outputs: Iterable[Translation]) -> None:
        """Count outputs. Texts that the backend itself rejected do not count."""
        for text, output in zip(texts, outputs, strict=True):
            is_faulty = output.rule in output_checks.RULES
            self._outputs += is_faulty or not output.rule
            if is_faulty:
                self._rules[output.rule] += 1
                self._example = self._example or describe_fault(text, output.text, output.rule)

    def add_counts(self, translated: int, rules: Mapping[str, int], example: str = "") -> None:
        """Count the outputs of finished parts: translated texts, rejected ones by rule; `example` is one of `describe_fault`."""
        faulty = {rule: count for rule, count in rules.items() if rule in output_checks.RULES}
        self._outputs += translated + sum(faulty.values())
        self._rules.update(faulty)
        self._example = self._example or example

    def check(self) -> None:
        """Check the share of faulty outputs.

        Raises:
            InputError: it is too large.
        """
        faulty = self._rules.total()
        if faulty < _MIN_FAULTY or faulty <= self._max_faulty * self._outputs:
            return
        rules = ", ".join(f"{rule} {count:,}" for rule, count in self._rules.most_common())
        example = f"; {self._example}" if self._example else ""
        raise InputError(
            f"translate: {faulty:,} of {self._outputs:,} outputs {self._direction} are faulty ({rules}){example}",
            "check the model or program and its languages; if the outputs are right, increase translate.max_faulty "
            f"({self._max_faulty:g}). Finished parts are kept",
        )


def describe_fault(text: str, output: str, rule: str) -> str:
    """Return a faulty output as an example for a message."""
    return f"{quote(text)} became {quote(output)} ({rule})"
