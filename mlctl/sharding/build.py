"""From aligned pairs and a plan to the files of the stage."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlctl.config import Shard
from mlctl.core.arrow import batches
from mlctl.core.workspace import Progress, Workspace
from mlctl.sharding import content_words, external_sort, heldout, rows
from mlctl.sharding.decontamination import Flags, Screen, Unseen
from mlctl.sharding.subword_spans import Encoder
from mlctl.sharding.synthetic_cap import Cap
from mlctl.sharding.word_frequency_cap import Limit

_HELD, _HELD_TEXT, _HELD_PASSAGE = "held out", "held-out text", "held-out passage"
#: The rule that drops pairs without a word pair.
NO_WORD_PAIR = "no word pair"


@dataclass(frozen=True)
class Corpus:
    """The aligned pairs of every target language and what has been decided about them."""

    files: Mapping[str, Path]
    plan: heldout.Plan
    screen: Screen
    seed: int

    @classmethod
    def of(cls, settings: Shard, files: Mapping[str, Path], seed: int, unseen: Sequence[Unseen]) -> Corpus:
        """Read what has to be known before the first row: the text that must stay unseen, and all aligned pairs once."""
        screen = Screen.of(unseen)
        plan = heldout.plan(settings, files, seed)
        return cls(files, plan, screen.with_first(_HELD_PASSAGE, plan.heldout_text(files)), seed)

    def training_text(self) -> Iterator[list[str]]:
        """Yield the texts of both sides of the pairs that may be trained on, in batches."""
        for file in self.files.values():
            for batch in batches(file, batch_rows=content_words.ROWS):
                free = batch.filter(pa.array(self._free(batch, Counter())))
                yield from (free["source"].to_pylist(), free["target"].to_pylist())

    def write_heldout(self, language: str, encoder: Encoder, path: Path) -> None:
        """Write the held-out rows of one language."""
        chosen, first, found = self.plan.heldout[language], 0, []
        for batch in batches(self.files[language], batch_rows=content_words.ROWS):
            inside = chosen[(chosen >= first) & (chosen < first + batch.num_rows)] - first
            found.append(rows.make(batch.take(pa.array(inside)), self.plan.content[language], encoder, self.seed))
            first += batch.num_rows
        external_sort.write_table(path, pa.Table.from_batches(found, rows.KEYED))

    def write_runs(self, encoder: Encoder, workspace: Workspace, progress: Progress) -> list[external_sort.Run]:
        """Turn all other pairs into sorted runs in the scratch folder; runs that are there already stay."""
        done, total, opened = 0, sum(self.plan.pairs.values()), []
        for language, file in self.files.items():
            for number, batch in enumerate(batches(file, batch_rows=external_sort.PAIRS)):
                path = workspace.scratch / f"{language}-{number:05d}.arrow"
                if not path.exists():
                    counts = Counter({"pairs": batch.num_rows})
                    external_sort.write(path, self._training_rows(language, batch, encoder, counts), counts)
                opened.append(external_sort.Run.open(path, language))
                done += batch.num_rows
                progress(done, total, "pairs")
        return opened

    def _training_rows(
        self, language: str, pairs: pa.RecordBatch, encoder: Encoder, counts: Counter[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the training rows of some pairs and count those that each rule drops."""
        for first in range(0, pairs.num_rows, content_words.ROWS):
            batch = pairs.slice(first, content_words.ROWS)
            free = self._free(batch, counts)
            made = rows.make(batch.filter(pa.array(free)), self.plan.content[language], encoder, self.seed)
            counts[NO_WORD_PAIR] += int(np.count_nonzero(free)) - made.num_rows
            yield made

    def _free(self, batch: pa.RecordBatch, counts: Counter[str]) -> Flags:
        """Tell which pairs may be trained on; count by rule those that may not, and for each set what it has of the rest."""
        unheld = ~self.plan.is_held(batch)
        free = unheld.copy()
        counts[_HELD_TEXT] += int(np.count_nonzero(~free))
        for one, match in zip(self.screen.sets, self.screen.matches(batch), strict=True):
            found = {"text": match.exact & unheld, "passage": match.passage & unheld, "dropped": match.either & free}
            counts.update({_count_of(one.name, what): int(np.count_nonzero(flags)) for what, flags in found.items()})
            free &= ~match.either
        return free

    def funnel(self, language: str, opened: list[external_sort.Run]) -> list[dict[str, str | int]]:
        """Return the funnel's rows of one language: what each rule left of its pairs."""
        counts, chosen = _counts(language, opened), len(self.plan.heldout[language])
        dropped = {_HELD: chosen, _HELD_TEXT: counts[_HELD_TEXT] - chosen}
        for one in self.screen.sets:
            dropped[one.name] = counts[_count_of(one.name, "dropped")]
        dropped[NO_WORD_PAIR] = counts[NO_WORD_PAIR]
        for rule in dict.fromkeys(filter_.rule for run in opened for filter_ in run.filters):
            dropped[rule] = sum(run.kept.dropped[rule] for run in opened if run.language == language)
        table: list[dict[str, str | int]] = []
        left = counts["pairs"]
        for rule, number in dropped.items():
            table.append({"stage": "shard", "language": language, "rule": rule, "rows_in": left, "rows_out": left - number})
            left -= number
        return table

    def decontamination(self, unseen: Sequence[Unseen], opened: list[external_sort.Run]) -> dict[str, Any]:
        """Return what was looked for and found, for people and the report.

        `checked` is false where there was no set to look for. For each set and language: pairs that have the `text` of a sentence,
        those that have a `passage` only, and those `dropped` because no rule or set before had dropped them.
        """
        counts = {language: _counts(language, opened) for language in self.files}
        sets = [
            {
                "name": named.name,
                "files": list(named.files),
                "sentences": one.sentences,
                "passages": len(one.passages),
                "pairs": {
                    language: {what: counts[language][_count_of(one.name, what)] for what in ("text", "passage", "dropped")}
                    for language in counts
                },
            }
            for named, one in zip(unseen, self.screen.sets[1:], strict=True)
        ]
        return {"checked": bool(sets), "sets": sets}


