"""The parts of one language's translation: some thousand sentences each, translated in one or both directions."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.core.arrow import batches
from mlctl.core.workspace import Workspace
from mlctl.translation import output_checks
from mlctl.translation.backend import Translation
from mlctl.translation.fault_counter import FaultCounter

#: Translates texts from one language (BCP 47) into another: `TranslationBackend.translate`.
TranslateFunction = Callable[[Sequence[str], str, str], list[Translation]]

_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Direction:
    """One direction of translation.

    Attributes:
        source: language of the texts (BCP 47).
        target: language of the translations (BCP 47).
        text_column: the column of PAIR that has the texts.
        translation_column: the column of PAIR that is missing.
    """

    source: str
    target: str
    text_column: str
    translation_column: str

    @property
    def name(self) -> str:
        """The direction in tables and logs: en→fr."""
        return f"{self.source}→{self.target}"

    def texts(self, file: Path) -> Iterator[str]:
        """Yield the texts of a file that are translated in this direction."""
        for batch in batches(file, ["source", "target"], _BATCH_ROWS):
            yield from batch.filter(batch[self.translation_column].is_null())[self.text_column].to_pylist()

    def count(self, file: Path) -> int:
        """Return how many texts of a file are translated in this direction."""
        return int(ds.dataset(file).count_rows(filter=ds.field(self.translation_column).is_null()))


def directions(source: str, target: str) -> tuple[Direction, Direction]:
    """Return the forward direction, and the backward one for human text of the target language."""
    return Direction(source, target, "source", "target"), Direction(target, source, "target", "source")


class LanguageParts:
    """The parts of one target language; finished ones are not translated again."""

    def __init__(self, language: str, file: Path, rows: int, workspace: Workspace) -> None:
        """Take the target language, its file of untranslated text, the rows of a part and the workspace of the result."""
        self._language = language
        self._file = file
        self._rows = rows
        self._workspace = workspace

    def finished(self) -> bool:
        """Return whether all parts are finished."""
        return len(self._finished_parts()) == self._part_count()

    def translate(
        self, functions: Mapping[Direction, TranslateFunction], concurrent_parts: int, faults: FaultCounter
    ) -> Iterator[int]:
        """Translate the missing parts; yield the number of texts of each part, finished ones included.

        While one part is written, `concurrent_parts` - 1 others are translated, so that the backend is never idle.

        Raises:
            InputError: too many outputs are faulty.
        """
        pending: deque[tuple[int, Future[None]]] = deque()
        with pq.ParquetFile(self._file) as parquet, ThreadPoolExecutor(concurrent_parts) as pool:
            try:
                for part, batch in enumerate(parquet.iter_batches(self._rows, columns=schema.PAIR.names)):
                    if len(pending) >= concurrent_parts:
                        yield _wait_for_first(pending)
                    if self._is_finished(part):
                        yield batch.num_rows
                    else:
                        pending.append((batch.num_rows, pool.submit(self._translate_part, part, batch, functions, faults)))
                while pending:
                    yield _wait_for_first(pending)
            finally:
                pool.shutdown(cancel_futures=True)

    def counts(self) -> tuple[int, Counter[str]]:
        """Return how many texts of the finished parts were translated, and how many each rule rejected."""
        finished = self._finished_parts()
        translated = sum(pq.read_metadata(self._workspace.path(self._pairs_name(part))).num_rows for part in finished)
        rejected = (name for part in finished if self._workspace.has(name := self._rejected_name(part)))
        rules = (pq.read_table(self._workspace.path(name), columns=["rule"])["rule"].to_pylist() for name in rejected)
        return translated, Counter(rule for part_rules in rules for rule in part_rules)

    def _part_count(self) -> int:
        return int(-(-pq.read_metadata(self._file).num_rows // self._rows))

    def _finished_parts(self) -> list[int]:
        return [part for part in range(self._part_count()) if self._is_finished(part)]

    def _rejected_name(self, part: int) -> str:
        return f"rejected/{self._language}/{part:05d}.parquet"

    def _pairs_name(self, part: int) -> str:
        return f"pairs/{self._language}/{part:05d}.parquet"

    def _is_finished(self, part: int) -> bool:
        return self._workspace.has(self._pairs_name(part)) and not self._workspace.is_lost(self._rejected_name(part))

    def _translate_part(
        self, part: int, batch: pa.RecordBatch, functions: Mapping[Direction, TranslateFunction], faults: FaultCounter
    ) -> None:
        """Translate and write one part; its pairs last, because they mark it as finished."""
        results = [_translate_rows(batch, direction, function, faults) for direction, function in functions.items()]
        order = pa.concat_arrays([rows for rows, _ in results])
        table = pa.concat_tables([table for _, table in results]).take(pc.sort_indices(order))
        self._workspace.discard(self._rejected_name(part))
        rejected = table.filter(pc.not_equal(table["rule"], ""))
        if rejected.num_rows:
            with self._workspace.part(self._rejected_name(part)) as path:
                pq.write_table(rejected, path, compression="zstd")
        with self._workspace.part(self._pairs_name(part)) as path:
            pairs = table.filter(pc.equal(table["rule"], "")).select(schema.PAIR.names)
            pq.write_table(pairs.cast(schema.PAIR), path, compression="zstd")
        faults.check()


def _wait_for_first(pending: deque[tuple[int, Future[None]]]) -> int:
    rows, future = pending.popleft()
    future.result()
    return rows


def _translate_rows(
    batch: pa.RecordBatch, direction: Direction, function: TranslateFunction, faults: FaultCounter
) -> tuple[pa.Array, pa.Table]:
    """Translate the rows of a batch in one direction; return their indices, and the rows (REJECTED) with a translation, a rule or, if
    the output is rejected, both.
    """
    mask = batch[direction.translation_column].is_null()
    rows = batch.filter(mask)
    texts = rows[direction.text_column].to_pylist()
    translations = function(texts, direction.source, direction.target) if texts else []
    outputs = output_checks.check_outputs(texts, translations, direction.source, direction.target)
    faults.add(texts, outputs)
    columns = {name: rows[name] for name in schema.PAIR.names}
    columns[direction.translation_column] = pa.array([output.text or None for output in outputs], pa.string())
    columns["synthetic"] = _synthetic(outputs, direction.translation_column, rows["synthetic"].to_pylist())
    columns["rule"] = pa.array([output.rule for output in outputs], pa.string())
    table = pa.Table.from_arrays([columns[name] for name in schema.REJECTED.names], schema=schema.REJECTED)
    return pc.indices_nonzero(mask), table


def _synthetic(outputs: Sequence[Translation], column: str, before: Sequence[str]) -> pa.Array:
    """Return the column `synthetic`: the machine-translated side; unchanged for a row without output."""
    return pa.array([column if output.text else old for output, old in zip(outputs, before, strict=True)], pa.string())
