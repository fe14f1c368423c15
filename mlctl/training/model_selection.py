"""Which weights a training writes, and whether it stops early: judgements so far, the best weights, averages.

The terms are those of Hugging Face's Trainer (`load_best_model_at_end`, `EarlyStoppingCallback`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from mlctl.config import ResolvedTrain
from mlctl.schema import JUDGEMENTS
from mlctl.training.judge import METRICS, Judge, Values, figure, means
from mlctl.training.weight_average import WeightAverage

_JUDGEMENTS, _BEST = "judgements", "best"


class ModelSelection:
    """Judges the weights that would be written if training ended, every `judge_every` steps, and keeps the best.

    Args:
        model: that is trained.
        settings: of the training.
        judge: judges the model; None: nothing is judged.

    Attributes:
        judgements: accuracies by step, in order; step 0 is the model before training.
    """

    def __init__(self, model: Any, settings: ResolvedTrain, judge: Judge | None) -> None:
        self._model, self._settings, self._judge = model, settings, judge if settings.judge_every else None
        self.judgements: dict[int, Values] = {}
        self._best: dict[str, Tensor] = {}
        averages = settings.average_steps > 1
        self._average = WeightAverage(self._weights, settings.average_steps, self._ends()) if averages else None

    def count_step(self, step: int) -> None:
        """Take the weights after a step, counted from 1, into the average."""
        if self._average:
            self._average.update(step)

    def is_due(self, step: int) -> bool:
        """Return whether the weights after a step are to be judged, and have not been."""
        every, steps = self._settings.judge_every, self._settings.steps
        return self._judge is not None and step not in self.judgements and (step % every == 0 or step == steps)

    def judge(self, step: int, is_stopped: Callable[[], bool]) -> bool:
        """Judge the weights after a step, and keep them if they are the best; false: it was stopped."""
        with self._written_weights(step):
            values = self._judge.judge(self._model, is_stopped) if self._judge else None
            if values is None:
                return False
            self.judgements[step] = values
            if self._settings.load_best_model_at_end and self.best_step == step:
                self._best = {name: weight.detach().to("cpu", copy=True) for name, weight in self._weights.items()}
        return True

    @property
    def stops_early(self) -> bool:
        """Whether so many judgements in a row were no new best that training stops."""
        patience = self._settings.early_stopping_patience
        return patience is not None and bool(self.judgements) and self._judgements_since_best() >= patience

    @property
    def best_step(self) -> int:
        """The step of the judgement with the best figure, of equal ones the earliest."""
        return max(self.judgements, key=lambda step: (figure(self.judgements[step]), -step))

    def written_step(self, step: int) -> int:
        """Return the step whose weights are written when training has ended after a step."""
        return self.best_step if self._settings.load_best_model_at_end else step

    def load_written_weights(self, step: int) -> None:
        """Put the weights that are written into the model, when training has ended after a step."""
        if self._settings.load_best_model_at_end:
            _copy(self._best, self._weights)
        elif self._average:
            _copy(self._average.at(step), self._weights)

    def figures(self, step: int) -> dict[str, float]:
        """Return the means of a judgement by name, for trackers; empty: the step was not judged."""
        if step not in self.judgements:
            return {}
        sentence, word = means(self.judgements[step])
        named = {"dev/sentence_retrieval": sentence, "dev/word_retrieval": word, "dev/mean": figure(self.judgements[step])}
        return {name: value for name, value in named.items() if not np.isnan(value)}

    def progress_figures(self) -> dict[str, str]:
        """Return what progress shows: the figure before training and of the last judgement; empty: nothing was judged."""
        if not self.judgements:
            return {}
        figures = [f"{100 * figure(values):.1f}%" for values in self.judgements.values()]
        return {"dev": " → ".join(dict.fromkeys((figures[0], figures[-1])))}

    def describe(self, step: int) -> str:
        """Return a judgement as a message."""
        now, before = (means(self.judgements[at]) for at in (step, min(self.judgements)))
        shown = [
            f"{name.replace('-', ' ')} {100 * value:.1f}%" + (f" ({100 * (value - first):+.1f})" if step else "")
            for name, value, first in zip(METRICS, now, before, strict=True)
            if not np.isnan(value)
        ]
        best = "the best so far" if self.best_step == step else f"best: step {self.best_step}"
        return f"dev pairs, step {step} of {self._settings.steps}: {', '.join(shown)}" + (
            f"; {best}" if step else "; before training"
        )

    def table(self) -> pa.Table:
        """Return the judgements in schema JUDGEMENTS."""
        languages = self._judge.languages if self._judge else []
        rows = [
            {"step": step, "metric": metric, "language": language, "value": float(value), "items": int(items)}
            for step, values in self.judgements.items()
            for metric, of_metric, items_of_metric in zip(METRICS, values, self._judge.items if self._judge else (), strict=True)
            for language, value, items in zip(languages, of_metric, items_of_metric, strict=True)
            if not np.isnan(value)
        ]
        return pa.Table.from_pylist(rows, JUDGEMENTS)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors by name."""
        rows = [[step, *values.ravel()] for step, values in self.judgements.items()]
        judgements = {_JUDGEMENTS: torch.tensor(rows, dtype=torch.float64)} if rows else {}
        best = {f"{_BEST}.{name}": weight for name, weight in self._best.items()}
        return {**judgements, **best, **(self._average.tensors() if self._average else {})}

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `tensors` returned after `step` steps."""
        rows = tensors[_JUDGEMENTS].numpy() if _JUDGEMENTS in tensors else ()
        self.judgements = {int(row[0]): row[1:].reshape(len(METRICS), -1).copy() for row in rows}
        self._best = {name: tensors[f"{_BEST}.{name}"] for name in self._weights if f"{_BEST}.{name}" in tensors}
        if self._average:
            self._average.restore(step, tensors)

    @property
    def _weights(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}

    def _ends(self) -> list[int]:
        """Return the steps whose weights may be written."""
        every, steps = self._settings.judge_every, self._settings.steps
        return sorted({steps, *(range(every, steps, every) if self._judge else ())})

    def _judgements_since_best(self) -> int:
        return sum(step > self.best_step for step in self.judgements)

    @contextlib.contextmanager
    def _written_weights(self, step: int) -> Iterator[None]:
        """Have the model hold the mean weights inside the block, if weights are averaged."""
        if not self._average or not step:
            yield
            return
        weights = self._weights
        own = {name: weight.detach().clone() for name, weight in weights.items()}
        _copy(self._average.at(step), weights)
        try:
            yield
        finally:
            _copy(own, weights)


def _copy(values: Mapping[str, Tensor], weights: Mapping[str, nn.Parameter]) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(values[name])