def chosen(opened: list[external_sort.Run], settings: Shard) -> list[external_sort.Run]:
    """Return the runs with what the recipe says about their languages: the cap on synthetic rows, the limit of each word."""
    opened = _capped(opened, settings.max_synthetic)
    if settings.word_frequency_cap is None:
        return opened
    limited = [run.filtered(limit) for run, limit in zip(opened, _limits(opened, settings.word_frequency_cap), strict=True)]
    lost = any(run.kept.rows < before.kept.rows for run, before in zip(limited, opened, strict=True))
    return _capped(limited, settings.max_synthetic) if lost else limited  # again: the limit may have taken more human rows


def _limits(opened: list[external_sort.Run], most: int) -> list[Limit]:
    found: dict[str, Limit] = {}
    for language in dict.fromkeys(run.language for run in opened):
        found[language] = Limit.of(functools.partial(_tables, opened, language), most)
    return [found[run.language] for run in opened]


def _capped(opened: list[external_sort.Run], max_synthetic: float | None) -> list[external_sort.Run]:
    if max_synthetic is None:
        return opened
    languages = dict.fromkeys(run.language for run in opened)
    caps = {
        language: Cap.of([table.select(["key", "synthetic"]) for table in _tables(opened, language)], max_synthetic)
        for language in languages
    }
    return [run.filtered(caps[run.language]) for run in opened]


def _tables(opened: list[external_sort.Run], language: str) -> Iterator[pa.Table]:
    return (run.columns() for run in opened if run.language == language)


def _counts(language: str, opened: list[external_sort.Run]) -> Counter[str]:
    return sum((run.counts for run in opened if run.language == language), Counter[str]())


def _count_of(rule: str, what: str) -> str:
    return f"{rule}\0{what}"
