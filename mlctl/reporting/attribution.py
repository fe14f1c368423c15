"""Attribution of the training text and its decontamination: rows and texts for the page and the model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.reporting.formatting import format_number
from mlctl.reporting.json_files import read_json
from mlctl.reporting.tables import Row, corpus_rows

_NOT_CLEAR = ("unknown", "LicenseRef-")


def attribution_rows(folders: Mapping[str, Path]) -> list[Row]:
    """Return `tables.corpus_rows` with `training_rows` (number of training rows from the corpus) and `clear`.

    `clear` is false if the licence has to be checked by hand: it is unknown, or SPDX has no id for what the publisher states.
    """
    if "download" not in folders:
        return []
    training_rows = _training_rows(folders.get("shard"))
    return [
        {
            **row,
            "stated_licence": row.get("stated_licence", row["licence"]),
            "training_rows": training_rows[row["corpus"]],
            "clear": not any(text in row["licence"] for text in _NOT_CLEAR),
        }
        for row in corpus_rows(folders["download"])
    ]


def attribution_text(rows: Iterable[Row], backends: Iterable[Row] = ()) -> str:
    """Return the notice to distribute with a model, as Markdown: every corpus that it was trained on, the largest first.

    `backends` (`translation.backend_rows`) are the machine translation backends that translated part of that text.
    """
    used = sorted((row for row in rows if row["training_rows"]), key=lambda row: (-row["training_rows"], row["corpus"]))
    if not used:
        return ""
    lines = ["## Attribution", "", "This model was trained on text from:", ""]
    lines += [f"- {_corpus_notice(row)}" for row in used]
    if translated := [_backend_notice(row) for row in backends if row["training_rows"]]:
        lines += ["", "Part of it was translated by machine:", "", *translated]
    return "\n".join(lines) + "\n"


def licence_policy_text(allow: Sequence[str]) -> str:
    """Describe which licences the recipe allows."""
    if not allow:
        return "The recipe does not restrict licences (licences.allow), so text of any licence was used."
    return f"The recipe allows only text under {', '.join(allow)}."


def decontamination(shard: Path | None) -> dict[str, Any]:
    """Return `decontamination.json` of the shard result: `checked` and `sets`; not checked if there is none."""
    return dict(read_json(shard, "decontamination.json", {"checked": False, "sets": []}))


def decontamination_rows(decontaminated: Mapping[str, Any]) -> list[Row]:
    """Return for each set `name, files, sentences`, and over all languages its pairs by `text` and `passage`, and `dropped`."""
    return [
        {
            "name": evaluation_set["name"],
            "files": ", ".join(evaluation_set["files"]),
            "sentences": evaluation_set["sentences"],
            **{
                column: sum(counts[column] for counts in evaluation_set["pairs"].values())
                for column in ("text", "passage", "dropped")
            },
        }
        for evaluation_set in decontaminated["sets"]
    ]


def decontamination_text(decontaminated: Mapping[str, Any]) -> str:
    """Describe whether the training text was compared with evaluation sets, and how many pairs were dropped."""
    if not decontaminated["checked"]:
        return (
            "Not decontaminated: the recipe names no benchmark (evaluate.benchmarks) and no evaluation set (shard.decontaminate). Only the "
            "held-out pairs are known to be absent from the training text; a score on any other benchmark may be inflated by text that "
            "the model was trained on."
        )
    dropped = sum(row["dropped"] for row in decontamination_rows(decontaminated))
    return (
        f"{format_number(dropped)} pairs were dropped because a benchmark or evaluation set contains the same text, or eight consecutive "
        "words of it."
    )


def _corpus_notice(row: Row) -> str:
    version = f" {row['version']}" if row["version"] else ""
    stated = "" if row["stated_licence"] == row["licence"] else f", stated as “{row['stated_licence']}”"
    pairs = f"{format_number(row['training_rows'])} sentence pairs"
    return f"{row['corpus']}{version} ({row['licence']}{stated}): {row['address']}; {pairs}"


def _backend_notice(row: Row) -> str:
    licence = f" ({row['licence']})" if row["licence"] else ""
    return f"- {row['direction']} by {row['backend']}{licence}: {format_number(row['training_rows'])} sentence pairs"


def _training_rows(shard: Path | None) -> Counter[str]:
    """Count the training rows of each corpus."""
    counts = Counter[str]()
    for file in sorted((shard / "train").glob("*.parquet")) if shard else ():
        for count in pc.value_counts(pq.read_table(file, columns=["corpus"])["corpus"]).to_pylist():
            counts[count["values"]] += count["counts"]
    return counts
