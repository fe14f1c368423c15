"""The harness: both models, every task, language and seed, the same code; each score is a part of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.evaluation.data import tokenizer_coverage
from mlctl.evaluation.data.heldout import Heldout, WordPair, one_to_one, read_heldout
from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.statistics.model_comparison import Judged, difference_rows, item_columns, score_rows
from mlctl.evaluation.tasks import open_task
from mlctl.evaluation.tasks.base import Task
from mlctl.modeling.model_sources import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODELS = ("base", "trained")

_REVISION = 1  # of the held-out tasks, see Card.revision
_TOKENS = "tokens.parquet"
_log = logging.getLogger(__name__)


def evaluate(
    settings: Evaluate,
    model: Model,
    languages: Languages,
    seed: int,
    sharded: Path,
    trained: Path,
    workspace: Workspace,
    progress: Progress = silent,
    parts: ScoreCache | None = None,
    against: Path | None = None,
) -> dict[str, float | int]:
    """Judge the base and the trained encoder on the held-out pairs and on the recipe's benchmarks.

    Writes `scores.parquet`, `items.parquet`, `differences.parquet`, `averages.parquet`, `tokens.parquet` (schemas of these names) and
    `protocol.json`: the benchmarks' cards, settings and languages, each model's pooling, and the tasks' notes.

    Args:
        settings: benchmarks, size of the map, how to compute.
        model: the encoder that training started from, used where `trained/base` is not there.
        languages: source and target languages.
        seed: draws words and sentences where there are more than needed, and the draws of the tests.
        sharded: result of the shard stage (`tokenizer/`, `heldout/<t>.parquet`).
        trained: result of the train stage (`model/`, `base/` of a model from scratch).
        workspace: where the result is made.
        progress: told after each score.
        parts: where scores outlive the run; None: in the workspace, until the result is made.
        against: folder of an encoder with the same tokenizer that stands as `base` instead of what training started from.

    Returns:
        Mean headline figure of each task and model over languages (English left out) and seeds, in [0, 1], and the languages of the
        held-out pairs.

    Raises:
        InputError: no held-out pairs, no trained model, no data of a benchmark, or a device that is not there.
    """
    kept = Workspace(workspace.scratch)
    run = _open(settings, languages, seed, sharded, trained, model, parts or ScoreCache(kept.path("parts")), against)
    judged = [one for name in MODELS for one in _judge(run, name, kept, progress)]
    differences, averages = difference_rows(judged, settings.resamples, seed)
    _put(workspace, "scores.parquet", pa.Table.from_pylist(score_rows(judged), schema.SCORES))
    _put(workspace, "items.parquet", _items(judged))
    _put(workspace, "differences.parquet", pa.Table.from_pylist(differences, schema.DIFFERENCES))
    _put(workspace, "averages.parquet", pa.Table.from_pylist(averages, schema.AVERAGES))
    _put(workspace, _TOKENS, pa.concat_tables(pq.read_table(kept.path(_tokens_of(name))) for name in MODELS))
    _write_protocol(run, judged, workspace)
    return {"languages": len(run.heldout), **_means(averages)}


def check(settings: Evaluate) -> None:
    """Look whether the data of all benchmarks are there, before anything is computed.

    Raises:
        InputError: those of one are not, or not in the languages that the recipe names.
    """
    for entry in settings.benchmarks:
        open_task(entry)


def digests(settings: Evaluate) -> dict[str, str]:
    """Return the digests of the data of all benchmarks, by `<benchmark>.<language>`.

    Raises:
        InputError: data of a benchmark are not there.
    """
    tasks = [open_task(entry) for entry in settings.benchmarks]
    return {f"{task.metadata.task}.{language}": task.data(language) for task in tasks for language in task.languages}


@dataclass
class _Run:
    """What the judging of every task shares."""

    settings: Evaluate
    source: str
    seed: int
    heldout: Sequence[Heldout]
    digests: dict[str, str]
    tasks: Sequence[tuple[Task, Sequence[str]]]
    tokenizer: PreTrainedTokenizerBase
    subjects: dict[str, ModelUnderTest]
    done: int = 0

    def word_pairs(self, pairs: Heldout) -> list[WordPair]:
        """Return the word pairs of the word benchmark."""
        return one_to_one(pairs, self._word, self.seed)

    @property
    def total(self) -> int:
        """How many scores there are to make."""
        published = sum(len(languages) * len(self.seeds(task)) for task, languages in self.tasks)
        return len(MODELS) * (len(self.heldout) + published)

    def seeds(self, task: Task) -> Sequence[int | None]:
        """Return the seeds that a task is judged with."""
        return self.settings.seeds if task.metadata.fine_tuned else (None,)

    def _word(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids))).strip().casefold()


def _open(
    settings: Evaluate,
    languages: Languages,
    seed: int,
    sharded: Path,
    trained: Path,
    model: Model,
    parts: ScoreCache,
    against: Path | None,
) -> _Run:
    heldout = read_heldout(sharded, languages.targets)
    if not (trained / "model").is_dir():
        raise InputError(f"no trained model at {trained / 'model'}", "run the train stage")
    scratch, words = trained / "base", sharded / "tokenizer"
    folders = {"base": against or (scratch if scratch.is_dir() else resolve(model)), "trained": trained / "model"}
    from mlctl.modeling.encoders import load_tokenizer
    from mlctl.modeling.sentence_transformers_export import read_pooled_layers

    tokenizer = load_tokenizer(words)
    dev = _dev(settings, heldout)
    tasks = [
        (task, tokenizer_coverage.readable(task, entry.languages, tokenizer))
        for entry in settings.benchmarks
        for task in (open_task(entry),)
    ]
    places = read_pooled_layers(folders["trained"])
    subjects = {name: ModelUnderTest(name, folder, words, settings, parts, dev, places) for name, folder in folders.items()}
    digests = {pairs.language: tokenizer_coverage.digest(pairs) for pairs in heldout}
    return _Run(settings, languages.source, seed, heldout, digests, tasks, tokenizer, subjects)


def _dev(settings: Evaluate, heldout: Sequence[Heldout]) -> Heldout:
    wanted = settings.pooling_dev or heldout[0].language
    found = next((pairs for pairs in heldout if pairs.language == wanted), None)
    if found is None:
        have = ", ".join(pairs.language for pairs in heldout)
        raise InputError(f"evaluate.pooling_dev: no held-out pairs of {wanted}", f"name one of {have}")
    return found


def _judge(run: _Run, name: str, kept: Workspace, progress: Progress) -> Iterator[Judged]:
    """Judge one model in everything, or take what was found before; only one model is in memory."""
    subject = run.subjects[name]
    subject.say = lambda text: progress(run.done, run.total, "scores", model=name, learning=text)
    for pairs in run.heldout:
        yield from _heldout(run, subject, pairs)
        _said(run, progress, name, pairs.language)
    _keep_tokens(run, subject, kept)
    for task, languages in run.tasks:
        for seed in run.seeds(task):
            for language in languages:
                yield _published(subject, task, language, seed)
                _said(run, progress, name, language)
    subject.release()


def _heldout(run: _Run, subject: ModelUnderTest, pairs: Heldout) -> list[Judged]:
    from mlctl.evaluation.tasks.heldout_retrieval import judge

    tasks = run.settings.tasks
    data = {"digest": run.digests[pairs.language], "language": pairs.language, "source": run.source}
    identity = {
        "task": "held-out",
        "revision": _REVISION,
        "model": subject.identity,
        "data": data,
        "tasks": tasks,
        "seed": run.seed,
    }

    def make() -> list[Outcome]:
        encoder = subject.encoder_for(pairs.largest_id())
        return judge(encoder, pairs, run.word_pairs(pairs), run.source, run.settings.batch_rows, tasks)

    found = subject.parts.outcomes(identity, make)
    missing = set(tasks) - {outcome.task for outcome in found}
    if missing:
        _log.warning("%s: no %s, too few aligned words among the held-out pairs", pairs.language, ", ".join(sorted(missing)))
    judged = [
        Judged(subject.name, task, pairs.language, None, "accuracy", [o for o in found if o.task == task])
        for task in tasks
        if task not in missing
    ]
    _log.info("%s, %s: %s", subject.name, pairs.language, _in_words(judged))
    return judged


def _published(subject: ModelUnderTest, task: Task, language: str, seed: int | None) -> Judged:
    metadata = task.metadata
    identity = {
        "task": metadata.task,
        "revision": metadata.revision,
        "model": subject.identity,
        "vectors": {**subject.asked, "pooling": subject.pooling},
        "settings": task.settings,
        "data": task.data(language),
        "language": language,
        "seed": seed,
    }
    found = subject.parts.outcomes(identity, lambda: task.judge(subject, language, seed))
    judged = Judged(subject.name, metadata.task, language, seed, metadata.metric, found)
    _log.info("%s, %s%s: %s", subject.name, language, "" if seed is None else f", seed {seed}", _in_words([judged]))
    return judged


def _said(run: _Run, progress: Progress, name: str, language: str) -> None:
    run.done += 1
    progress(run.done, run.total, "scores", model=name, language=language)


def _in_words(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{one.task} {o.direction} {100 * o.figures[one.metric]:.1f}%" for one in judged for o in one.outcomes)


def _items(judged: Sequence[Judged]) -> pa.Table:
    tables = [pa.table(item_columns(one, outcome), schema.ITEMS) for one in judged for outcome in one.outcomes]
    return pa.concat_tables(tables)


def _keep_tokens(run: _Run, subject: ModelUnderTest, kept: Workspace) -> None:
    """Write one model's token states where a killed run finds them."""
    from mlctl.evaluation.embedding.token_map import choose_sentences, token_rows

    if kept.has(_tokens_of(subject.name)):
        return
    sentences = choose_sentences(run.heldout, run.source, run.settings.embedding_map_sentences, run.seed)
    largest = max(pairs.largest_id() for pairs in run.heldout)
    found = token_rows(subject.encoder_for(largest), sentences, run.tokenizer) if sentences else ()
    _put(
        kept,
        _tokens_of(subject.name),
        pa.Table.from_pylist([{"model": subject.name, **row} for row in found], schema.TOKEN_STATES),
    )


def _tokens_of(name: str) -> str:
    return f"tokens-{name}.parquet"


def _put(workspace: Workspace, name: str, table: pa.Table) -> None:
    if not workspace.has(name):
        with workspace.part(name) as path:
            pq.write_table(table.combine_chunks(), path, compression="zstd")


def _write_protocol(run: _Run, judged: Sequence[Judged], workspace: Workspace) -> None:
    """Say how was judged: what no table says."""
    if workspace.has("protocol.json"):
        return
    benchmarks = [
        {"card": task.metadata.as_json(), "settings": task.settings, "languages": list(languages)}
        for task, languages in run.tasks
    ]
    notes = [
        {"model": one.model, "task": one.task, "language": one.language, "direction": o.direction, **o.notes}
        for one in judged
        for o in one.outcomes
        if o.notes
    ]
    models = {name: subject.described(bool(run.tasks)) for name, subject in run.subjects.items()}
    said: dict[str, Any] = {"benchmarks": benchmarks, "models": models, "resamples": run.settings.resamples, "notes": notes}
    with workspace.part("protocol.json") as path:
        path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _means(averages: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {f"{row['task'].replace('-', '_')}_{name}": row[name] for row in averages for name in MODELS}
