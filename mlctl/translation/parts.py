"""The parts of one language's translation."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Translate
from mlctl.translation import translators
from mlctl.translation.translators import Translation, Translator
from mlctl.workspace import Workspace, discard

_log = logging.getLogger(__name__)


class LanguageParts:
    """Makes the parts of one target language that are not there yet. The model is loaded when the first one is missing."""

    def __init__(self, settings: Translate, source: str, target: str, file: Path, workspace: Workspace) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._file = file
        self._workspace = workspace

    def make(self) -> Iterator[int]:
        """Make part by part and yield the number of texts of each, also of those that were there."""
        with pq.ParquetFile(self._file) as parquet:
            for number, batch in enumerate(parquet.iter_batches(self._settings.part_rows, columns=schema.PAIR.names)):
                if not self._workspace.has(self._pairs(number)):
                    self._make(number, batch.select(schema.PAIR.names))
                yield batch.num_rows

    def dropped(self) -> Counter[str]:
        """Return how many texts each rule has left without translation."""
        files = sorted(self._workspace.path(f"rejected/{self._target}").glob("*.parquet"))
        return Counter(rule for file in files for rule in pq.read_table(file, columns=["rule"])["rule"].to_pylist())

    @cached_property
    def _translator(self) -> Translator:
        translator = translators.load(self._settings, self._source, self._target)
        _log.info("translating into %s with %s", self._target, translator.identity())
        return translator

    def _pairs(self, number: int) -> str:
        return f"pairs/{self._target}/{number:05d}.parquet"

    def _make(self, number: int, batch: pa.RecordBatch) -> None:
        """Write one part; its pairs last, because they tell that it is finished."""
        made = self._translator.translate(batch["source"].to_pylist(), self._source, self._target)
        rejected = f"rejected/{self._target}/{number:05d}.parquet"
        discard(self._workspace.path(rejected))
        if any(translation.rule for translation in made):
            with self._workspace.part(rejected) as path:
                pq.write_table(_without(batch, made), path, compression="zstd")
        with self._workspace.part(self._pairs(number)) as path:
            pq.write_table(_translated(batch, made), path, compression="zstd")


def _translated(batch: pa.RecordBatch, made: list[Translation]) -> pa.Table:
    columns = {name: batch[name] for name in schema.PAIR.names}
    columns["target"] = pa.array([translation.text for translation in made], pa.string())
    columns["synthetic"] = pa.array(["target"] * batch.num_rows, pa.string())
    table = pa.Table.from_arrays([pa.chunked_array([columns[name]]) for name in schema.PAIR.names], schema=schema.PAIR)
    return table.filter(pa.array([not translation.rule for translation in made]))


def _without(batch: pa.RecordBatch, made: list[Translation]) -> pa.Table:
    rules = pa.array([translation.rule for translation in made], pa.string())
    table = pa.Table.from_arrays([*batch.columns, rules], schema=schema.REJECTED)
    return table.filter(pa.array([bool(translation.rule) for translation in made]))
