"""What a ledger's components bring and cost: licences and rows of text from the results of the full recipe, seconds from manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlctl.core.arrow import batches
from mlctl.corpora.source_records import rows_of
from mlctl.pipeline.ledger_components import Component, KnownText
from storage import Result

#: Stages whose seconds are compared. Download and translate reuse the texts that the full recipe has fetched and translated.
TIMED_STAGES = ("clean", "align", "shard", "train")

_COLUMNS = ["corpus", "target_language"]

RowCounts = Counter[tuple[str, str]]


@dataclass(frozen=True)
class TextCounts:
    """The full recipe's text: what is known of it, and rows by (corpus, target language) that clean kept and that are trained on."""

    known: KnownText
    kept: RowCounts
    trained: RowCounts

    @classmethod
    def read(cls, known: KnownText, cleaned: Path, sharded: Path) -> TextCounts:
        """Count the rows of a clean result and of a shard result."""
        kept = [*(cleaned / "pairs").glob("*.parquet"), *(cleaned / "untranslated").glob("*.parquet")]
        return cls(known, _count(kept), _count((sharded / "train").glob("*.parquet")))

    def of(self, component: Component) -> dict[str, Any]:
        """Return licences, corpora and rows of a component; `rows` is null where the rows of a source are not known.

        The rows of a source or language are those that were downloaded, that clean kept, and that are trained on; those of a rule the
        rows that it drops.
        """
        if component.kind == "filter":
            return {
                "licences": [],
                "corpora": [],
                "rows": {"dropped": sum(self.known.dropped.get(rule, 0) for rule in component.rules)},
            }
        language = component.name if component.kind == "language" else None
        of_all = [record for records in self.known.records for record in records]
        records = of_all if component.number is None else self.known.records[component.number]
        with_text = [record for record in records if rows_of([record], language)]
        return {
            "licences": sorted({str(record["licence"]) for record in with_text}),
            "corpora": list(dict.fromkeys(str(record["corpus"]) for record in with_text)),
            "rows": self._rows_of_language(language) if language else self._rows_of_source(component.number or 0),
        }

    def _rows_of_language(self, language: str) -> dict[str, int]:
        downloaded = sum(rows_of(records, language) for records in self.known.records)
        kept, trained = (
            sum(rows for (_, tag), rows in counts.items() if tag == language) for counts in (self.kept, self.trained)
        )
        return {"downloaded": downloaded, "kept": kept, "trained": trained}

    def _rows_of_source(self, number: int) -> dict[str, int | None]:
        """Return the rows of a source by the names of its corpora, which rows bear; kept and trained ones only if no other source has them."""
        named = [{record["corpus"] for record in records} for records in self.known.records]
        shared = any(named[number] & names for index, names in enumerate(named) if index != number)
        kept, trained = (
            None if shared else sum(rows for (corpus, _), rows in counts.items() if corpus in named[number])
            for counts in (self.kept, self.trained)
        )
        return {"downloaded": rows_of(self.known.records[number]), "kept": kept, "trained": trained}


def cost(full: Sequence[Mapping[str, Result]], without: Sequence[Mapping[str, Result]]) -> dict[str, Any]:
    """Return what a component costs: seconds of the full recipe minus those of the recipe without it, means over trainings.

    A stage whose result is the same in both costs nothing. GPU seconds are seconds of training × processes.

    Args:
        full: of each training, the train result and all results before it by stage.
        without: the same of the recipe without the component.
    """
    differences = {stage: _difference(stage, full, without) for stage in TIMED_STAGES}
    on_gpu = any(results["train"].manifest.metrics.get("device") == "cuda" for results in full)
    processes = max(int(results["train"].manifest.metrics.get("processes", 1)) for results in full)
    gpu = round(differences.pop("train") * processes, 3) if on_gpu else None
    return {"cpu_seconds": round(sum(differences.values()), 3), "gpu_seconds": gpu}


def _difference(stage: str, full: Sequence[Mapping[str, Result]], without: Sequence[Mapping[str, Result]]) -> float:
    sides = [[results[stage].manifest for results in side] for side in (full, without)]
    if {manifest.key for manifest in sides[0]} == {manifest.key for manifest in sides[1]}:
        return 0.0
    with_it, without_it = (sum(manifest.seconds for manifest in side) / len(side) for side in sides)
    return with_it - without_it


def _count(files: Iterable[Path]) -> RowCounts:
    counts = RowCounts()
    for file in files:
        for batch in batches(file, _COLUMNS):
            groups = pa.Table.from_batches([batch]).group_by(_COLUMNS).aggregate([([], "count_all")])
            counts.update({(row["corpus"], row["target_language"]): row["count_all"] for row in groups.to_pylist()})
    return counts
