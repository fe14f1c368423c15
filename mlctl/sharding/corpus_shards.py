"""The aligned corpus on its way to shards: what is held out and dropped, training rows in sorted runs, caps, funnel."""

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
from mlctl.sharding.content_words import BATCH_ROWS
from mlctl.sharding.decontamination import DecontaminationIndex, EvaluationText, Flags
from mlctl.sharding.external_sort import RUN_PAIRS, SortedRun, write_run, write_table
from mlctl.sharding.heldout import HeldoutPairs, HeldoutPlan, plan_heldout
from mlctl.sharding.rows import KEYED_ROWS, make_rows
from mlctl.sharding.subword_spans import SpanTokenizer
from mlctl.sharding.synthetic_cap import SyntheticCap
from mlctl.sharding.word_frequency_cap import WordFrequencyCap

# Rules of the funnel.
_HELD_OUT, _HELD_OUT_TEXT, _HELD_OUT_PASSAGE = "held-out pair", "held-out text", "held-out passage"
_DEV, _DEV_TEXT, _DEV_PASSAGE = "dev pair", "dev text", "dev passage"
_TOO_LONG = "too long"
_OWN_SETS = 2  # of the index: the held-out pairs and the dev pairs, before the evaluation sets
#: The rule that drops pairs without a word pair.
NO_WORD_PAIR = "no word pair"


