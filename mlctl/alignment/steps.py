"""A step of the stage, as a worker gets it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlctl.alignment import align_step, merge_step, registry, tokenize_step, train_step
from mlctl.alignment.language_job import PHASES_OF_PARTS, LanguageJob, Phase, RowRange

# How long aligning may take before the process counts as hung. It takes less than a twentieth of it; the start of a process, the
# loading of an encoder and the first compilation of the kernels are in START_SECONDS.
START_SECONDS, SECONDS_PER_PAIR, SECONDS_PER_PAIR_WITH_ENCODER = 120.0, 0.02, 0.5

_REMEDIES: dict[Phase, str] = {
    "tokenize": "if memory ran out, lower align.workers; a second run resumes after the finished steps",
    "train": "if memory ran out, lower align.train_pairs or align.workers; otherwise choose another align.engine",
    "align": "if memory ran out, lower align.workers or align.part_rows; otherwise choose another align.engine",
    "merge": "if memory ran out, lower align.train_pairs; a second run resumes after the finished steps",
}


class AlignStep(BaseModel):
    """A step of a language's job. `part` is set for the phases of parts, `rows`, a range of it, for the phase `align`."""

    model_config = ConfigDict(frozen=True)

    job: LanguageJob
    phase: Phase
    part: int = 0
    rows: RowRange = (0, 0)

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        step = f"{self.job.settings.engine}, {self.phase}" + (f", part {self.part}" if self.phase in PHASES_OF_PARTS else "")
        return f"word alignment of {self.job.target} ({step})"

    @property
    def reads(self) -> list[Path]:
        """The files and folders that the step reads."""
        return self.job.reads(self.phase, self.part)

    @property
    def remedy(self) -> str:
        """What to do when a signal ends the step's process."""
        return _REMEDIES[self.phase]

    @property
    def timeout(self) -> float | None:
        """Seconds after which the step's process counts as hung; None: no limit."""
        if self.phase != "align":
            return None
        seconds_per_pair = (
            SECONDS_PER_PAIR_WITH_ENCODER if self.job.settings.engine in registry.WITH_ENCODER else SECONDS_PER_PAIR
        )
        return START_SECONDS + seconds_per_pair * (self.rows[1] - self.rows[0])

    def run(self) -> None:
        """Do the work in this process."""
        if self.phase == "tokenize":
            tokenize_step.tokenize_part(self.job, self.part)
        elif self.phase == "train":
            train_step.train(self.job)
        elif self.phase == "align":
            align_step.align_rows(self.job, self.part, self.rows)
        else:
            merge_step.merge_parts(self.job)
