"""Header and usage of a model card: the fields that the Hugging Face hub reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlctl.config import Model, Recipe
from mlctl.config.sources import HuggingfaceSource
from mlctl.modeling.model_files import read_json
from mlctl.modeling.sentence_config import MODEL_CONFIG

#: The hub's name of a licence that is not stated.
UNKNOWN = "unknown"

_OTHER, _LICENCE_NAME = "other", "see-card"  # a licence that the hub has no name for needs one


def hub_languages(tags: Iterable[str]) -> list[str]:
    """Return the codes of languages as the hub takes them, each once: without script and region."""
    return list(dict.fromkeys(tag.partition("-")[0] for tag in tags))


def hub_datasets(recipe: Recipe) -> list[str]:
    """Return the data sets of the hub that the training text was downloaded from; other corpora have no name there."""
    sources = [source for source in recipe.download.sources if isinstance(source, HuggingfaceSource)]
    return list(dict.fromkeys(source.dataset for source in sources if not Path(source.dataset).expanduser().exists()))


def hub_base_model(model: Model) -> str | None:
    """Return the hub's name of the encoder that training started from; None: it is a folder, or there is none."""
    return model.name if "/" in model.name and not Path(model.name).expanduser().exists() else None


def licence_fields(recipe: Recipe) -> dict[str, Any]:
    """Return `license` and what belongs to it: as the recipe states it, or as the card of the base model does."""
    if recipe.report.licence:
        name = {"license_name": _LICENCE_NAME} if recipe.report.licence == _OTHER else {}
        return {"license": recipe.report.licence, **name}
    base = _base_card(recipe.model)
    stated = {name: str(base[name]) for name in ("license", "license_name", "license_link") if isinstance(base.get(name), str)}
    if stated.get("license") == _OTHER:
        stated.setdefault("license_name", _LICENCE_NAME)
    return stated if "license" in stated else {"license": UNKNOWN}


def prompts_text(folder: Path) -> str:
    """Return, as Markdown, which prompts the model in a folder has and how they are used; empty: it has none."""
    config = read_json(folder / MODEL_CONFIG) if (folder / MODEL_CONFIG).is_file() else {}
    prompts = {str(name): str(text) for name, text in (config.get("prompts") or {}).items() if text}
    if not prompts:
        return ""
    default = config.get("default_prompt_name")
    usual = f"`encode` adds “{prompts[default]}” unless another one is named. " if default in prompts else ""
    rows = [f'| `{name}` | `{text}` | `model.encode(texts, prompt_name="{name}")` |' for name, text in prompts.items()]
    return "\n".join([f"Texts are read behind a prompt. {usual}".strip(), "", "| prompt | text | use |", "|---|---|---|", *rows])


def _base_card(model: Model) -> Mapping[str, Any]:
    """Return the header of the base model's card, from its folder or the hub's cache; empty: there is none that can be read."""
    from huggingface_hub import metadata_load, try_to_load_from_cache

    if not model.name:  # from scratch
        return {}
    folder = Path(model.name).expanduser()
    found: Any = folder / "README.md"
    if not folder.is_dir():
        found = try_to_load_from_cache(model.name, "README.md", revision=model.revision) if hub_base_model(model) else None
    if isinstance(found, (str, Path)) and Path(found).is_file():
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            return metadata_load(found) or {}
    return {}
