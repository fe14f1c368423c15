"""download: corpora become sentence pairs with provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlctl.config import Recipe, key_settings
from mlctl.execution.registry import open_backend
from mlctl.pipeline import download_champion
from mlctl.pipeline.stage import Metrics, Stage, StageContext
from mlctl.pipeline.warm_start import WarmStart, cache_guard
from storage import Store

if TYPE_CHECKING:
    from mlctl.corpora import CorpusCache

#: Folder of the store with parsed corpora, shared by all runs: a run fetches and reads only what is new.
CACHE_FOLDER = "download-parts"

_VERSION = 5


def corpus_cache(recipe: Recipe) -> CorpusCache:
    """Return the cache of parsed corpora of the recipe's store."""
    from mlctl import corpora

    return corpora.CorpusCache(Store(recipe.store).root / CACHE_FOLDER, _VERSION, cache_guard(recipe, CACHE_FOLDER))


def _settings(recipe: Recipe) -> dict[str, Any]:
    # The list of licences stops runs and changes no byte; in the key, a shorter list checks again before a result is used.
    sections = {"download": recipe.download, "languages": recipe.languages, "licences": recipe.licences}
    return {name: key_settings(section) for name, section in sections.items()}


def _outside(recipe: Recipe) -> dict[str, str]:
    from mlctl import corpora

    return corpora.local_files(recipe.download, recipe.languages)


def _work(context: StageContext) -> Metrics:
    from mlctl import corpora

    recipe = context.recipe
    with open_backend(recipe, context.workspace) as backend:
        return corpora.download(
            recipe.download,
            recipe.languages,
            context.workspace,
            context.progress,
            recipe.licences,
            corpus_cache(recipe),
            context.reused.get(download_champion.ENCODER),
            backend,
        )


STAGE = Stage(
    name="download",
    version=_VERSION,
    needs=(),
    settings=_settings,
    work=_work,
    outside=_outside,
    warm_start=WarmStart("download-champions", download_champion.requested, download_champion.choose),
    volatile=("retrieved.json",),
    packages=("icu4py", "license-expression", "polib", "pyarrow", "torch", "transformers"),
)
