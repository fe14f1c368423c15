"""The parts of one language's translation, and which way its texts go."""

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
from mlctl.core.files import discard
from mlctl.core.workspace import Workspace
from mlctl.translation import output_checks
from mlctl.translation.backend import Translation

#: What translates texts from one language (BCP 47) into another: `Translator.translate`.
Speak = Callable[[Sequence[str], str, str], list[Translation]]

_READ = 10_000  # rows


@dataclass(frozen=True)
class Direction:
    """Texts of the column `given` in `source` get a translation into `target`, which becomes the column `made`."""

    source: str
    target: str
    given: str
    made: str

    @property
    def name(self) -> str:
        """How people and tables call it: en→fr."""
        return f"{self.source}→{self.target}"

    def texts(self, file: Path) -> Iterator[str]:
        """Yield the texts of a file that go this way."""
        for batch in batches(file, ["source", "target"], _READ):
            yield from batch.filter(batch[self.made].is_null())[self.given].to_pylist()

    def count(self, file: Path) -> int:
        """Return how many texts of a file go this way."""
        return int(ds.dataset(file).count_rows(filter=ds.field(self.made).is_null()))


def directions(source: str, target: str) -> tuple[Direction, Direction]:
    """Return the way forward, and the way back from a human text of the target language."""
    return Direction(source, target, "source", "target"), Direction(target, source, "target", "source")


class LanguageParts:
    """Makes the parts of one target language that are not there yet."""

    def __init__(self, language: str, file: Path, rows: int, workspace: Workspace) -> None:
        self._language = language
        self._file = file
        self._rows = rows
        self._workspace = workspace

    def finished(self) -> bool:
        """Tell whether no part is missing."""
        numbers = range(-(-pq.read_metadata(self._file).num_rows // self._rows))
        return all(self._workspace.has(self._pairs(number)) for number in numbers)

    def make(self, engines: Mapping[Direction, Speak], at_once: int) -> Iterator[int]:
        """Make part by part and yield the number of texts of each, also of those that were there.

        The engine is never idle between two parts: while one is written, `at_once` - 1 others are on their way.
        """
        waiting: deque[tuple[int, Future[None]]] = deque()
        with pq.ParquetFile(self._file) as parquet, ThreadPoolExecutor(at_once) as pool:
            try:
                for number, batch in enumerate(parquet.iter_batches(self._rows, columns=schema.PAIR.names)):
                    if len(waiting) >= at_once:
                        yield _first(waiting)
                    if self._workspace.has(self._pairs(number)):
                        yield batch.num_rows
                    else:
                        waiting.append((batch.num_rows, pool.submit(self._make, number, batch, engines)))
                while waiting:
                    yield _first(waiting)
            finally:
                pool.shutdown(cancel_futures=True)

    def counts(self) -> tuple[int, Counter[str]]:
        """Return how many texts have a translation, and how many each rule has left without."""
        made = sum(pq.read_metadata(file).num_rows for file in self._workspace.path(f"pairs/{self._language}").glob("*.parquet"))
        files = sorted(self._workspace.path(f"rejected/{self._language}").glob("*.parquet"))
        return made, Counter(rule for file in files for rule in pq.read_table(file, columns=["rule"])["rule"].to_pylist())

    def _pairs(self, number: int) -> str:
        return f"pairs/{self._language}/{number:05d}.parquet"

    def _make(self, number: int, batch: pa.RecordBatch, engines: Mapping[Direction, Speak]) -> None:
        """Write one part; its pairs last, because they tell that it is finished."""
        pieces = [_translated(batch, direction, engine) for direction, engine in engines.items()]
        order = pa.concat_arrays([rows for rows, _ in pieces])
        table = pa.concat_tables([table for _, table in pieces]).take(pc.sort_indices(order))
        rejected = f"rejected/{self._language}/{number:05d}.parquet"
        discard(self._workspace.path(rejected))
        lost = table.filter(pc.not_equal(table["rule"], ""))
        if lost.num_rows:
            with self._workspace.part(rejected) as path:
                pq.write_table(lost, path, compression="zstd")
        with self._workspace.part(self._pairs(number)) as path:
            made = table.filter(pc.equal(table["rule"], "")).select(schema.PAIR.names)
            pq.write_table(made.cast(schema.PAIR), path, compression="zstd")


def _first(waiting: deque[tuple[int, Future[None]]]) -> int:
    rows, future = waiting.popleft()
    future.result()
    return rows


def _translated(batch: pa.RecordBatch, direction: Direction, engine: Speak) -> tuple[pa.Array, pa.Table]:
    """Return the rows of a batch that go one way: their places, and them (REJECTED) with a translation or a rule."""
    mask = batch[direction.made].is_null()
    mine = batch.filter(mask)
    texts = mine[direction.given].to_pylist()
    made = engine(texts, direction.source, direction.target) if texts else []
    judged = output_checks.judge(texts, made, direction.source, direction.target)
    columns = {name: mine[name] for name in schema.PAIR.names}
    columns[direction.made] = pa.array([answer.text or None for answer in judged], pa.string())
    columns["synthetic"] = _synthetic(judged, direction.made, mine["synthetic"].to_pylist())
    columns["rule"] = pa.array([answer.rule for answer in judged], pa.string())
    table = pa.Table.from_arrays([columns[name] for name in schema.REJECTED.names], schema=schema.REJECTED)
    return pc.indices_nonzero(mask), table


def _synthetic(judged: Sequence[Translation], side: str, before: Sequence[str]) -> pa.Array:
    """Return the side that a machine wrote; a rejected row stays as it came."""
    return pa.array([old if answer.rule else side for answer, old in zip(judged, before, strict=True)], pa.string())
