"""`mlctl.compare`: runs set side by side, with tests of their differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlctl import schema
from mlctl.api import frames
from mlctl.api.charts import to_altair
from mlctl.api.recipes import default_store
from mlctl.api.results import Results
from mlctl.pipeline import compare_runs
from storage import Store

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


@dataclass(frozen=True, eq=False, match_args=False)
class Comparison:
    """Runs side by side: A is the first, and B, C … are compared with it.

    Attributes:
        runs: a row a run: `run` (its letter), `recipe` (the name), `name` (as it was given), `report` (key of its report).
        settings: the settings that differ, a row a setting, a column a run (text; None: not set); the index is the setting's dotted path.
        averages: a row a run (from B) and task: the mean over languages of A's trained model (`base`) and of the run's (`trained`), their
            `difference` with its 95% interval (`low`, `high`) and `p`; shares in [0, 1]. Columns: `run` and `schema.AVERAGES`.
        differences: the same by language. Columns: `run` and `schema.DIFFERENCES`.
        curves: training curves of all runs: `run` and the columns of `Results.curves`.
        charts: altair charts by name: `heat-<run>`, `against-<task>`, `curve-<curve>`.
    """

    runs: pd.DataFrame
    settings: pd.DataFrame
    averages: pd.DataFrame
    differences: pd.DataFrame
    curves: pd.DataFrame
    charts: Mapping[str, alt.TopLevelMixin] = field(repr=False)
    _store: Store = field(repr=False)
    _names: Sequence[str] = field(repr=False)

    def __repr__(self) -> str:
        """Return the letter and the name of each run."""
        listed = ", ".join(f"{run} {name}" for run, name in zip(self.runs["run"], self.runs["name"], strict=True))
        return f"<mlctl.Comparison of {listed}>"

    def write_page(self, path: str | Path) -> Path:
        """Write the comparison as an HTML page, as `mlctl compare` does, and return its path.

        Raises:
            InputError: the file cannot be written, or a run is not in the store any more.
        """
        page = Path(path).expanduser().absolute()
        compare_runs.compare(self._store, self._names, page)
        return page


def compare(runs: Iterable[Results | str | Path], *, store: str | Path = "") -> Comparison:
    """Compare runs that have a report: settings, scores with paired tests of the difference, curves.

    Args:
        runs: two to eight: results, ids of runs or prefixes of them (`mlctl runs`), or folders of reports. The others are compared with
            the first.
        store: where ids are looked up; empty: that of the environment variable MLCTL_STORE, else `mlctl-store`.

    Raises:
        InputError: too few or too many runs, one is not found or has no report, or two have the same report.

    Example:
        >>> import mlctl
        >>> slow = mlctl.run("mine.yaml")  # doctest: +SKIP
        >>> fast = mlctl.run("mine.yaml", overrides=["train.learning_rate=1e-4"])  # doctest: +SKIP
        >>> mlctl.compare([slow, fast]).averages  # doctest: +SKIP
    """
    from mlctl.reporting import run_comparison_page as page
    from mlctl.reporting.curves import all_curves

    frames.require_pandas()
    names = [str(run.folder("report") if isinstance(run, Results) else run) for run in runs]
    opened = Store(str(store) or default_store())
    with compare_runs.open_comparison(opened, names) as found:
        letters = page.LETTERS[: len(found.runs)]
        listed = [
            {"run": letter, "recipe": run.name, "name": name, "report": key}
            for letter, run, name, key in zip(letters, found.runs, names, found.reports, strict=True)
        ]
        curves = [
            {"run": letter, "curve": name, **row}
            for letter, run in zip(letters, found.runs, strict=True)
            for name, rows in all_curves(run.folders["train"]).items()
            for row in rows
        ]
        tests = list(zip(letters[1:], found.paired, strict=True))
        return Comparison(
            frames.rows_to_frame(listed, frames.RUNS),
            _settings(page.setting_rows([run.settings for run in found.runs]), letters),
            _with_run([(letter, paired.averages) for letter, paired in tests], schema.AVERAGES),
            _with_run([(letter, paired.differences) for letter, paired in tests], schema.DIFFERENCES),
            frames.rows_to_frame(curves, pa.schema([frames.RUN, *frames.CURVES])),
            to_altair(page.chart_specs(found.runs, found.paired)),
            opened,
            names,
        )


def _with_run(tables: Iterable[tuple[str, Sequence[Mapping[str, Any]]]], columns: pa.Schema) -> pd.DataFrame:
    """Return the tables of the runs of some letters as one."""
    rows = [{"run": letter, **row} for letter, table in tables for row in table]
    return frames.rows_to_frame(rows, pa.schema([frames.RUN, *columns]))


def _settings(rows: Iterable[tuple[str, Sequence[Any]]], letters: str) -> pd.DataFrame:
    """Return settings by their path, a column a run; values are shown as text, for lists and numbers share a column."""
    listed = [
        {
            "setting": name,
            **{letter: None if value is None else str(value) for letter, value in zip(letters, values, strict=True)},
        }
        for name, values in rows
    ]
    columns = pa.schema([("setting", pa.string()), *((letter, pa.string()) for letter in letters)])
    return frames.rows_to_frame(listed, columns).set_index("setting")
