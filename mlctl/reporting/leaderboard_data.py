"""What a leaderboard shows: models, their scores by task and language, and the tests of every pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BoardModel:
    """A model that was evaluated.

    Attributes:
        id: of the model on this page: a digest of its weights, its tokenizer and how it makes sentence vectors.
        name: of its recipe, or of the encoder that was published.
        kind: "trained", or "base" of a model that training started from.
        weights: digest of its weights.
        vectors: how it makes sentence vectors.
        created: when it was evaluated last, ISO 8601.
        runs: ids of the runs that evaluated it, the oldest first.
        changes: settings that its first run changed on the command line.
        family: equal for trainings that differ in the seed alone; "" if that is not known.
        stores: the stores that have its results.
        results: `<stage>/<key>` of them.
    """

    id: str
    name: str
    kind: Literal["trained", "base"]
    weights: str
    vectors: str
    created: str
    runs: Sequence[str]
    changes: Sequence[str]
    family: str
    stores: Sequence[str]
    results: Sequence[str]


@dataclass(frozen=True)
class BoardScore:
    """Scores of one model in one task and language, in [0, 1].

    Attributes:
        seeds: the main score with each seed of fine-tuning; one of a task without.
        items: number of items.
        others: other metrics, means over seeds and directions.
    """

    seeds: Sequence[float]
    items: int
    others: Mapping[str, float]


@dataclass(frozen=True)
class BoardTests:
    """Paired tests of every two of some models, in the order of `itertools.combinations(models, 2)`: the second minus the first.

    `p` is not corrected; NaN: the two have no language in common.
    """

    models: Sequence[str]
    difference: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    p: Sequence[float]


@dataclass(frozen=True)
class BoardColumn:
    """A task on certain items, by certain settings: all its scores are comparable.

    Attributes:
        task: name of the task.
        title: for readers.
        note: what tells it from the other columns of the task; "" if there are none.
        metric: the main metric.
        citation: the publication of the benchmark; "" for held-out pairs.
        protocol: how it is evaluated.
        scores: language → id of a model → scores.
        mean_tests: of the means over the languages without English that both models have.
        language_tests: by language; empty: left out, as there are too many pairs.
    """

    task: str
    title: str
    note: str
    metric: str
    citation: str
    protocol: str
    scores: Mapping[str, Mapping[str, BoardScore]]
    mean_tests: BoardTests
    language_tests: Mapping[str, BoardTests]


@dataclass(frozen=True)
class LeftOut:
    """A result that is not on the board, and why."""

    store: str
    result: str
    reason: str


@dataclass(frozen=True)
class Leaderboard:
    """All models of some stores."""

    stores: Sequence[str]
    models: Sequence[BoardModel]
    columns: Sequence[BoardColumn]
    left_out: Sequence[LeftOut]
    resamples: int
