"""Reference of the Python API: directives for mkdocstrings, which reads the docstrings from the source without importing it."""

from __future__ import annotations

#: Heading → public names under it. Everything else is internal and may change without notice.
NAMES = {
    "Notebooks": [
        "mlctl.load_recipe",
        "mlctl.run",
        "mlctl.results",
        "mlctl.Results",
        "mlctl.align",
        "mlctl.clean",
        "mlctl.encode",
        "mlctl.compare",
        "mlctl.Comparison",
    ],
    "Recipes": ["mlctl.config.load", "mlctl.config.parse", "mlctl.config.Recipe", "mlctl.errors.InputError"],
    "Store": ["storage.Store", "storage.Result"],
    "Stages": [
        "mlctl.corpora.stage.download",
        "mlctl.cleaning.stage.clean",
        "mlctl.translation.stage.translate",
        "mlctl.alignment.stage.align",
        "mlctl.sharding.stage.shard",
        "mlctl.training.stage.train",
        "mlctl.evaluation.stage.evaluate",
        "mlctl.core.workspace.Workspace",
    ],
    "Training in your own loop": [
        "mlctl.training.torch_dataset.ParallelDataset",
        "mlctl.training.torch_dataset.ParallelIterableDataset",
        "mlctl.training.torch_dataset.ParallelCollator",
        "mlctl.training.losses.cz_nce",
        "mlctl.training.losses.info_nce",
        "mlctl.training.losses.same_content",
        "mlctl.modeling.pooling.mean_pool",
        "mlctl.modeling.pooling.span_pool",
    ],
    "Results": ["mlctl.reporting.tables.benchmark_rows", "mlctl.reporting.tables.mean_rows"],
}


def api_part() -> str:
    """Return a directive for each public name, by topic."""
    return "\n".join(f"## {title}\n\n" + "\n".join(f"::: {name}\n" for name in names) for title, names in NAMES.items())
