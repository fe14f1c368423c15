"""Completes the runs of variants of a recipe: those that the store has are taken from it, the others run as child processes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.run_processes import run_in_processes
from mlctl.errors import InputError
from mlctl.pipeline import run_log, variant_runs
from mlctl.pipeline.stage import Ref, lineage
from mlctl.pipeline.variant_runs import VariantRun

logger = logging.getLogger("mlctl.stages")


@dataclass
class CompletedRuns:
    """What became of the runs so far.

    Attributes:
        refs: last results by name of the run.
        errors: messages by name of the run.
        cached: number of runs that the store had.
    """

    refs: dict[str, Ref] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    cached: int = 0
    _recorded: set[tuple[str, str]] = field(default_factory=set)

    def complete(self, runs: Sequence[VariantRun], parallel: int, overrides: Sequence[str], what: str) -> None:
        """Run what is not in the store, `parallel` runs at a time; a run that fails loses no other.

        Args:
            runs: in the order in which they start.
            parallel: number of runs at the same time.
            overrides: of the command line, for the run log.
            what: what they are the runs of, for messages.
        """
        for run in runs:
            if ref := variant_runs.finished(run):
                self._add(run, ref)
                self.cached += 1
        missing = [run for run in runs if run.name not in self.refs]
        done = len(runs) - len(missing)
        for outcome in run_in_processes(missing, parallel, overrides):
            ref = None if outcome.error else variant_runs.finished(outcome.run)
            if ref:
                self._add(outcome.run, ref)
                done += 1
                logger.info("%s: %s: done (%d of %d)", what, outcome.run.name, done, len(runs))
            else:
                self.errors[outcome.run.name] = outcome.error or "its result is not in the store"
                logger.error("%s: %s: failed: %s", what, outcome.run.name, self.errors[outcome.run.name])

    def failure(self, remedy: str) -> InputError | None:
        """Return an error that lists the runs that failed; None: none has."""
        if not self.errors:
            return None
        lines = [f"{name}: {error}".replace("\n", "\n   ") for name, error in self.errors.items()]
        total = len(self.refs) + len(self.errors)
        return InputError("\n".join([f"{len(self.errors)} of {total} runs failed; the others are kept:", *lines]), remedy)

    def _add(self, run: VariantRun, ref: Ref) -> None:
        """Add a finished run. Its results are recorded as the current run's: garbage collection keeps them as long as that."""
        self.refs[run.name] = ref
        for name, result in reversed(lineage(ref).items()):
            if (address := (name, result.manifest.key)) not in self._recorded:
                self._recorded.add(address)
                with run_log.record_stage(*address) as record:
                    record.state = "cached"
