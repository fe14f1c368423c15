"""Weights & Biases: online, or offline with WANDB_MODE=offline in the environment.

Offline, what its process had not written when a training was killed is lost: the curve has a gap of some steps there.
"""

from __future__ import annotations

from mlctl.training.trackers.tracker import NOTHING_RECORDED, Metrics, Run


class WandB:
    """A run of a W&B project. Offline the library does not know what was logged before a crash, so the last step is stored here."""

    def start(self, run: Run) -> int:
        """Start or resume the run; return the last step that the server, or offline the step file, has.

        Raises:
            RuntimeError: no user is logged in; a prompt for a key would block training.
        """
        import wandb

        mode = wandb.setup().settings.mode
        if mode == "online" and not wandb.login(prompt=False):
            raise RuntimeError("no user is logged in: run `wandb login`, or set WANDB_MODE=offline")
        quiet = wandb.Settings(console="off", silent=True)
        name = run.name
        self._run = wandb.init(project=run.project, id=name, name=name, config=dict(run.config), resume="allow", settings=quiet)
        self._step_file = run.scratch / "wandb.step"
        is_stored = mode == "offline" and self._step_file.exists()
        stored = int(self._step_file.read_text() or NOTHING_RECORDED) if is_stored else NOTHING_RECORDED
        return max(int(self._run.starting_step) - 1, stored)

    def log(self, step: int, metrics: Metrics) -> None:
        """Log a step."""
        self._run.log(dict(metrics), step=step)
        self._step_file.write_text(str(step))

    def finish(self, complete: bool) -> None:
        """Send the queue and close the run."""
        self._run.finish(exit_code=0 if complete else 1)
