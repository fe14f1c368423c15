"""MLflow: the server that its environment (MLFLOW_TRACKING_URI) names, or a database in the working folder."""

from __future__ import annotations

import time
from typing import Any

from mlctl.training.trackers.tracker import NOTHING_RECORDED, Metrics, Run

_EVERY_STEP = ("train/loss", "dev/mean")  # each recorded step has one of these
_PARAMETERS_PER_REQUEST = 100  # MLflow's limit


class MLflow:
    """A run of an MLflow experiment, identified by its unique name."""

    def start(self, run: Run) -> int:
        """Find or create the run; return the last step that is recorded."""
        from mlflow import MlflowClient

        self._client = MlflowClient()
        experiment = self._client.get_experiment_by_name(run.project)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(run.project)
        filter_string = f"attributes.run_name = '{run.name}'"
        existing = self._client.search_runs([experiment_id], filter_string=filter_string, max_results=1)
        self._id = existing[0].info.run_id if existing else self._create(experiment_id, run)
        self._client.update_run(self._id, status="RUNNING")
        history = [metric for name in _EVERY_STEP for metric in self._client.get_metric_history(self._id, name)]
        return max((metric.step for metric in history), default=NOTHING_RECORDED)

    def log(self, step: int, metrics: Metrics) -> None:
        """Send a step's metrics in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    def finish(self, complete: bool) -> None:
        """Mark the run as finished or failed."""
        self._client.set_terminated(self._id, "FINISHED" if complete else "FAILED")

    def _create(self, experiment_id: str, run: Run) -> Any:
        from mlflow.entities import Param

        run_id = self._client.create_run(experiment_id, run_name=run.name).info.run_id
        parameters = [Param(name, str(value)) for name, value in run.config.items()]
        for first in range(0, len(parameters), _PARAMETERS_PER_REQUEST):
            self._client.log_batch(run_id, params=parameters[first : first + _PARAMETERS_PER_REQUEST])
        return run_id
