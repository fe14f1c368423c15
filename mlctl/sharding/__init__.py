"""Sharding: aligned pairs become training rows, so that training tokenises nothing and searches for nothing.

A row holds the token ids of both sides and the subword ranges of the word pairs of content words. Some pairs of each language are
kept out of training, by text, for the benchmark; so is all text of the recipe's benchmarks and evaluation sets. Shards are random
samples of the whole corpus, whatever its size.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Model, Shard
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.sharding import build, evaluation_sets, external_sort, tokenizer
from mlctl.sharding.decontamination import Unseen
from mlctl.sharding.evaluation_sets import check, digests
from mlctl.sharding.subword_spans import Encoder
from mlctl.sharding.unseen_heldout import unseen

__all__ = ["Unseen", "check", "digests", "shard", "unseen"]

_log = logging.getLogger(__name__)


def shard(
    settings: Shard,
    model: Model,
    languages: Languages,
    seed: int,
    aligned: Path,
    workspace: Workspace,
    progress: Progress = silent,
    benchmarks: Sequence[Unseen] = (),
) -> dict[str, str | int | float | None]:
    """Write `tokenizer/`, `train/<NNNNN>.parquet`, `heldout/<t>.parquet` (SHARD), `funnel.parquet`, `decontamination.json`.

    Pairs that have text of `benchmarks` or of the recipe's own evaluation sets are left out.

    Returns:
        rows, shards, word pairs, word_pairs_per_row, vocabulary, decontaminated (None: there was no set to look for), and for every
        language its rows, held-out rows, word pairs per row and the share of its other pairs that had no word pair (None: it has none).

    Raises:
        InputError: no training row is left, or the encoder's tokenizer or an evaluation set cannot be used.
    """
    files = {language: aligned / "pairs" / f"{language}.parquet" for language in languages.targets}
    unseen = [*evaluation_sets.unseen(settings), *benchmarks]
    corpus = build.Corpus.of(settings, files, seed, unseen)
    encoder = _encoder(settings, model, corpus, workspace)
    opened = build.chosen(corpus.write_runs(encoder, workspace, progress), settings)
    table = [row for language in files for row in corpus.funnel(language, opened)]
    _check_rows(table, opened, settings)
    _write_shards(opened, settings.rows_per_shard, workspace)
    for language in files:
        if not workspace.has(f"heldout/{language}.parquet"):
            with workspace.part(f"heldout/{language}.parquet") as path:
                corpus.write_heldout(language, encoder, path)
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(table, schema=schema.FUNNEL), path, compression="zstd")
    decontamination = corpus.decontamination(unseen, opened)
    with workspace.part("decontamination.json") as path:
        path.write_text(json.dumps(decontamination, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return {
        **_metrics(opened, settings, languages.targets, encoder, workspace),
        **{name: value for language in files for name, value in _word_pair_figures(language, opened, table).items()},
        **_decontaminated(decontamination),
    }


def _encoder(settings: Shard, model: Model, corpus: build.Corpus, workspace: Workspace) -> Encoder:
    if not workspace.has("tokenizer"):
        with workspace.part("tokenizer") as folder:
            tokenizer.write(folder, model, settings.max_length, corpus.training_text)
    return Encoder(tokenizer.load(workspace.path("tokenizer")), settings.max_length)


def _check_rows(table: list[dict[str, str | int]], opened: Sequence[external_sort.Run], settings: Shard) -> None:
    if any(run.kept.rows for run in opened):
        return
    lines = [f"{row['language']}, {row['rule']}: {row['rows_in']} → {row['rows_out']}" for row in table]
    raise InputError(
        "shard: no training row is left (" + "; ".join(lines) + ")",
        f"add text, or lower shard.stop_words ({settings.stop_words}), shard.min_word_letters ({settings.min_word_letters}) "
        f"or shard.min_confidence ({settings.min_confidence:g})"
        + ("" if settings.max_synthetic is None else f"; shard.max_synthetic is {settings.max_synthetic:g}"),
    )


def _write_shards(opened: Sequence[external_sort.Run], rows_per_shard: int, workspace: Workspace) -> None:
    shards = external_sort.number_of_shards(opened, rows_per_shard)
    _log.info("%d training rows in %d shards", sum(run.kept.rows for run in opened), shards)
    for number in range(shards):
        name = f"train/{number:05d}.parquet"
        if not workspace.has(name):
            with workspace.part(name) as path:
                external_sort.write_shard(path, opened, number, shards)


def _decontaminated(found: dict[str, Any]) -> dict[str, int | None]:
    """Return the pairs that evaluation sets cost; None: there was no set to look for."""
    dropped = sum(counts["dropped"] for one in found["sets"] for counts in one["pairs"].values())
    return {"decontaminated": dropped if found["checked"] else None}


def _word_pair_figures(
    language: str, opened: Sequence[external_sort.Run], table: Sequence[dict[str, str | int]]
) -> dict[str, float | None]:
    """Return a language's word pairs per training row, and the share of pairs that would be trained on, had they a word pair."""
    kept = [run.kept for run in opened if run.language == language]
    word_pairs, rows = (sum(counts) for counts in ([each.word_pairs for each in kept], [each.rows for each in kept]))
    judged = next(row for row in table if (row["language"], row["rule"]) == (language, build.NO_WORD_PAIR))
    pairs, left = int(judged["rows_in"]), int(judged["rows_out"])
    return {
        f"{language}.word_pairs_per_row": round(word_pairs / rows, 4) if rows else None,
        f"{language}.without_word_pair": round((pairs - left) / pairs, 4) if pairs else None,
    }


def _metrics(
    opened: Sequence[external_sort.Run], settings: Shard, targets: Sequence[str], encoder: Encoder, workspace: Workspace
) -> dict[str, str | int | float | None]:
    rows = {language: sum(run.kept.rows for run in opened if run.language == language) for language in targets}
    word_pairs = sum(run.kept.word_pairs for run in opened)
    return {
        "rows": sum(rows.values()),
        "shards": external_sort.number_of_shards(opened, settings.rows_per_shard),
        "word_pairs": word_pairs,
        "word_pairs_per_row": round(word_pairs / sum(rows.values()), 4),
        "vocabulary": encoder.vocabulary,
        **{f"{language}.rows": number for language, number in rows.items()},
        **{f"{t}.heldout": pq.read_metadata(workspace.path(f"heldout/{t}.parquet")).num_rows for t in targets},
    }
