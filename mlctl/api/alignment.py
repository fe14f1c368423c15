"""`mlctl.align`: links between the words of sentences that are given in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.api import frames
from mlctl.api.encoding import encoder_folder
from mlctl.api.links import link_table
from mlctl.api.recipes import section_recipe
from mlctl.api.results import Results
from mlctl.api.sentences import pair_table
from mlctl.config import Align, Recipe
from mlctl.config.align import WITH_ENCODER
from mlctl.errors import InputError
from mlctl.modeling.torch_import import import_torch

if TYPE_CHECKING:
    import pandas as pd


def align(
    sources: Iterable[str],
    targets: Iterable[str],
    languages: tuple[str, str],
    *,
    settings: Align | Mapping[str, Any] | None = None,
    model: Results | str | Path | None = None,
    encoder: Results | str | Path | None = None,
) -> pd.DataFrame:
    """Link the words of sentences with the words of their translations.

    The statistical aligners (the default, eflomal, and fast_align) learn from the sentences that they are given: they need thousands, or
    the `model` of a run. The aligner `embedding` needs none: `settings={"engine": "embedding"}, encoder="bert-base-multilingual-cased"`.

    Args:
        sources: N sentences.
        targets: their N translations.
        languages: the codes of both languages, source first: `("en", "fr")`.
        settings: of the recipe's section `align` (docs/alignment.md); None: those of `model` if it is a `Results`, else the defaults.
        model: a trained model: the results of a run that aligned these languages, or `models/<target>` of an align result. None: one is
            trained on the sentences.
        encoder: encoder of the aligners embedding and combined: a folder, a hub name or results; None: `settings.encoder`.

    Returns:
        A row a link: `pair` (position in `sources`), `source_index` and `target_index` (positions of the words, from 0), `source_word`,
        `target_word`, and `confidence` (in [0, 1]). Words are those of the stage align: Moses tokens, or dictionary words in scripts
        without spaces. A pair with a side of no words, or of more than `align.max_words`, has no rows.

    Raises:
        InputError: N differs, an item is no text, a setting or a language is invalid, or the model or the encoder cannot be used.

    Example:
        >>> import mlctl
        >>> english, french = ["The house is small."], ["La maison est petite."]
        >>> links = mlctl.align(english, french, ("en", "fr"), model=results)  # doctest: +SKIP
    """
    from mlctl.alignment.in_memory import align_table

    frames.require_pandas()
    run = model if isinstance(model, Results) else None
    recipe = section_recipe("align", run.recipe.align if run and settings is None else settings, languages)
    rows = pair_table(sources, targets, recipe)
    source, target = recipe.languages.source, recipe.languages.targets[0]
    seed = run.recipe.seed if run else recipe.seed
    trained = _trained_model(model, source, target)
    aligned = align_table(recipe.align, source, target, seed, rows, trained, _encoder(recipe, run, encoder))
    return frames.to_frame(link_table((int(row["origin"]), row) for row in aligned.to_pylist()))


def _trained_model(model: Results | str | Path | None, source: str, target: str) -> Path | None:
    """Return the folder of a trained model.

    Raises:
        InputError: the run did not align these languages.
    """
    if not isinstance(model, Results):
        return None if model is None else Path(model).expanduser()
    languages = model.recipe.languages
    if source != languages.source or target not in languages.targets:
        aligned = ", ".join(f"{languages.source}-{tag}" for tag in languages.targets)
        raise InputError(f"the recipe {model.recipe.name} has no model for {source}-{target}", f"it aligned {aligned}")
    return model.folder("align") / "models" / target


def _encoder(recipe: Recipe, run: Results | None, encoder: Results | str | Path | None) -> Path | None:
    """Return the folder of the aligner's encoder; None: it needs none, or none is named."""
    if recipe.align.engine not in WITH_ENCODER:
        return None
    import_torch()
    named = encoder or recipe.align.encoder or (run.recipe.model.name if run else "")
    return encoder_folder(named, "encoder") if named else None
