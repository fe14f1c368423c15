"""Checks before any work that the licence of the translation model is allowed."""

from __future__ import annotations

from mlctl.config import Recipe


def check_translation_licence(recipe: Recipe) -> None:
    """Accept a recipe whose translation backend has a licence of `licences.allow`; an empty list allows all.

    Raises:
        InputError: the backend has another licence; the message names the model.
    """
    if recipe.translate.backend == "none" or not recipe.licences.allow:
        return
    from mlctl import translation
    from mlctl.corpora.licences import LicencePolicy, spdx

    policy = LicencePolicy.of(recipe.licences)
    translation.check_licence(recipe.translate, recipe.languages, lambda stated: policy.allows(spdx(stated)))
