"""Formats pydantic errors as user messages: each setting by its dotted path, what is allowed and what was given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mlctl.config.base import Section
from mlctl.core.url_redaction import redact_values

#: Names of settings before 0.2.0, and their new names.
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
    """Return a line for each invalid setting; for an unknown one, with the most similar setting of `model`."""
    return [_explain(problem, model) for problem in error.errors()]


def _explain(problem: Any, model: type[Section]) -> str:
    path = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: no such setting{_renamed_hint(path) or _similar_hint(problem['loc'], model)}"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    given = repr(redact_values(value))  # a URL may contain a password or a token
    return f"{path}: {message}" + ("" if isinstance(value, (dict, Section)) else f" (given: {given})")


def _renamed_hint(path: str) -> str:
    """Return the hint for a setting that was renamed in 0.2.0; empty for any other path."""
    new = RENAMED.get(path)
    return f"; renamed to {new!r} in 0.2.0" if new else ""


def _similar_hint(location: Sequence[str | int], model: Any) -> str:
    for step in location[:-1]:
        field = getattr(model, "model_fields", {}).get(step)
        model = field.annotation if field else None
    names = list(getattr(model, "model_fields", ()))
    similar = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.4)
    return f"; did you mean {similar[0]!r}?" if similar else (f"; available: {', '.join(names)}" if names else "")
