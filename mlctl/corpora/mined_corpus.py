"""A corpus of pairs that are mined from monolingual text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlctl.config import MineSource
from mlctl.corpora.corpus import Row
from mlctl.corpora.encoded_corpus import EncodedCorpus, Encoder
from mlctl.mining import mining_job as names
from mlctl.mining.mining_job import MiningJob
from mlctl.mining.mining_steps import PAIRS_FILE
from mlctl.mining.sentence_files import SentenceTables

_BATCH_ROWS = 8192
_COUNTS = ("documents", "set_aside", "sentences", "duplicates", "left_out")


class MinedCorpus(EncodedCorpus):
    """See `EncodedCorpus`; `job` has the steps."""

    def __init__(
        self, source: MineSource, targets: tuple[str, ...], files: Sequence[Path], encoder: Encoder, job: MiningJob
    ) -> None:
        super().__init__(source, targets, files, encoder)
        self.job = job

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the pairs, best first, with the score `margin`."""
        text, path = self.job.text(target), self.job.workspace.path
        sides = {
            side: SentenceTables([path(part.sentences) for part in self.job.pool(text, side)]) for side in ("source", "target")
        }
        pairs = np.load(path(names.pairs_name(target)) / PAIRS_FILE, mmap_mode="r")
        for first in range(0, len(pairs), _BATCH_ROWS):
            block = pairs[first : first + _BATCH_ROWS]
            found = [tables.take(block[side]) for side, tables in sides.items()]
            for source, other, margin in zip(*found, block["margin"].tolist(), strict=True):
                yield Row(source.text, other.text, f"{source.origin} = {other.origin}", {"margin": margin})

    def counts(self, target: str) -> dict[str, Any]:
        """Return the sentences of both sides, and how the pairs were selected."""
        text = self.job.text(target)
        sides = [self.job.info(names.sentences_name(name)) for name in (text.source_side, text.target_side)]
        counts = {name: {count: side[count] for count in _COUNTS} for name, side in zip(("source", "target"), sides, strict=True)}
        return {**counts, **self.job.info(names.pairs_name(target))}

    def log(self) -> None:
        """Do nothing: the steps were logged while they ran."""
