"""The steps of mining: text → distinct sentences → vectors → neighbours → pairs. Each commits one part of the job's workspace."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mlctl.core.text_lines import lines
from mlctl.errors import InputError
from mlctl.mining import mining_job as names
from mlctl.mining.embedding import embed
from mlctl.mining.index import ExactIndex, Index, IvfIndex, Neighbours, build_ivf
from mlctl.mining.margin import MinedPairs, mutual_best
from mlctl.mining.mining_job import INFO, Direction, MiningJob, Phase, TargetText
from mlctl.mining.sentence_files import Sentence, SentenceFilter, TextFile, no_text, read_sentences, rows_of, write_table
from mlctl.mining.threshold import best_threshold
from mlctl.mining.vectors import PART_ROWS, VectorParts, write_vectors

#: A selected pair: rows of both sides, and the margin.
PAIR = np.dtype([("source", np.int64), ("target", np.int64), ("margin", np.float64)])
#: Names in the folders of steps.
PAIRS_FILE, SENTENCES_FILE = "pairs.npy", "sentences.arrow"

_GOLD_SHARE = 4  # one of so many dev pairs is planted with both sides; of the others one side alone
_MIN_GOLD = 10
_MAX_REASONS = 20  # that are kept of each group of files

_Hashes = npt.NDArray[np.uint64]


class MiningStep(BaseModel):
    """A step of mining.

    Attributes:
        job: without the files of its sides, which can be many: workers get the step as JSON.
        phase: what the step does.
        number: of the step in its phase; in the phase split, number of the group of files.
        side: name of the side whose `files` are split.
        groups: number of groups that are gathered.
    """

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = "if memory ran out, lower download.workers; a second run resumes after the finished parts"
    timeout: ClassVar[None] = None

    job: MiningJob
    phase: Phase
    number: int
    side: str = ""
    files: tuple[TextFile, ...] = ()
    groups: int = 0

    @classmethod
    def of(cls, job: MiningJob, phase: Phase, number: int) -> MiningStep:
        """Return a step of a job."""
        light = job.model_copy(update={"sides": tuple(side.model_copy(update={"files": ()}) for side in job.sides)})
        if phase == "split":
            side, group = job.split_steps[number]
            return cls(job=light, phase=phase, number=group, side=side.name, files=side.groups[group])
        if phase == "gather":
            return cls(job=light, phase=phase, number=number, groups=len(job.sides[number].groups))
        return cls(job=light, phase=phase, number=number)

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        return f"download: mining {self.job.settings.name} ({self.phase})"

    @property
    def reads(self) -> list[Path]:
        """The files that the step reads."""
        if self.phase == "split":
            return [file.path for file in self.files]
        path, job = self.job.workspace.path, self.job
        infos = [path(names.sentences_name(side.name)) / INFO for side in job.sides]
        if self.phase == "gather":
            return [path(names.split_name(job.sides[self.number].name, group)) for group in range(self.groups)]
        if self.phase == "plant":
            text = job.targets[self.number]
            sides = (text.source_side, text.target_side)
            return [*text.dev, *(path(names.sentences_name(side)) for side in sides)]
        if self.phase == "embed":
            return [job.encoder, path(job.embeddings[self.number].sentences), *infos]
        return [*infos, *self._read_in_search()]

    def run(self) -> None:
        """Do the work in this process."""
        _WORK[self.phase](self)

    def _read_in_search(self) -> list[Path]:
        path, job = self.job.workspace.path, self.job
        if self.phase == "index":
            text, direction = job.directions[self.number]
            return [path(part.vectors) for part in job.pool(text, names.candidate_side(direction))]
        if self.phase == "search":
            text, direction, number = job.search_steps[self.number]
            queries = path(job.pool(text, names.query_side(direction))[number].vectors)
            if job.uses_ivf(text):
                return [queries, path(names.index_name(text.target, direction))]
            return [queries, *(path(part.vectors) for part in job.pool(text, names.candidate_side(direction)))]
        text = job.targets[self.number]
        found = [path(names.neighbours_name(*step)) for step in _search_steps(job, text)]
        return [*found, path(names.dev_name(text.target))] if text.dev else found


def _split(step: MiningStep) -> None:
    """Write the sentences of a group of files; a document that cannot be read is set aside."""
    settings, side = step.job.settings, step.job.side(step.side)
    keep = SentenceFilter(settings.max_sentence_characters, settings.min_sentence_letters)
    set_aside = list[str]()

    def sentences() -> Iterator[Sentence]:
        for file in step.files:
            read = (row for row in read_sentences(file, side.language, settings.split == "sentences") if keep.keeps(row.text))
            if file.path.stat().st_size > names.GROUP_BYTES:
                yield from read
                continue
            try:
                yield from list(read)
            except InputError as error:
                set_aside.append(error.problem)

    with step.job.workspace.part(names.split_name(step.side, step.number)) as folder:
        folder.mkdir()
        write_table(folder / SENTENCES_FILE, sentences())
        counts = {"documents": len(step.files) - len(set_aside), "set_aside": len(set_aside), "left_out": keep.left_out}
        _write_info(folder, {**counts, "reasons": set_aside[:_MAX_REASONS]})


def _gather(step: MiningStep) -> None:
    """Write the distinct sentences of a side, the first of each, in files of `PART_ROWS`."""
    workspace, side = step.job.workspace, step.job.sides[step.number]
    folders = [workspace.path(names.split_name(side.name, group)) for group in range(step.groups)]
    infos = [json.loads((folder / INFO).read_text(encoding="utf-8")) for folder in folders]
    tables = [folder / SENTENCES_FILE for folder in folders]
    hashes = _hashes(tables)
    first = np.zeros(len(hashes), bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    reasons = [reason for info in infos for reason in info["reasons"]]
    if not len(hashes):
        raise no_text(step.job.settings.name, f"the {side.language} text", reasons)
    distinct = (row for row, kept in zip(_rows(tables), first, strict=True) if kept)
    count = int(first.sum())
    parts = -(-count // PART_ROWS)
    with workspace.part(names.sentences_name(side.name)) as folder:
        folder.mkdir()
        for part in range(parts):
            write_table(folder / f"{part}.arrow", itertools.islice(distinct, PART_ROWS))
        counts = {name: sum(info[name] for info in infos) for name in ("documents", "set_aside", "left_out")}
        counts |= {"sentences": count, "duplicates": len(hashes) - count, "parts": parts}
        _write_info(folder, {**counts, "reasons": reasons[:_MAX_REASONS]})


def _plant(step: MiningStep) -> None:
    """Write the dev sentences: of every fourth pair both sides, of the others one side, so that these have no translation."""
    job, text = step.job, step.job.targets[step.number]
    pairs, left_out = _unknown_pairs(job, text)
    gold = pairs[::_GOLD_SHARE]
    if len(gold) < _MIN_GOLD:
        problem = f"{job.settings.name}: dev has {len(pairs)} different pairs in {text.target} that are not in the text"
        raise InputError(problem, f"it needs {_MIN_GOLD * _GOLD_SHARE} at least, better a thousand: give more, or set min_margin")
    unpaired = [pair for row, pair in enumerate(pairs) if row % _GOLD_SHARE]
    with job.workspace.part(names.dev_name(text.target)) as folder:
        folder.mkdir()
        for side, name in enumerate(("source", "target")):
            planted = [*(pair[side] for pair in gold), *(pair[side] for pair in unpaired[side::2])]
            write_table(folder / f"{name}.arrow", (Sentence(sentence, "dev") for sentence in planted))
        _write_info(folder, {"gold": len(gold), "unpaired": len(unpaired), "left_out": left_out})


def _unknown_pairs(job: MiningJob, text: TargetText) -> tuple[list[tuple[str, str]], int]:
    """Return the dev pairs of which neither side occurs in the text or in an earlier pair, and the number of the others."""
    source, target = (lines(file) for file in text.dev)
    if len(source) != len(target):
        problem = f"{text.dev[0]} has {len(source)} lines, {text.dev[1]} has {len(target)}"
        raise InputError(problem, "the files of dev are not parallel: give files with the same number of lines")
    known = [set(_pool_hashes(job, side).tolist()) for side in (text.source_side, text.target_side)]
    pairs = list[tuple[str, str]]()
    for pair in zip(map(str.strip, source), map(str.strip, target), strict=True):
        hashes = [_hash(sentence) for sentence in pair]
        if all(pair) and not any(value in seen for value, seen in zip(hashes, known, strict=True)):
            pairs.append(pair)
            for value, seen in zip(hashes, known, strict=True):
                seen.add(value)
    return pairs, len(source) - len(pairs)


def _embed(step: MiningStep) -> None:
    job, part = step.job, step.job.embeddings[step.number]
    texts = [row.text for row in rows_of(job.workspace.path(part.sentences))]
    vectors = embed(job.encoder, texts, job.settings.prompt, job.settings.device)
    with job.workspace.part(part.vectors) as path:
        write_vectors(path, vectors)


def _index(step: MiningStep) -> None:
    job = step.job
    text, direction = job.directions[step.number]
    with job.workspace.part(names.index_name(text.target, direction)) as path:
        build_ivf(job.vectors(text, names.candidate_side(direction)), path, job.settings.nlist)


def _search(step: MiningStep) -> None:
    job = step.job
    text, direction, number = job.search_steps[step.number]
    queries = VectorParts([job.workspace.path(job.pool(text, names.query_side(direction))[number].vectors)])
    found = _open_index(job, text, direction).search(queries.part(0), job.settings.neighbours)
    with job.workspace.part(names.neighbours_name(text.target, direction, number)) as path, path.open("wb") as file:
        np.save(file, found)


@functools.lru_cache(maxsize=1)
def _open_index(job: MiningJob, text: TargetText, direction: Direction) -> Index:
    if job.uses_ivf(text):
        return IvfIndex(job.workspace.path(names.index_name(text.target, direction)), job.settings.nprobe)
    return ExactIndex(job.vectors(text, names.candidate_side(direction)))


def _select(step: MiningStep) -> None:
    """Write the pairs above the threshold, best first."""
    job, text = step.job, step.job.targets[step.number]
    pairs = mutual_best(*(_neighbours(job, text, direction) for direction in ("forward", "backward")))
    sentences = job.rows(text)
    is_text = (pairs.source < sentences[0]) & (pairs.target < sentences[1])
    candidates = pairs.select(is_text)
    minimum, notes = _minimum(job, text, candidates, pairs.select(~is_text))
    selected = candidates.select(candidates.margin >= minimum)
    if job.settings.max_pairs:
        selected = selected.select(slice(job.settings.max_pairs))
    rows = np.empty(len(selected.source), PAIR)
    rows["source"], rows["target"], rows["margin"] = selected
    with job.workspace.part(names.pairs_name(text.target)) as folder:
        folder.mkdir()
        np.save(folder / PAIRS_FILE, rows)
        counts = {"candidates": len(candidates.source), "pairs": len(rows), "min_margin": round(float(minimum), 6)}
        _write_info(folder, {**counts, "index": "ivf" if job.uses_ivf(text) else "exact", **notes})


def _minimum(job: MiningJob, text: TargetText, candidates: MinedPairs, planted: MinedPairs) -> tuple[float, dict[str, Any]]:
    """Return the minimum margin, and for dev how the planted pairs are found with it."""
    settings = job.settings
    if settings.min_margin is not None:
        return settings.min_margin, {}
    if settings.min_percentile is not None:
        return float(np.percentile(candidates.margin, settings.min_percentile)) if len(candidates.margin) else 0.0, {}
    gold = int(job.info(names.dev_name(text.target))["gold"])
    source, target = (rows - count for rows, count in zip(planted[:2], job.rows(text), strict=True))
    correct = (source == target) & (source >= 0) & (source < gold)
    minimum = best_threshold(planted.margin.tolist(), correct.tolist(), gold)
    if not np.isfinite(minimum):
        problem = f"{settings.name}: none of the {gold} planted pairs of dev in {text.target} was found"
        raise InputError(problem, "name another encoder, which knows both languages, or check that the files of dev are parallel")
    found, hits = int((planted.margin >= minimum).sum()), int(correct[planted.margin >= minimum].sum())
    scores = {"precision": hits / found, "recall": hits / gold, "f1": 2 * hits / (found + gold)}
    return minimum, {"dev": {"gold": gold, **{name: round(score, 4) for name, score in scores.items()}}}


def _neighbours(job: MiningJob, text: TargetText, direction: Direction) -> Neighbours:
    steps = [step for step in _search_steps(job, text) if step[1] == direction]
    found: Neighbours = np.concatenate([np.load(job.workspace.path(names.neighbours_name(*step))) for step in steps])
    return found


def _search_steps(job: MiningJob, text: TargetText) -> list[tuple[str, Direction, int]]:
    return [(other.target, direction, part) for other, direction, part in job.search_steps if other.target == text.target]


def _hashes(tables: Sequence[Path]) -> _Hashes:
    """Return a digest of 64 bits of each sentence: of ten million, two different ones are equal in one of 400,000 corpora."""
    return np.fromiter((_hash(row.text) for row in _rows(tables)), np.uint64)


def _pool_hashes(job: MiningJob, side: str) -> _Hashes:
    folder = job.workspace.path(names.sentences_name(side))
    return _hashes([folder / f"{part}.arrow" for part in range(job.info(names.sentences_name(side))["parts"])])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _rows(tables: Sequence[Path]) -> Iterator[Sentence]:
    for table in tables:
        yield from rows_of(table)


def _write_info(folder: Path, values: dict[str, Any]) -> None:
    (folder / INFO).write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


_WORK = {
    "split": _split,
    "gather": _gather,
    "plant": _plant,
    "embed": _embed,
    "index": _index,
    "search": _search,
    "select": _select,
}
