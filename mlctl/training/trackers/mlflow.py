"""MLflow: where its own environment (MLFLOW_TRACKING_URI) says, or a database in the working folder."""

from __future__ import annotations

import time
from typing import Any

from mlctl.training.trackers.interface import Figures, Run

_MOST_PARAMETERS = 100  # that one request may carry


class MLflow:
    """A run of an MLflow experiment. It is found again by its name, which no other run has."""

    def started(self, run: Run) -> int:
        """Find the run or make it; return the last step that any of its figures has."""
        from mlflow import MlflowClient

        self._client = MlflowClient()
        known = self._client.get_experiment_by_name(run.project)
        experiment = known.experiment_id if known else self._client.create_experiment(run.project)
        found = self._client.search_runs([experiment], filter_string=f"attributes.run_name = '{run.name}'", max_results=1)
        self._id = found[0].info.run_id if found else self._create(experiment, run)
        self._client.update_run(self._id, status="RUNNING")
        history = self._client.get_metric_history(self._id, "train/loss")
        return max((metric.step for metric in history), default=0)

    def step(self, step: int, figures: Figures) -> None:
        """Send a step's figures in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(name, figure, now, step) for name, figure in figures.items()])

    def finished(self, complete: bool) -> None:
        """Mark the run as finished or failed."""
        self._client.set_terminated(self._id, "FINISHED" if complete else "FAILED")

    def _create(self, experiment: str, run: Run) -> Any:
        from mlflow.entities import Param

        identity = self._client.create_run(experiment, run_name=run.name).info.run_id
        parameters = [Param(name, str(value)) for name, value in run.config.items()]
        for first in range(0, len(parameters), _MOST_PARAMETERS):
            self._client.log_batch(identity, params=parameters[first : first + _MOST_PARAMETERS])
        return identity
