"""Source kind `documents`: documents and their translations, whose sentences are aligned."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlctl.config import DocumentsSource
from mlctl.core.text_lines import numbered_lines
from mlctl.corpora.encoded_corpus import EncodedCorpus, Encoder
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.encoded import EncodedKind
from mlctl.corpora.sources.source_kind import FetchContext
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.sources.text_patterns import find_text
from mlctl.corpora.sources.web import WebText, fetch_texts, file_name, inspect_urls, local_path, slug
from mlctl.errors import InputError

if TYPE_CHECKING:
    from mlctl.mining.document_job import DocumentJob

log = logging.getLogger(__name__)

_MAX_NAMES = 3  # of documents that are set aside, in a message


@dataclass(frozen=True)
class _Cell:
    """A document of either side: a file or its text, by a name that is the same on every machine."""

    name: str
    path: Path | None = None
    text: str = ""


_Pair = tuple[_Cell, _Cell]


class DocumentsKind(EncodedKind[DocumentsSource]):
    """Documents on disk, in a table or at the URLs of a table."""

    def text_files(self) -> Mapping[str, Path]:
        """Return the tables, and the files of both sides."""
        tables = {f"table/{path.name}": path for path in map(self._table, self.targets)} if self.source.table else {}
        if self.source.cells != "paths":
            return tables
        cells = [(f"{target}/{side}", cell) for target in self.targets for side, cell in self._sides(target)]
        return tables | {f"{side}/{cell.name}": cell.path for side, cell in cells if cell.path}

    def addresses(self, lock: Lockfile) -> list[str]:
        """Return the URLs in the tables."""
        del lock
        if self.source.cells != "urls":
            return []
        return list(dict.fromkeys(url for target in self.targets for _, row in self._rows(target) for url in row))

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the digests of the files, and what the servers report about the URLs."""
        state = super().inspect(inspection)
        if urls := self.addresses(inspection.lock):
            state.merge(inspect_urls(urls, inspection, self.settings))
        return state

    def open(self, context: FetchContext) -> Iterator[EncodedCorpus]:
        """Fetch the documents at URLs, and yield the corpus, which has yet to be aligned."""
        from mlctl.corpora.aligned_corpus import AlignedCorpus

        encoder = self.encoder(context)
        fetched = self._fetch(context)
        jobs = [
            self._job(target, self._pairs(target, fetched, log_alone=True), encoder, context.scratch) for target in self.targets
        ]
        yield AlignedCorpus(self.source, self.targets, [*self.text_files().values(), *fetched.values()], encoder, jobs)

    def _job(self, target: str, pairs: Sequence[_Pair], encoder: Encoder, scratch: Path) -> DocumentJob:
        from mlctl.mining.document_job import DocumentJob, DocumentPair, DocumentText

        def text(cell: _Cell) -> DocumentText:
            return DocumentText(name=cell.name, path=cell.path and cell.path.absolute(), text=cell.text)

        job = DocumentJob(
            settings=self.source.model_copy(update={"targets": ()}),
            encoder=encoder.folder,
            source=self.languages.source,
            target=target,
            pairs=tuple(DocumentPair(source=text(source), target=text(other)) for source, other in pairs),
            root=scratch,
        )
        digest = hashlib.sha256(job.model_dump_json(exclude={"root"}).encode()).hexdigest()[:12]
        return job.model_copy(update={"root": scratch / "documents" / f"{slug(self.name)}-{digest}"})

    def _sides(self, target: str) -> list[tuple[str, _Cell]]:
        return [(side, cell) for pair in self._pairs(target, {}) for side, cell in zip(("source", "target"), pair, strict=True)]

    def _pairs(self, target: str, fetched: Mapping[str, Path], log_alone: bool = False) -> list[_Pair]:
        """Return the documents of a target language; `log_alone`: log files without a counterpart. Raises InputError if there are none."""
        if not self.source.table:
            return self._paired_files(target, log_alone)
        table = self._table(target)
        rows = list(self._rows(target))
        if self.source.cells == "paths":
            return [(self._file(table, *row, 0), self._file(table, *row, 1)) for row in rows]
        if self.source.cells == "urls":
            return [(_Cell(row[0], fetched[row[0]]), _Cell(row[1], fetched[row[1]])) for _, row in rows]
        return [(_text_cell(table, number, row[0]), _text_cell(table, number, row[1])) for number, row in rows]

    def _paired_files(self, target: str, log_alone: bool) -> list[_Pair]:
        """Return the files of both sides that have the same key."""
        sides = [
            {text.key: text for text in find_text(pattern, target, f"{self.name}: {setting}")}
            for setting, pattern in (("source", self.source.source), ("target", self.source.target))
        ]
        common = [key for key in sides[0] if key in sides[1]]
        if not common:
            listed = _listed(list(sides[0])[:1] + list(sides[1]))
            problem = f"{self.name}: no document in {target} has the name of one in {self.languages.source}; there are {listed}"
            raise InputError(
                problem, "give both files of a document the same name in two folders, or use a pattern with * or a table"
            )
        if log_alone:
            _log_alone(
                self.name, target, [side[key].name for side, other in (sides, sides[::-1]) for key in side if key not in other]
            )
        return [(_Cell(sides[0][key].name, sides[0][key].path), _Cell(sides[1][key].name, sides[1][key].path)) for key in common]

    def _table(self, target: str) -> Path:
        if len(self.targets) > 1 and "{target}" not in self.source.table:
            problem = f"{self.name}: table {self.source.table!r} names one file for {', '.join(self.targets)}"
            raise InputError(problem, "write {target} in it, or set the source's targets")
        path = Path(self.source.table.replace("{target}", target)).expanduser()
        if not path.is_file():
            raise InputError(f"{self.name}: table: no file {path}", "correct the path")
        return path

    def _rows(self, target: str) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield line number and cells of a table. Raises InputError if a line does not have two."""
        table, empty = self._table(target), True
        for number, line in numbered_lines(table):
            if not line.strip():
                continue
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) < 2 or not all(cells[:2]):
                raise InputError(
                    f"{table}, line {number} does not have two cells", "write a document TAB its translation on each line"
                )
            empty = False
            yield number, (cells[0], cells[1])
        if empty:
            raise InputError(f"{table} has no documents", "write a document TAB its translation on each line")

    def _file(self, table: Path, number: int, row: tuple[str, str], side: int) -> _Cell:
        path = table.parent / Path(row[side]).expanduser()
        if not path.is_file():
            raise InputError(f"{table}, line {number}: no file {path}", "correct the path; it is relative to the table's folder")
        return _Cell(row[side], path)

    def _fetch(self, context: FetchContext) -> dict[str, Path]:
        """Return the files of the texts at the URLs of the tables."""
        urls = self.addresses(context.lock)
        if not urls:
            return {}
        texts = [WebText((url,), "", local_path(url, file_name(url), Path()).name) for url in urls]
        _, folder = fetch_texts(texts, context, self.name)
        return {url: folder / text.name for url, text in zip(urls, texts, strict=True)}


def _log_alone(corpus: str, target: str, names: Sequence[str]) -> None:
    if names:
        log.warning("%s: %d documents have no counterpart in %s: %s", corpus, len(names), target, _listed(names))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _text_cell(table: Path, number: int, cell: str) -> _Cell:
    return _Cell(f"{table.name}:{number}", text=cell.replace("\\n", "\n"))
