"""From aligned pairs and a plan to the files of the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlctl.sharding import rows, runs, words
from mlctl.sharding.heldout import Plan
from mlctl.sharding.spans import Encoder
from mlctl.workspace import Progress, Workspace

#: Why a pair gives no training row, in the order in which it is asked.
RULES = ("held out", "held-out text", "no word couple")


@dataclass(frozen=True)
class Corpus:
    """The aligned pairs of every target language and what has been decided about them."""

    files: Mapping[str, Path]
    plan: Plan
    seed: int

    def training_text(self) -> Iterator[list[str]]:
        """Yield the texts of both sides of the pairs that may be trained on, in batches."""
        for file in self.files.values():
            for batch in words.batches(file):
                free = batch.filter(pa.array(~self.plan.is_held(batch)))
                yield from (free["source"].to_pylist(), free["target"].to_pylist())

    def write_heldout(self, language: str, encoder: Encoder, path: Path) -> None:
        """Write the held-out rows of one language."""
        chosen, first, found = self.plan.heldout[language], 0, []
        for batch in words.batches(self.files[language]):
            inside = chosen[(chosen >= first) & (chosen < first + batch.num_rows)] - first
            found.append(rows.make(batch.take(pa.array(inside)), self.plan.content[language], encoder, self.seed))
            first += batch.num_rows
        runs.write_table(path, pa.Table.from_batches(found, rows.KEYED))

    def write_runs(self, encoder: Encoder, workspace: Workspace, progress: Progress) -> list[runs.Run]:
        """Turn all other pairs into sorted runs in the scratch folder; runs that are there already stay."""
        done, total, opened = 0, sum(self.plan.pairs.values()), []
        for language, file in self.files.items():
            for number, batch in enumerate(words.batches(file, runs.PAIRS)):
                path = workspace.scratch / f"{language}-{number:05d}.arrow"
                if not path.exists():
                    counts = Counter({"pairs": batch.num_rows})
                    runs.write(path, self._training_rows(language, batch, encoder, counts), counts)
                opened.append(runs.Run.open(path, language))
                done += batch.num_rows
                progress(done, total, "pairs")
        return opened

    def _training_rows(
        self, language: str, pairs: pa.RecordBatch, encoder: Encoder, counts: Counter[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the training rows of some pairs and count those that each rule of `RULES` drops."""
        for first in range(0, pairs.num_rows, words.ROWS):
            batch = pairs.slice(first, words.ROWS)
            held = self.plan.is_held(batch)
            made = rows.make(batch.filter(pa.array(~held)), self.plan.content[language], encoder, self.seed)
            counts.update({"held": int(np.count_nonzero(held)), "no couple": int(np.count_nonzero(~held)) - made.num_rows})
            yield made


def funnel(language: str, opened: list[runs.Run], heldout: int) -> list[dict[str, str | int]]:
    """Return the funnel's rows of one language: what each rule left of its pairs."""
    counts = sum((run.counts for run in opened if run.language == language), Counter[str]())
    dropped = (heldout, counts["held"] - heldout, counts["no couple"])
    table: list[dict[str, str | int]] = []
    left = counts["pairs"]
    for rule, number in zip(RULES, dropped, strict=True):
        table.append({"stage": "shard", "language": language, "rule": rule, "rows_in": left, "rows_out": left - number})
        left -= number
    return table
