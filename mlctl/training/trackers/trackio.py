"""trackio: a local database, or the Space or server that its environment (TRACKIO_SPACE_ID, TRACKIO_SERVER_URL) names."""

from __future__ import annotations

from mlctl.training.trackers.tracker import NOTHING_RECORDED, Metrics, Run


class Trackio:
    """A run of a trackio project."""

    def start(self, run: Run) -> int:
        """Start or resume the run; return the last step that is recorded."""
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
        last = getattr(self._run, "_initial_last_step", None)  # the library has no public name for it
        return NOTHING_RECORDED if last is None else last

    def log(self, step: int, metrics: Metrics) -> None:
        """Log a step."""
        self._run.log(dict(metrics), step=step)

    def finish(self, complete: bool) -> None:
        """Write the queue and close the run."""
        del complete
        self._run.finish()
