"""trackio: a local database, or the Space or server that its own environment (TRACKIO_SPACE_ID, TRACKIO_SERVER_URL) names."""

from __future__ import annotations

from mlctl.training.trackers.interface import Figures, Run


class Trackio:
    """A run of a trackio project."""

    def started(self, run: Run) -> int:
        """Begin or go on; return the last step on record."""
        import trackio

        self._run = trackio.init(
            run.project,
            name=run.name,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return getattr(self._run, "_initial_last_step", None) or 0  # the library knows it, and shows it nowhere else

    def step(self, step: int, figures: Figures) -> None:
        """Log a step."""
        self._run.log(dict(figures), step=step)

    def finished(self, complete: bool) -> None:
        """Write what is left and close the run."""
        del complete
        self._run.finish()
