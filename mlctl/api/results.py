"""`mlctl.results`: what the store has of a recipe, as data frames, charts and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mlctl import schema
from mlctl.api import frames
from mlctl.api.charts import to_altair
from mlctl.api.links import link_table
from mlctl.api.recipes import RecipeLike, load_recipe
from mlctl.config import Recipe
from mlctl.core import arrow
from mlctl.errors import InputError
from mlctl.pipeline.plan import plan
from mlctl.pipeline.stage_records import stage_record
from mlctl.pipeline.store_session import use_store
from mlctl.reporting import tables
from mlctl.reporting.json_files import read_json
from mlctl.stage_names import STAGE_NAMES, StageName, stage_name
from storage import Result

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_PAIR_COLUMNS = ["source", "target", "corpus", "version", "licence", "origin", "synthetic"]


def results(recipe: RecipeLike, *, overrides: Sequence[str] = ()) -> Results:
    """Return the results that the store has of a recipe; nothing is computed.

    Results are found by their keys: those of a run by the command, a deployment or `mlctl.run` alike. Stages that have not run are left
    out.

    Args:
        recipe: see `load_recipe`.
        overrides: settings to change, such as `["train.steps=200"]`.

    Raises:
        InputError: the store has no result of this recipe, or a file that the recipe names is missing.
    """
    loaded = load_recipe(recipe, overrides)
    with use_store(loaded):
        plans = plan(loaded)
    found = {planned.stage: planned.result for planned in plans if planned.result}
    if problem := next((planned.problem for planned in plans if planned.problem and not found), None):
        raise problem
    if not found:
        raise InputError(f"{loaded.store} has no result of the recipe {loaded.name}", "run it: mlctl.run(recipe)")
    return Results(loaded, found)


@dataclass(frozen=True, eq=False, match_args=False)
class Results:
    """The results of a recipe's stages: data frames, charts, and the folders of the model and the report.

    Every property reads the store's files anew and returns a new object. One whose stage has not run raises InputError.

    Attributes:
        recipe: of the run.
    """

    recipe: Recipe
    _results: Mapping[str, Result] = field(repr=False)

    def __repr__(self) -> str:
        """Return the recipe's name, the store and the stages."""
        listed = ", ".join(name for name in STAGE_NAMES if name in self._results)
        return f"<mlctl.Results of {self.recipe.name!r} in {self.recipe.store}: {listed}>"

    def folder(self, stage: StageName) -> Path:
        """Return the folder of a stage's result, whose files must not be changed; docs/store.md lists them.

        Raises:
            InputError: there is no such stage, or the store has no result of it.
        """
        name = stage_name(stage)
        if name not in self._results:
            raise InputError(
                f"the store has no {name} result of the recipe {self.recipe.name}", f'run it: mlctl.run(recipe, until="{name}")'
            )
        return self._results[name].folder

    @property
    def stages(self) -> pd.DataFrame:
        """The results, a row a stage: `stage, key, created` (ISO 8601), `seconds` (of the computation), `bytes` (of all files)."""
        manifests = [self._results[name].manifest for name in STAGE_NAMES if name in self._results]
        rows = [{name: getattr(manifest, name) for name in frames.STAGES.names} for manifest in manifests]
        return frames.rows_to_frame(rows, frames.STAGES)

    @property
    def model(self) -> Path:
        """The trained encoder's folder, for `AutoModel.from_pretrained`, `SentenceTransformer` and `mlctl.encode`."""
        return self.folder("train") / "model"

    @property
    def report(self) -> Path:
        """The report, an HTML page that opens without a network."""
        return self.folder("report") / "report.html"

    @property
    def scores(self) -> pd.DataFrame:
        """Every score of base and trained model, a row a task, language, direction and metric.

        Columns: `task, language, direction` (such as `en→fr`), `metric, items` (number), and the scores `base` (as published),
        `base_same_pooling` (with the trained model's pooling; NaN: the same as `base`) and `trained`: shares in [0, 1], means over seeds.
        """
        return frames.rows_to_frame(tables.score_rows(self.folder("evaluate")), frames.SCORES)

    @property
    def differences(self) -> pd.DataFrame:
        """Main score of both models, a row a task and language, with the 95% interval (`low`, `high`) and `p` of the `difference`.

        Scores and differences are shares in [0, 1]. `significant`: p with Holm's correction (`corrected`) is below 0.05 and the interval
        excludes 0. Columns: `schema.DIFFERENCES`.
        """
        return frames.rows_to_frame(tables.benchmark_rows(self.folder("evaluate")), schema.DIFFERENCES)

    @property
    def averages(self) -> pd.DataFrame:
        """The same as `differences` for the mean over a task's languages without English, a row a task. Columns: `schema.AVERAGES`."""
        return frames.rows_to_frame(tables.mean_rows(self.folder("evaluate")), schema.AVERAGES)

    @property
    def funnel(self) -> pd.DataFrame:
        """Rows before and after each rule, in order: `stage, language, rule, rows_in, rows_out, dropped` (numbers of pairs)."""
        self.folder("clean")
        folders = [self._results[name].folder for name in STAGE_NAMES if name in self._results]
        return frames.rows_to_frame(tables.funnel_rows(folders), frames.FUNNEL)

    @property
    def curves(self) -> pd.DataFrame:
        """Training curves, up to 100 points each: `curve, step, mean, low, high` (mean, minimum and maximum of the steps of a point).

        `curve` is `loss` (weighted sum, in nats), `contrastive`, `mlm`, `speed` (sentence pairs a second), or `sentence-retrieval` and
        `word-retrieval` (accuracy on dev pairs in %, where they were judged).
        """
        from mlctl.reporting.curves import all_curves

        rows = [{"curve": name, **row} for name, curve in all_curves(self.folder("train")).items() for row in curve]
        return frames.rows_to_frame(rows, frames.CURVES)

    @property
    def link_statistics(self) -> pd.DataFrame:
        """Word alignment of each language: `language, pairs, links, links_per_pair`, shares of linked words, mean confidence."""
        from mlctl.reporting.alignment import summary_rows

        return frames.rows_to_frame(summary_rows(self.folder("align")))

    def pairs(self, language: str, rows: int = 1000) -> pd.DataFrame:
        """Return the first aligned pairs of a target language, a row a pair: its text, corpus, licence and origin.

        The index is the `pair` of `links`.

        Raises:
            InputError: the recipe has no such target language, or align has not run.
        """
        return frames.to_frame(self._aligned(language, rows, _PAIR_COLUMNS))

    def links(self, language: str, rows: int = 1000) -> pd.DataFrame:
        """Return the links between the words of the first `rows` aligned pairs of a target language, a row a link.

        Columns: `pair` (number of the pair, from 0), `source_index` and `target_index` (numbers of the words), `source_word`,
        `target_word`, `confidence` (in [0, 1]). `mlctl.align` returns the same columns for any sentences.

        Raises:
            InputError: the recipe has no such target language, or align has not run.
        """
        frames.require_pandas()
        return frames.to_frame(link_table(enumerate(self._aligned(language, rows, schema.ALIGNED.names).to_pylist())))

    def _aligned(self, language: str, rows: int, columns: Sequence[str]) -> pa.Table:
        if language not in self.recipe.languages.targets:
            targets = ", ".join(self.recipe.languages.targets)
            raise InputError(f"{language!r} is no target language of the recipe {self.recipe.name}", f"name one of {targets}")
        file = self.folder("align") / "pairs" / f"{language}.parquet"
        selected = pa.schema([schema.ALIGNED.field(name) for name in columns])
        return pa.Table.from_batches(arrow.row_range([file], 0, rows, columns), selected)

    @property
    def charts(self) -> dict[str, alt.TopLevelMixin]:
        """The figures of the report as altair charts, by name, in its order.

        Names: `heat` (differences by task and language), `benchmark-<task>`, `curve-<curve>`, `gradients-<task>`, `score-<quality score>`,
        `map-base` and `map-trained` (token states in the plane); what a run does not have is left out.
        """
        from mlctl.reporting.page import chart_specs

        figures = read_json(self.folder("report"), "figures.json", {})
        records = [stage_record(self._results[name]) for name in STAGE_NAMES[:-1]]
        folders: dict[str, Path] = {name: self._results[name].folder for name in STAGE_NAMES[:-1]}
        return to_altair(chart_specs(figures, self.recipe, records, folders))
