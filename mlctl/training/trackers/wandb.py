"""Weights & Biases: online, or offline where its own environment (WANDB_MODE=offline) says so.

Offline, what its process had not written when a training was killed is lost: the curve has a gap of some steps there.
"""

from __future__ import annotations

from mlctl.training.trackers.interface import Figures, Run


class WandB:
    """A run of a W&B project. Offline its library does not know what was logged before a crash, so a note is kept here."""

    def started(self, run: Run) -> int:
        """Begin or go on; return the last step that the server, or offline the note, tells of.

        Raises:
            RuntimeError: there is nobody to send to, and asking for a key would hold up training.
        """
        import wandb

        mode = wandb.setup().settings.mode
        if mode == "online" and not wandb.login(prompt=False):
            raise RuntimeError("nobody is logged in: run `wandb login`, or set WANDB_MODE=offline")
        quiet = wandb.Settings(console="off", silent=True)
        name = run.name
        self._run = wandb.init(project=run.project, id=name, name=name, config=dict(run.config), resume="allow", settings=quiet)
        self._note = run.notes / "wandb.step"
        noted = int(self._note.read_text() or 0) if mode == "offline" and self._note.exists() else 0
        return max(int(self._run.starting_step) - 1, noted)

    def step(self, step: int, figures: Figures) -> None:
        """Log a step."""
        self._run.log(dict(figures), step=step)
        self._note.write_text(str(step))

    def finished(self, complete: bool) -> None:
        """Send what is left and close the run."""
        self._run.finish(exit_code=0 if complete else 1)
