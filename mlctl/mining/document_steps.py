"""The step of document alignment: a group of documents → aligned sentences, committed as one part of the job's workspace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from mlctl.config import DocumentsSource
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.mining.document_alignment import AlignmentCosts, Block, Document, align_documents
from mlctl.mining.document_job import DocumentJob, DocumentPair, DocumentText, aligned_name
from mlctl.mining.embedding import embed
from mlctl.mining.sentence_files import Sentence, read_sentences, sentences_of
from mlctl.mining.sentence_splitting import join_sentences
from mlctl.mining.vectors import Matrix

#: Aligned text with its origin and score.
ALIGNED = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)
#: Names in the folder of a step.
ROWS_FILE, INFO = "rows.arrow", "info.json"

_MAX_REASONS = 20
_HTML = ("<!doctypehtml", "<html")  # without spaces, as it is split into sentences


class DocumentStep(BaseModel):
    """Aligns `pairs`. Workers get it as JSON."""

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = "if memory ran out, lower download.workers; a second run resumes after the finished parts"
    timeout: ClassVar[None] = None

    settings: DocumentsSource
    encoder: Path
    source: str
    target: str
    root: Path
    group: int
    pairs: tuple[DocumentPair, ...]

    @classmethod
    def of(cls, job: DocumentJob, group: int) -> DocumentStep:
        """Return the step of a group of documents."""
        common = {name: getattr(job, name) for name in ("settings", "encoder", "source", "target", "root")}
        return cls(**common, group=group, pairs=job.groups[group])

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        return f"download: aligning {self.settings.name} ({self.target})"

    @property
    def reads(self) -> list[Path]:
        """The files that the step reads."""
        texts = [text for pair in self.pairs for text in (pair.source, pair.target)]
        return [self.encoder, *(text.path for text in texts if text.path)]

    def run(self) -> None:
        """Do the work in this process."""
        pairs, reasons = _read(self)
        texts = [sentence.text for pair in pairs for side in pair for sentence in side]
        vectors = (
            embed(self.encoder, texts, self.settings.prompt, self.settings.device) if texts else np.empty((0, 1), np.float32)
        )
        rows, aligned = list[dict[str, Any]](), dict.fromkeys(("sentences", "without_counterpart", "below_min_score"), 0)
        first = 0
        for source, target in pairs:
            middle, last = first + len(source), first + len(source) + len(target)
            blocks = self._align(source, target, vectors[first:middle], vectors[middle:last])
            rows += self._rows(blocks, source, target, aligned)
            first = last
        with Workspace(self.root).part(aligned_name(self.target, self.group)) as folder:
            folder.mkdir()
            _write(folder / ROWS_FILE, rows)
            counts = {"documents": len(pairs), "set_aside": len(reasons), "pairs": len(rows), **aligned}
            info = json.dumps({**counts, "reasons": reasons[:_MAX_REASONS]}, ensure_ascii=False, indent=1)
            (folder / INFO).write_text(info + "\n", encoding="utf-8")

    def _align(self, source: Sequence[Sentence], target: Sequence[Sentence], *vectors: Matrix) -> list[Block]:
        lengths = [np.array([len(sentence.text) for sentence in side], np.float64) for side in (source, target)]
        documents = [Document(side, length) for side, length in zip(vectors, lengths, strict=True)]
        return align_documents(documents[0], documents[1], AlignmentCosts(self.settings.max_merge))

    def _rows(
        self, blocks: Sequence[Block], source: Sequence[Sentence], target: Sequence[Sentence], counts: dict[str, int]
    ) -> list[dict[str, Any]]:
        """Return the rows of the blocks with both sides and a sufficient score, and count the others."""
        rows = []
        counts["sentences"] += len(source) + len(target)
        for block in blocks:
            sides = [source[slice(*block.source)], target[slice(*block.target)]]
            if not all(sides):
                counts["without_counterpart"] += len(sides[0]) + len(sides[1])
            elif block.score < self.settings.min_score:
                counts["below_min_score"] += 1
            else:
                texts = [join_sentences([sentence.text for sentence in side]) for side in sides]
                origin = " = ".join(map(_origin, sides))
                rows.append({"source": texts[0], "target": texts[1], "origin": origin, "score": block.score})
        return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the aligned sentences of a step."""
    with pa.memory_map(str(path)) as source:
        rows: list[dict[str, Any]] = pa.ipc.open_file(source).read_all().to_pylist()
    return rows


def _read(step: DocumentStep) -> tuple[list[tuple[list[Sentence], list[Sentence]]], list[str]]:
    """Return the sentences of both sides of the documents, and why the others are set aside."""
    pairs, reasons = list[tuple[list[Sentence], list[Sentence]]](), list[str]()
    for pair in step.pairs:
        try:
            sides = [_sentences(pair.source, step.source, step), _sentences(pair.target, step.target, step)]
        except InputError as error:
            reasons.append(error.problem)
            continue
        pairs.append((sides[0], sides[1]))
    return pairs, reasons


def _sentences(document: DocumentText, language: str, step: DocumentStep) -> list[Sentence]:
    """Return the sentences of a document. Raises InputError if it cannot be read, or has none."""
    split = step.settings.split == "sentences"
    if file := document.file:
        found = list(read_sentences(file, language, split))
    else:
        lines = enumerate(document.text.split("\n"), 1)
        found = [row for number, line in lines for row in sentences_of(line, f"{document.name}:{number}", language, split)]
    if not found:
        raise InputError(f"{document.path or document.name} has no text")
    if "".join(sentence.text for sentence in found[:4]).replace(" ", "").lower().startswith(_HTML):
        raise InputError(f"{document.path or document.name} is HTML: extract its text first")
    return found


def _origin(sentences: Sequence[Sentence]) -> str:
    """Return the place of the first sentence, and how many follow."""
    more = f"+{len(sentences) - 1}" if len(sentences) > 1 else ""
    return f"{sentences[0].origin}{more}"


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, ALIGNED) as writer:
        writer.write_table(pa.Table.from_pylist(list(rows), schema=ALIGNED))
