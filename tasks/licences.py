"""Before any work: whether what the recipe translates with may be used."""

from __future__ import annotations

from mlctl import translation
from mlctl.config import Recipe
from mlctl.corpora.licences import LicencePolicy, spdx


def check_engines(recipe: Recipe) -> None:
    """Let a recipe pass whose translation engine has a licence of `licences.allow`; where that names none, nothing is asked.

    Raises:
        InputError: it has another one; the message names the model.
    """
    gate = LicencePolicy.of(recipe.licences)
    if gate.allowed:
        translation.check_licence(recipe.translate, recipe.languages, lambda stated: gate.allows(spdx(stated)))
