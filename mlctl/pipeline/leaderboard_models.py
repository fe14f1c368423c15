"""The models of some evaluations: which are the same model, and what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlctl.core.hashing import canonical_json
from mlctl.pipeline.leaderboard_results import JudgedResult, Role
from mlctl.reporting.formatting import describe_vectors
from mlctl.reporting.leaderboard_data import BoardModel
from storage.run_log import Run, short_ids

_ID_LENGTH = 10
_SHORT = 8  # digits of a digest that stands for a name
#: Sections of a recipe that decide about the model.
_MODEL_SECTIONS = ("languages", "licences", "download", "clean", "translate", "align", "shard", "model", "train")


@dataclass
class _Found:
    """Where a model was found, the oldest result first."""

    entry: Mapping[str, Any]
    places: list[tuple[Role, JudgedResult]] = field(default_factory=list)


def model_id(entry: Mapping[str, Any]) -> str:
    """Return the id of an entry of `models` in `protocol.json`: equal for equal weights, tokenizer, precision and sentence vectors."""
    identity = {name: entry.get(name) for name in ("weights", "tokenizer", "precision", "prefix", "max_length", "sentences")}
    identity["pooling"] = entry.get("pooling", entry.get("sentences"))
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:_ID_LENGTH]


def board_models(results: Iterable[JudgedResult]) -> list[BoardModel]:
    """Return the models of some evaluations, each once, the newest first."""
    found: dict[str, _Found] = {}
    for result in sorted(results, key=lambda result: (result.manifest.created, result.name)):
        for role in result.roles:
            entry = result.protocol["models"][role]
            found.setdefault(model_id(entry), _Found(entry)).places.append((role, result))
    shown = short_ids(list({run.id: run for one in found.values() for _, result in one.places for run in result.runs}.values()))
    models = [_model(name, one, shown) for name, one in found.items()]
    return sorted(models, key=lambda model: (model.created, model.id), reverse=True)


def _model(name: str, found: _Found, shown: Mapping[str, str]) -> BoardModel:
    # A champion is the base of its challengers: it is called by the recipe that trained it.
    kind: Role = "trained" if any(role == "trained" for role, _ in found.places) else "base"
    places = [result for role, result in found.places if role == kind]
    runs = list({run.id: run for result in places for run in result.runs}.values())
    first = runs[0] if runs else None
    return BoardModel(
        id=name,
        name=_name(kind, places, first, found.entry["weights"]),
        kind=kind,
        weights=found.entry["weights"],
        vectors=_vectors(found.entry),
        created=max(result.manifest.created for _, result in found.places),
        runs=[shown[run.id] for run in runs] if kind == "trained" else [],
        changes=first.overrides if first and kind == "trained" else [],
        family=_family(first.recipe) if first and kind == "trained" else "",
        stores=list(dict.fromkeys(store for _, result in found.places for store in result.stores)),
        results=list(dict.fromkeys(result.name for _, result in found.places)),
    )


def _name(kind: Role, places: Sequence[JudgedResult], run: Run | None, weights: str) -> str:
    recipe = str(run.recipe.get("name", "")) if run else next((place.recipe_name for place in places if place.recipe_name), "")
    if kind == "trained":
        return recipe or f"model {weights[:_SHORT]}"
    if any(place.manifest.stage == "challenge" for place in places):
        return f"earlier champion {weights[:_SHORT]}"
    if run and (encoder := str(run.recipe.get("model", {}).get("name", ""))):
        return Path(encoder).name if encoder.startswith(("/", "~", ".")) else encoder
    untrained = places[0].protocol.get("base", {}).get("origin") == "scratch"
    return f"{recipe or 'model'}, untrained" if untrained else f"base model {weights[:_SHORT]}"


def _vectors(entry: Mapping[str, Any]) -> str:
    known = {"sentences": "", "prefix": "", "max_length": None, **entry}
    text = describe_vectors(known) if known["sentences"] else ""
    pooling = entry.get("pooling", known["sentences"])
    searched = f"; in the published benchmarks {pooling}" if pooling != known["sentences"] else ""
    return f"{text}{searched}" + (", bf16" if entry.get("precision") == "bf16" else "")


def _family(recipe: Mapping[str, Any]) -> str:
    sections = {name: recipe.get(name) for name in _MODEL_SECTIONS}
    train = {name: value for name, value in dict(sections["train"] or {}).items() if name != "seed"}
    text = canonical_json({**sections, "train": train})
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]
