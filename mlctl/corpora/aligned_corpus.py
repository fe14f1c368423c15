"""A corpus of pairs from documents whose sentences are aligned."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlctl.config import DocumentsSource
from mlctl.corpora.corpus import Row
from mlctl.corpora.encoded_corpus import EncodedCorpus, Encoder
from mlctl.errors import InputError
from mlctl.mining.document_job import DocumentJob
from mlctl.mining.document_steps import INFO, ROWS_FILE, read_rows
from mlctl.mining.runner import log_set_aside

log = logging.getLogger(__name__)

_SUMMED = ("documents", "set_aside", "pairs", "sentences", "without_counterpart", "below_min_score")


class AlignedCorpus(EncodedCorpus):
    """See `EncodedCorpus`; `jobs` has the steps of each target language."""

    def __init__(
        self,
        source: DocumentsSource,
        targets: tuple[str, ...],
        files: Sequence[Path],
        encoder: Encoder,
        jobs: Sequence[DocumentJob],
    ) -> None:
        super().__init__(source, targets, files, encoder)
        self.jobs = jobs

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the pairs in the order of the documents, with the score `alignment`."""
        for folder in self._folders(target):
            for row in read_rows(folder / ROWS_FILE):
                yield Row(row["source"], row["target"], row["origin"], {"alignment": row["score"]})

    def counts(self, target: str) -> dict[str, Any]:
        """Return the numbers of documents and sentences."""
        infos = self._infos(target)
        return {name: sum(info[name] for info in infos) for name in _SUMMED}

    def log(self) -> None:
        """Log what was found. Raises InputError if no document could be read."""
        for target in self.targets:
            counts, reasons = self.counts(target), [reason for info in self._infos(target) for reason in info["reasons"]]
            if not counts["documents"]:
                problem = (
                    f"{self.name}: none of the {counts['set_aside']} pairs of documents in {target} can be read; {reasons[0]}"
                )
                raise InputError(problem, "check the files: UTF-8 text, plain, .gz, .xz or .zst")
            shown = [f"{counts[name]:,}" for name in ("pairs", "documents", "without_counterpart", "below_min_score")]
            text = "%s: %s %s pairs from %s pairs of documents; %s sentences without a counterpart, %s blocks below min_score"
            log.info(text, self.name, target, *shown)
            log_set_aside(self.name, counts["set_aside"], reasons)

    def _infos(self, target: str) -> list[dict[str, Any]]:
        return [json.loads((folder / INFO).read_text(encoding="utf-8")) for folder in self._folders(target)]

    def _folders(self, target: str) -> list[Path]:
        job = next(job for job in self.jobs if job.target == target)
        return [job.workspace.path(name) for name in job.results]
