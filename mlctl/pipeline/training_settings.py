"""What `mlctl plan` says about training: the kind of model, and the settings that follow from it."""

from __future__ import annotations

from mlctl.config import ModelKind, Recipe
from mlctl.config.train_defaults import BY_KIND, resolve_train
from mlctl.errors import InputError
from mlctl.modeling.model_kind import model_kind

_DESCRIPTIONS: dict[ModelKind, str] = {
    "scratch": "a new encoder from random weights (model.name is empty)",
    "masked-lm": "a masked-language model",
    "sentence-encoder": "a sentence encoder, or an encoder without a masked-LM head",
}


def training_lines(recipe: Recipe) -> list[str]:
    """Return lines for people: the kind of model that is trained, and the value of each setting that depends on it."""
    try:
        kind = model_kind(recipe.model)
    except InputError as error:
        return [f"training: settings that are null depend on the model, which cannot be read: {error.problem}"]
    settings, given = resolve_train(recipe.train, kind), recipe.train
    groups = {
        "by kind of model": [name for name in BY_KIND if getattr(given, name) is None],
        "set by the recipe": [name for name in BY_KIND if getattr(given, name) is not None],
    }
    lines = [f"training: {_DESCRIPTIONS[kind]} ({kind})"]
    for title, names in groups.items():
        if names:
            values = ", ".join(f"{name} {_text(getattr(settings, name))}" for name in names)
            lines.append(f"  {title}: {values}")
    return lines


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
