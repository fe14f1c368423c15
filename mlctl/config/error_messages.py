"""Formats pydantic errors as user messages: each setting by its dotted path, what is allowed and what was given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mlctl.config.base import Section
from mlctl.core.url_redaction import redact_values

#: Settings of versions before 0.2.0 and their names since.
RENAMED = {
    "align.min_linked": "align.min_link_coverage",
    "clean.cut_off_spreads": "clean.cut_off_zscore",
    "clean.max_ratio_spreads": "clean.max_ratio_zscore",
    "evaluate.map_meanings": "evaluate.embedding_map_sentences",
    "retrain.renew": "retrain.refresh_sources",
    "scale": "executor",
    "shard.max_couples_of_a_word": "shard.word_frequency_cap",
    "train.chunk_rows": "train.micro_batch_size",
    "train.couples": "train.word_pairs",
    "train.decay": "train.lr_schedule",
    "train.wiring": "train.objective",
}


def format_errors(error: ValidationError, model: type[Section]) -> list[str]:
    """Return a line for each wrong setting; for unknown ones with the nearest setting that `model` has."""
    return [_explain(problem, model) for problem in error.errors()]


def _explain(problem: Any, model: type[Section]) -> str:
    path = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: no such setting{_renamed(path) or _nearest(problem['loc'], model)}"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = repr(redact_values(given))  # an address may hold a password or a token
    return f"{path}: {message}" + ("" if isinstance(given, (dict, Section)) else f" (given: {shown})")


def _renamed(path: str) -> str:
    """Return what a setting of before 0.2.0 is called now; empty for any other path."""
    new = RENAMED.get(path)
    return f"; renamed to {new!r} in 0.2.0" if new else ""


def _nearest(location: Sequence[str | int], model: Any) -> str:
    for step in location[:-1]:
        field = getattr(model, "model_fields", {}).get(step)
        model = field.annotation if field else None
    known = list(getattr(model, "model_fields", ()))
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else (f"; known: {', '.join(known)}" if known else "")