@dataclass(frozen=True)
class AlignedCorpus:
    """The aligned pairs of every target language, with the plan of what is held out, the dev pairs, and the index of evaluation sets.

    The first two sets of the index are the held-out pairs and the dev pairs.

    `drop_too_long`: training rows with a truncated side are dropped; of held-out and dev pairs the sides are truncated.
    `spaced_words`: share of the training texts whose words are separated by spaces; held-out and dev texts stay as they are.
    """

    files: Mapping[str, Path]
    plan: HeldoutPlan
    dev: HeldoutPairs
    index: DecontaminationIndex
    seed: int
    drop_too_long: bool
    spaced_words: float

    @classmethod
    def read(cls, settings: Shard, files: Mapping[str, Path], seed: int, sets: Sequence[EvaluationText]) -> AlignedCorpus:
        """Read what must be known before the first row is made: the evaluation text, and all aligned pairs once."""
        index = DecontaminationIndex.build(sets)
        plan = plan_heldout(settings, files, seed)
        index = index.with_set(0, _HELD_OUT_PASSAGE, plan.heldout.texts(files))
        dev = plan.choose_dev(settings, files, index.have_text)
        return cls(
            files,
            plan,
            dev,
            index.with_set(1, _DEV_PASSAGE, dev.texts(files)),
            seed,
            settings.too_long == "drop",
            settings.spaced_words,
        )

    def training_text(self) -> Iterator[list[str]]:
        """Yield the texts of both sides of the pairs that may be trained on, in batches."""
        for file in self.files.values():
            for batch in batches(file, batch_rows=BATCH_ROWS):
                trainable = batch.filter(pa.array(self._trainable(batch, Counter())))
                yield from (trainable["source"].to_pylist(), trainable["target"].to_pylist())

    def write_heldout(self, pairs: HeldoutPairs, language: str, tokenizer: SpanTokenizer, path: Path) -> None:
        """Write the rows of the held-out or the dev pairs of one language."""
        content = self.plan.content[language]
        parts = [make_rows(batch, content, tokenizer, self.seed).rows for batch in pairs.read(language, self.files[language])]
        write_table(path, pa.Table.from_batches(parts, KEYED_ROWS))

    def write_runs(self, tokenizer: SpanTokenizer, workspace: Workspace, progress: Progress) -> list[SortedRun]:
        """Write the training rows as sorted runs to the scratch folder; existing runs are reused."""
        scratch = Workspace(workspace.scratch)
        done, total, runs = 0, sum(self.plan.pairs.values()), []
        for language, file in self.files.items():
            for number, batch in enumerate(batches(file, batch_rows=RUN_PAIRS)):
                name = f"{language}-{number:05d}.arrow"
                if not scratch.has(name):
                    counts = Counter({"pairs": batch.num_rows})
                    with scratch.part(name) as path:
                        write_run(path, self._training_rows(language, batch, tokenizer, counts), counts)
                runs.append(SortedRun.open(scratch.path(name), language))
                done += batch.num_rows
                progress(done, total, "pairs")
        return runs

    def _training_rows(
        self, language: str, pairs: pa.RecordBatch, tokenizer: SpanTokenizer, counts: Counter[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the training rows of some pairs and count the pairs that each rule drops."""
        for first in range(0, pairs.num_rows, BATCH_ROWS):
            batch = pairs.slice(first, BATCH_ROWS)
            trainable = self._trainable(batch, counts)
            batch = batch.filter(pa.array(trainable))
            made = make_rows(batch, self.plan.trained[language], tokenizer, self.seed, self.drop_too_long, self.spaced_words)
            counts.update({_TOO_LONG: made.too_long, NO_WORD_PAIR: made.without_word_pair})
            yield made.rows

    def _trainable(self, batch: pa.RecordBatch, counts: Counter[str]) -> Flags:
        """Return which pairs may be trained on; count the others by rule, and the matches of each evaluation set."""
        heldout = self.plan.heldout.have_text_of(batch)
        dev = self.dev.have_text_of(batch) & ~heldout
        counts[_HELD_OUT_TEXT] += int(np.count_nonzero(heldout))
        counts[_DEV_TEXT] += int(np.count_nonzero(dev))
        not_heldout = ~(heldout | dev)
        trainable = not_heldout.copy()
        for indexed, match in zip(self.index.sets, self.index.matches(batch), strict=True):
            flags = {
                "text": match.text & not_heldout,
                "passage": match.passage & not_heldout,
                "dropped": match.either & trainable,
            }
            counts.update({_counter_key(indexed.rule, kind): int(np.count_nonzero(flag)) for kind, flag in flags.items()})
            trainable &= ~match.either
        return trainable

    def funnel(self, language: str, runs: list[SortedRun]) -> list[dict[str, str | int]]:
        """Return the funnel's rows of one language: the number of pairs before and after each rule."""
        counts = _counts(language, runs)
        heldout, dev = len(self.plan.heldout.rows[language]), len(self.dev.rows[language])
        dropped = {_HELD_OUT: heldout, _HELD_OUT_TEXT: counts[_HELD_OUT_TEXT] - heldout}
        dropped |= {_DEV: dev, _DEV_TEXT: counts[_DEV_TEXT] - dev}
        for indexed in self.index.sets:
            dropped[indexed.rule] = counts[_counter_key(indexed.rule, "dropped")]
        if self.drop_too_long:
            dropped[_TOO_LONG] = counts[_TOO_LONG]
        dropped[NO_WORD_PAIR] = counts[NO_WORD_PAIR]
        for rule in dict.fromkeys(row_filter.rule for run in runs for row_filter in run.filters):
            dropped[rule] = sum(run.kept.dropped[rule] for run in runs if run.language == language)
        table: list[dict[str, str | int]] = []
        left = counts["pairs"]
        for rule, count in dropped.items():
            table.append({"stage": "shard", "language": language, "rule": rule, "rows_in": left, "rows_out": left - count})
            left -= count
        return table

    def decontamination(self, sets: Sequence[EvaluationText], runs: list[SortedRun]) -> dict[str, Any]:
        """Return the content of `decontamination.json`.

        `checked` is false if there is no set. For each set and language: pairs with the `text` of a sentence, pairs with a `passage`
        only, and pairs `dropped` for this set, which no earlier rule or set had dropped.
        """
        counts = {language: _counts(language, runs) for language in self.files}
        entries = [
            {
                "name": evaluation_text.name,
                "files": list(evaluation_text.files),
                "sentences": indexed.sentences,
                "passages": len(indexed.passages),
                "pairs": {
                    language: {
                        kind: counts[language][_counter_key(indexed.rule, kind)] for kind in ("text", "passage", "dropped")
                    }
                    for language in counts
                },
            }
            for evaluation_text, indexed in zip(sets, self.index.sets[_OWN_SETS:], strict=True)
        ]
        return {"checked": bool(entries), "sets": entries}


def apply_caps(runs: list[SortedRun], settings: Shard) -> list[SortedRun]:
    """Return the runs with the recipe's caps per language: on synthetic rows, and on the word pairs of each word."""
    runs = _cap_synthetic(runs, settings.max_synthetic)
    if settings.word_frequency_cap is None:
        return runs
    caps = _word_frequency_caps(runs, settings.word_frequency_cap)
    capped = [run.filtered(caps[run.language]) for run in runs]
    rows_dropped = any(after.kept.rows < before.kept.rows for after, before in zip(capped, runs, strict=True))
    # Again if rows were dropped: more human rows may be gone than synthetic ones.
    return _cap_synthetic(capped, settings.max_synthetic) if rows_dropped else capped


def _word_frequency_caps(runs: list[SortedRun], max_word_pairs: int) -> dict[str, WordFrequencyCap]:
    languages = dict.fromkeys(run.language for run in runs)
    return {language: WordFrequencyCap.fit(functools.partial(_tables, runs, language), max_word_pairs) for language in languages}


def _cap_synthetic(runs: list[SortedRun], max_synthetic: float | None) -> list[SortedRun]:
    if max_synthetic is None:
        return runs
    languages = dict.fromkeys(run.language for run in runs)
    caps = {
        language: SyntheticCap.fit([table.select(["key", "synthetic"]) for table in _tables(runs, language)], max_synthetic)
        for language in languages
    }
    return [run.filtered(caps[run.language]) for run in runs]


def _tables(runs: list[SortedRun], language: str) -> Iterator[pa.Table]:
    return (run.filter_columns() for run in runs if run.language == language)


def _counts(language: str, runs: list[SortedRun]) -> Counter[str]:
    return sum((run.counts for run in runs if run.language == language), Counter[str]())


def _counter_key(rule: str, kind: str) -> str:
    return f"{rule}\0{kind}"
