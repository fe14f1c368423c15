"""Whom the text is owed to, and what of the evaluation sets was found in it: rows and words for the page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.reporting.formatting import number
from mlctl.reporting.tables import Row, corpus_rows

_NOT_CLEAR = ("unknown", "LicenseRef-")


def attribution_rows(folders: Mapping[str, Path]) -> list[Row]:
    """Return `tables.corpus_rows` with `training_rows` (how many rows of the corpus are trained on) and `clear`.

    `clear` is false where somebody has to look: the licence is unknown, or SPDX has no id for what the publisher states.
    """
    if "download" not in folders:
        return []
    trained = _training_rows(folders.get("shard"))
    return [
        {
            **row,
            "stated_licence": row.get("stated_licence", row["licence"]),
            "training_rows": trained[row["corpus"]],
            "clear": not any(word in row["licence"] for word in _NOT_CLEAR),
        }
        for row in corpus_rows(folders["download"])
    ]


def attribution_text(rows: Iterable[Row], engines: Iterable[Row] = ()) -> str:
    """Return the notice that goes with a model, as Markdown: every corpus that it was trained on, the largest first.

    `engines` (`translation.engine_rows`) adds what translated a part of that text.
    """
    used = sorted((row for row in rows if row["training_rows"]), key=lambda row: (-row["training_rows"], row["corpus"]))
    if not used:
        return ""
    lines = ["## Attribution", "", "This model was trained on text from:", ""]
    lines += [f"- {_notice(row)}" for row in used]
    if translated := [_engine_notice(row) for row in engines if row["training_rows"]]:
        lines += ["", "A part of it was translated by machine:", "", *translated]
    return "\n".join(lines) + "\n"


def gate_words(allow: Sequence[str]) -> str:
    """Say what the recipe lets in."""
    if not allow:
        return "The recipe names no licences (licences.allow), so text of any licence was let in."
    return f"The recipe lets in text under {', '.join(allow)} and nothing else."


def decontamination(shard: Path | None) -> dict[str, Any]:
    """Return what the shard stage wrote of its evaluation sets: `checked` and `sets`; nothing where it wrote none."""
    path = shard / "decontamination.json" if shard else None
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path and path.exists() else {"checked": False, "sets": []}


def decontamination_rows(found: Mapping[str, Any]) -> list[Row]:
    """Return for each set `name, files, sentences`, and over all languages its pairs by `text` and `passage`, and `dropped`."""
    return [
        {
            "name": one["name"],
            "files": ", ".join(one["files"]),
            "sentences": one["sentences"],
            **{what: sum(counts[what] for counts in one["pairs"].values()) for what in ("text", "passage", "dropped")},
        }
        for one in found["sets"]
    ]


def decontamination_words(found: Mapping[str, Any]) -> str:
    """Say whether the training text was compared with evaluation sets, and what that took out."""
    if not found["checked"]:
        return (
            "Not checked: the recipe names no benchmark (evaluate.benchmarks) and no evaluation set (shard.decontaminate). Only the "
            "held-out pairs are known to be absent from the training text; a score on any benchmark may come from text that was "
            "trained on."
        )
    dropped = sum(row["dropped"] for row in decontamination_rows(found))
    return f"{number(dropped)} pairs were dropped because a benchmark or evaluation set has the same text, or eight words in a row of it."


def _notice(row: Row) -> str:
    version = f" {row['version']}" if row["version"] else ""
    stated = "" if row["stated_licence"] == row["licence"] else f", stated as “{row['stated_licence']}”"
    return f"{row['corpus']}{version} ({row['licence']}{stated}): {row['address']}; {number(row['training_rows'])} sentence pairs"


def _engine_notice(row: Row) -> str:
    licence = f" ({row['licence']})" if row["licence"] else ""
    return f"- {row['direction']} by {row['engine']}{licence}: {number(row['training_rows'])} sentence pairs"


def _training_rows(shard: Path | None) -> Counter[str]:
    counts = Counter[str]()
    for file in sorted((shard / "train").glob("*.parquet")) if shard else ():
        for found in pc.value_counts(pq.read_table(file, columns=["corpus"])["corpus"]).to_pylist():
            counts[found["values"]] += found["counts"]
    return counts
