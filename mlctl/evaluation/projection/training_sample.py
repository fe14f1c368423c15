"""A sample of the training pairs of each language with their words and links.

Pairs are taken from the shards, in their (random) order: benchmarks' texts and held-out pairs are not among them. Their words and links
are those of align. English examples of the benchmarks come first, where the training text has them (translated, for instance).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.core.arrow import batches
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace

_TEXTS = ("source", "target")


class SampledTexts(NamedTuple):
    """Texts (source, target) of one language in the order of the sample: those of English examples, and others."""

    examples: dict[tuple[str, str], None]
    others: dict[tuple[str, str], None]


def sample_file(language: str) -> str:
    """Return the name of a language's sample (schema ALIGNED) in a workspace."""
    return f"aligned-sample/{language}.parquet"


def write_samples(
    sharded: Path, aligned: Path, languages: Sequence[str], examples: Collection[str], count: int, workspace: Workspace
) -> None:
    """Write the sample of each language that has aligned training pairs; an existing one is kept.

    Args:
        sharded: result of the shard stage (`train/*.parquet`).
        aligned: result of the align stage (`pairs/<t>.parquet`).
        languages: target languages.
        examples: texts of English examples.
        count: most pairs of each language, English examples aside.
        workspace: where the samples are written.
    """
    missing = [language for language in languages if not workspace.has(sample_file(language))]
    available = [language for language in missing if (aligned / f"pairs/{language}.parquet").exists()]
    if not available:
        return
    chosen = _choose(sharded, available, examples, count)
    for language in available:
        texts = list(chosen[language].examples | chosen[language].others)
        with workspace.part(sample_file(language)) as path:
            pq.write_table(_aligned_rows(aligned / f"pairs/{language}.parquet", texts), path, compression="zstd")


def sample_digests(workspace: Workspace, languages: Sequence[str]) -> dict[str, str]:
    """Return the digest of each language's sample, of those that have any pairs."""
    files = {language: workspace.path(sample_file(language)) for language in languages if workspace.has(sample_file(language))}
    return {language: file_digest(file) for language, file in files.items() if pq.read_metadata(file).num_rows}


def _choose(sharded: Path, languages: Sequence[str], examples: Collection[str], count: int) -> dict[str, SampledTexts]:
    """Return the texts of the sample of each language."""
    chosen: dict[str, SampledTexts] = defaultdict(lambda: SampledTexts({}, {}))
    known, tags = pa.array(sorted(examples), pa.string()), pa.array(languages, pa.string())
    for file in sorted((sharded / "train").glob("*.parquet")):
        for batch in batches(file, ["target_language", *_TEXTS]):
            wanted = batch.filter(pc.is_in(batch["target_language"], value_set=tags))
            is_example = pc.is_in(wanted["source"], value_set=known).to_pylist()
            columns = (wanted[name].to_pylist() for name in ("target_language", *_TEXTS))
            for language, source, target, example in zip(*columns, is_example, strict=True):
                of_language = chosen[language]
                if example:
                    of_language.examples[source, target] = None
                elif len(of_language.others) < count:
                    of_language.others[source, target] = None
        if not examples and all(len(chosen[language].others) >= count for language in languages):
            break
    return chosen


def _aligned_rows(file: Path, texts: Sequence[tuple[str, str]]) -> pa.Table:
    """Return the rows of a file of ALIGNED that have these texts, in the order of the texts, each once."""
    places = {text: place for place, text in enumerate(texts)}
    sources = pa.array(sorted({source for source, _ in texts}), pa.string())
    found: dict[int, pa.RecordBatch] = {}
    for batch in batches(file, schema.ALIGNED.names):
        rows = np.flatnonzero(pc.is_in(batch["source"], value_set=sources).to_numpy(zero_copy_only=False))
        for row in rows.tolist():
            place = places.get(tuple(batch[name][row].as_py() for name in _TEXTS))
            if place is not None:
                found.setdefault(place, batch.take([row]))  # a slice would keep its whole batch
    ordered = [found[place].cast(schema.ALIGNED) for place in sorted(found)]
    return pa.Table.from_batches(ordered, schema.ALIGNED).combine_chunks()
