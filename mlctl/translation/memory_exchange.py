"""What a run takes from the translation memory and adds to it. Only the process of the run opens the memory's file.

A step gets the translations that the memory has of its part in a file, and its pairs are added when it is done: workers can be on
machines on which SQLite could damage a file that they share. Rejected outputs are not stored: they may be transient.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.translation.language_job import KNOWN, LanguageJob
from mlctl.translation.parts import Direction
from mlctl.translation.translation_memory import TranslationMemory, translation_key

_log = logging.getLogger(__name__)


class MemoryExchange:
    """Looks the texts of parts up before they are translated, and stores their translations after."""

    def __init__(self, memory: TranslationMemory | None) -> None:
        """Take the memory; None: nothing is known, and nothing is stored."""
        self._memory = memory
        self._looked_up: dict[tuple[str, int], bool] = {}  # by language and part: whether there is a file for the step
        self._texts = self._hits = 0

    def look_up(self, job: LanguageJob, part: int) -> bool:
        """Write the translations of a part that the memory has for its step; return whether there are any."""
        if not self._memory:
            return False
        if rows := list(self._known(self._memory, job, part)):
            with job.scratch.part(job.known_name(part)) as path:
                pq.write_table(pa.Table.from_pylist(rows, schema=KNOWN), path, compression="zstd")
        self._looked_up[job.target, part] = bool(rows)
        return bool(rows)

    def store_measured(self, job: LanguageJob, direction: Direction) -> None:
        """Store the translations that measuring a backend has made, so that its part does not make them again."""
        if self._memory:
            _put(self._memory, job, direction, job.measurement(direction)["accepted"])

    def store(self, job: LanguageJob, part: int) -> None:
        """Store the translations of a finished part that the memory does not have."""
        if not self._memory:
            return
        known = job.known(part) if self._looked_up.pop((job.target, part)) else {}
        pairs = pq.read_table(job.workspace.path(job.pairs_name(part)), columns=["source", "target", "synthetic"]).to_pylist()
        for direction in job.directions:
            column = direction.translation_column
            made = {row[direction.text_column]: row[column] for row in pairs if row["synthetic"] == column}
            new = {text: translation for text, translation in made.items() if (column, text) not in known}
            _put(self._memory, job, direction, new)
        if known:
            job.scratch.discard(job.known_name(part))

    def close(self) -> None:
        """Close the memory, and log how many texts it had."""
        if self._hits:
            _log.info("%d of %d texts were in the translation memory", self._hits, self._texts)
        if self._memory:
            self._memory.close()

    def _known(self, memory: TranslationMemory, job: LanguageJob, part: int) -> Iterator[dict[str, str]]:
        rows = job.read(part, ("source", "target"))
        for direction in job.directions:
            if not job.measurement(direction)["stopped"]:
                texts = direction.texts_of(rows)
                found = _find(memory, job, direction, texts)
                self._texts, self._hits = self._texts + len(texts), self._hits + len(found)
                for text, translation in found.items():
                    yield {"column": direction.translation_column, "text": text, "translation": translation}


def _find(memory: TranslationMemory, job: LanguageJob, direction: Direction, texts: list[str]) -> dict[str, str]:
    """Return the translations of texts that the memory has."""
    identity = job.translation_identity(direction)
    keys = {text: translation_key(identity, direction.source, direction.target, text) for text in texts}
    known = memory.get(list(keys.values()))
    return {text: known[key] for text, key in keys.items() if key in known}


def _put(memory: TranslationMemory, job: LanguageJob, direction: Direction, translations: Mapping[str, str]) -> None:
    """Store translations by text."""
    identity, source, target = job.translation_identity(direction), direction.source, direction.target
    memory.put({translation_key(identity, source, target, text): output for text, output in translations.items()})
