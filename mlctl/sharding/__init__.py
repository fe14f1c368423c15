"""Sharding: aligned pairs become training rows, so that training tokenises nothing and searches for nothing.

A row holds the token ids of both sides and the subword ranges of the couples of content words. Some pairs of each language are
kept out of training, by text, for the benchmark. Shards are random samples of the whole corpus, whatever its size.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Model, Shard
from mlctl.errors import InputError
from mlctl.sharding import build, heldout, runs, tokenizer
from mlctl.sharding.spans import Encoder
from mlctl.workspace import Progress, Workspace, silent

__all__ = ["shard"]

_log = logging.getLogger(__name__)


def shard(
    settings: Shard,
    model: Model,
    languages: Languages,
    seed: int,
    aligned: Path,
    workspace: Workspace,
    progress: Progress = silent,
) -> dict[str, str | int | float | None]:
    """Write `tokenizer/`, `train/<NNNNN>.parquet` and `heldout/<t>.parquet` (SHARD), and `funnel.parquet`.

    Returns:
        rows, shards, couples, couples_per_row, vocabulary, and for every language its rows and held-out rows.

    Raises:
        InputError: no training row is left, or the encoder's tokenizer cannot be used.
    """
    files = {language: aligned / "pairs" / f"{language}.parquet" for language in languages.targets}
    corpus = build.Corpus(files, heldout.plan(settings, files, seed), seed)
    encoder = _encoder(settings, model, corpus, workspace)
    opened = corpus.write_runs(encoder, workspace, progress)
    table = [row for language in files for row in build.funnel(language, opened, len(corpus.plan.heldout[language]))]
    _check_rows(table, opened, settings)
    _write_shards(opened, settings.rows_per_shard, workspace)
    for language in files:
        if not workspace.has(f"heldout/{language}.parquet"):
            with workspace.part(f"heldout/{language}.parquet") as path:
                corpus.write_heldout(language, encoder, path)
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(table, schema=schema.FUNNEL), path, compression="zstd")
    return _metrics(opened, settings, languages.targets, encoder, workspace)


def _encoder(settings: Shard, model: Model, corpus: build.Corpus, workspace: Workspace) -> Encoder:
    if not workspace.has("tokenizer"):
        with workspace.part("tokenizer") as folder:
            tokenizer.write(folder, model, settings.max_length, corpus.training_text)
    return Encoder(tokenizer.load(workspace.path("tokenizer")), settings.max_length)


def _check_rows(table: list[dict[str, str | int]], opened: Sequence[runs.Run], settings: Shard) -> None:
    if any(run.table.num_rows for run in opened):
        return
    lines = [f"{row['language']}, {row['rule']}: {row['rows_in']} → {row['rows_out']}" for row in table]
    raise InputError(
        "shard: no training row is left (" + "; ".join(lines) + ")",
        f"add text, or lower shard.stop_words ({settings.stop_words}) or shard.min_word_letters ({settings.min_word_letters})",
    )


def _write_shards(opened: Sequence[runs.Run], rows_per_shard: int, workspace: Workspace) -> None:
    shards = runs.number_of_shards(opened, rows_per_shard)
    _log.info("%d training rows in %d shards", sum(run.table.num_rows for run in opened), shards)
    for number in range(shards):
        name = f"train/{number:05d}.parquet"
        if not workspace.has(name):
            with workspace.part(name) as path:
                runs.write_shard(path, opened, number, shards)


def _metrics(
    opened: Sequence[runs.Run], settings: Shard, targets: Sequence[str], encoder: Encoder, workspace: Workspace
) -> dict[str, str | int | float | None]:
    rows = {language: sum(run.table.num_rows for run in opened if run.language == language) for language in targets}
    couples = sum(pc.sum(pc.list_value_length(run.table["couples"])).as_py() or 0 for run in opened)
    return {
        "rows": sum(rows.values()),
        "shards": runs.number_of_shards(opened, settings.rows_per_shard),
        "couples": couples,
        "couples_per_row": round(couples / sum(rows.values()), 4),
        "vocabulary": encoder.vocabulary,
        **{f"{language}.rows": number for language, number in rows.items()},
        **{f"{t}.heldout": pq.read_metadata(workspace.path(f"heldout/{t}.parquet")).num_rows for t in targets},
    }
