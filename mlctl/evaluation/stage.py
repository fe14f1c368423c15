"""The evaluate stage: scores base and trained model on every task, language and seed, and compares them.

Up to three models are scored: the base model as it was published, the base model with the trained model's pooling, and the trained model.
The second says what training itself changed; it is left out where it would be the first again.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.evaluation.base_model import BaseModel, base_model, with_prefix
from mlctl.evaluation.data.heldout import Heldout, read_heldout
from mlctl.evaluation.data.tokenizer_coverage import covered_languages
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.statistics.model_comparison import (
    BASE,
    SAME_POOLING,
    TRAINED,
    ModelScores,
    difference_rows,
    item_columns,
    score_rows,
)
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.heldout_retrieval import HeldoutRetrieval
from mlctl.evaluation.tasks.registry import open_task
from mlctl.modeling.model_sources import resolve
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth, read_sentence_config

if TYPE_CHECKING:
    from mlctl.evaluation.tasks.base import PublishedTask, Task

_MAPPED = (BASE, TRAINED)  # models in the map of token states
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
    score_cache: ScoreCache | None = None,
    base_encoder: Path | None = None,
) -> dict[str, float | int]:
    """Evaluate the base and the trained encoder on the held-out pairs and on the recipe's benchmarks.

    `base` has its own pooling, prompt and maximum length where it has any, `base-same-pooling` the trained model's pooling.

    Writes `scores.parquet`, `items.parquet`, `differences.parquet`, `averages.parquet`, `tokens.parquet`, with `gradient_examples`
    `gradients.parquet` (schemas of these names) and `protocol.json`: the benchmarks' metadata, settings and languages, each model's pooling, and the tasks' notes.

    Args:
        settings: benchmarks, size of the map, arithmetic and device.
        model: the encoder that training started from, used if `trained/base` does not exist.
        languages: source and target languages.
        seed: draws words and sentences if there are more than needed, and the resamples of the tests.
        sharded: result of the shard stage (`tokenizer/`, `heldout/<t>.parquet`).
        trained: result of the train stage (`model/`, and `base/` of a model from scratch).
        workspace: where the result is written.
        progress: called after each score.
        score_cache: cache shared by runs; None: one in the workspace, until the result is complete.
        base_encoder: folder of an encoder with the same tokenizer that replaces the encoder that training started from as `base`; it is
            evaluated as it is only.

    Returns:
        Mean main metric of each task and model over languages (without English) and seeds, in [0, 1], and the number of languages
        with held-out pairs.

    Raises:
        InputError: no held-out pairs, no trained model, no data of a benchmark, or a device that is not available.
    """
    _warn_of_slow_precision(settings)
    scratch, sentences = Workspace(workspace.scratch), _trained_sentences(_trained_encoder(trained))
    heldout = read_heldout(sharded, languages.targets)
    task = HeldoutRetrieval(heldout, settings, languages.source, seed)
    cache = score_cache or ScoreCache(scratch.path("parts"))
    run = _open(settings, model, sharded, trained, heldout, sentences, task, cache, base_encoder)
    write_map = functools.partial(_write_token_map, sentences.pooling, settings, heldout, languages.source, seed, scratch)
    write_gradients = functools.partial(_write_gradients, run, heldout, seed, scratch)
    results = list(_evaluate_models(run, (write_map, write_gradients), progress))
    averages = _write_result(run, results, seed, scratch, workspace)
    return {"languages": len(heldout), **_mean_metrics(averages)}


def _warn_of_slow_precision(settings: Evaluate) -> None:
    from mlctl.modeling.devices import resolve_device, warn_of_slow_bf16

    warn_of_slow_bf16(settings.precision, resolve_device(settings.device, "evaluate.device"), "evaluate.precision")


@dataclass(frozen=True)
class _Evaluation:
    """One task in one language with one seed."""

    task: Task
    language: str
    seed: int | None


@dataclass(frozen=True)
class _Run:
    """Models, benchmarks with the languages that they are evaluated in, and the evaluations of each model, by its name, in order."""

    settings: Evaluate
    base: BaseModel
    models: Sequence[ModelUnderTest]
    benchmarks: Sequence[tuple[PublishedTask, Sequence[str]]]
    evaluations: Mapping[str, Sequence[_Evaluation]]


def _trained_encoder(trained: Path) -> Path:
    if not (trained / "model").is_dir():
        raise InputError(f"no trained model at {trained / 'model'}", "run the train stage")
    return trained / "model"


def _base_encoder(model: Model, trained: Path) -> Path:
    from_scratch = trained / "base"
    return from_scratch if from_scratch.is_dir() else resolve(model)


def _trained_sentences(folder: Path) -> SentenceConfig:
    """Return how the trained model makes sentence vectors."""
    config = read_sentence_config(folder)
    return config or SentenceConfig(Pooling(tuple(sorted({1, encoder_depth(folder)}))))


def _open(
    settings: Evaluate,
    model: Model,
    sharded: Path,
    trained: Path,
    heldout: Sequence[Heldout],
    sentences: SentenceConfig,
    heldout_task: HeldoutRetrieval,
    cache: ScoreCache,
    base_encoder: Path | None,
) -> _Run:
    """Open the models that are compared, and the tasks that they are evaluated on."""
    base_folder = base_encoder or _base_encoder(model, trained)
    base = base_model(settings, base_folder, trained, sentences, sharded, model.allow_pickle)
    models = _open_models(settings, base_folder, trained, sharded / "tokenizer", heldout, cache, base, sentences)
    return _open_run(settings, base, models, heldout_task, compared=base_encoder is None)


def _open_models(
    settings: Evaluate,
    base_folder: Path,
    trained: Path,
    tokenizer: Path,
    heldout: Sequence[Heldout],
    cache: ScoreCache,
    base: BaseModel,
    sentences: SentenceConfig,
) -> dict[str, ModelUnderTest]:
    dev = _dev_pairs(settings, heldout)

    def open_model(name: str, folder: Path, config: SentenceConfig, pooling: str | int) -> ModelUnderTest:
        return ModelUnderTest(name, folder, tokenizer, settings, cache, dev, with_prefix(config, settings.prefix), pooling)

    return {
        BASE: open_model(BASE, base_folder, base.sentences, "auto" if base.has_own else settings.pooling),
        SAME_POOLING: open_model(SAME_POOLING, base_folder, sentences, settings.pooling),
        TRAINED: open_model(TRAINED, trained / "model", sentences, settings.pooling),
    }


def _dev_pairs(settings: Evaluate, heldout: Sequence[Heldout]) -> Heldout:
    language = settings.pooling_dev or heldout[0].language
    for pairs in heldout:
        if pairs.language == language:
            return pairs
    available = ", ".join(pairs.language for pairs in heldout)
    raise InputError(f"evaluate.pooling_dev: no held-out pairs of {language}", f"set it to one of {available}")


def _open_run(
    settings: Evaluate, base: BaseModel, models: Mapping[str, ModelUnderTest], heldout_task: HeldoutRetrieval, compared: bool
) -> _Run:
    """Return what is evaluated; `compared`: also the base model with the trained model's pooling, where that is another."""
    tokenizer = models[BASE].tokenizer
    tasks = [open_task(entry) for entry in settings.benchmarks]
    benchmarks = [(task, covered_languages(task, tokenizer)) for task in tasks]
    tasks_with_languages: list[tuple[Task, Sequence[str]]] = [(heldout_task, heldout_task.languages), *benchmarks]
    evaluations = [
        _Evaluation(task, language, seed)
        for task, languages in tasks_with_languages
        for seed in (settings.seeds if task.metadata.fine_tuned else (None,))
        for language in languages
    ]
    again = [evaluation for evaluation in evaluations if compared and base.has_own and _differs(evaluation, models)]
    by_model = {BASE: evaluations, SAME_POOLING: again, TRAINED: evaluations}
    return _Run(settings, base, [models[name] for name, of_model in by_model.items() if of_model], benchmarks, by_model)


def _differs(evaluation: _Evaluation, models: Mapping[str, ModelUnderTest]) -> bool:
    """Return whether the pooling of the trained model can change a score of the base model."""
    identities = [evaluation.task.identity(models[name], evaluation.language, evaluation.seed) for name in (BASE, SAME_POOLING)]
    return evaluation.task.embeds_sentences and identities[0] != identities[1]


def _evaluate_models(run: _Run, writers: Sequence[Callable[[ModelUnderTest], None]], progress: Progress) -> Iterator[ModelScores]:
    """Evaluate one model after another, so that memory holds one, and call the writers with those that are mapped."""
    for model in run.models:
        yield from _evaluate_model(run, model, progress)
        for write in writers if model.name in _MAPPED else ():
            write(model)
        model.release()


def _evaluate_model(run: _Run, model: ModelUnderTest, progress: Progress) -> Iterator[ModelScores]:
    """Evaluate one model on everything; scores that are cached are not computed again."""
    names = [other.name for other in run.models]
    done = sum(len(run.evaluations[name]) for name in names[: names.index(model.name)])
    total = sum(len(run.evaluations[name]) for name in names)
    for evaluation in run.evaluations[model.name]:
        task, language, seed = evaluation.task, evaluation.language, evaluation.seed
        model.on_progress = functools.partial(_report_fine_tuning, progress, done, total, model.name)
        compute = functools.partial(task.evaluate, model, language, seed)
        scores = model.cache.get_or_compute(task.identity(model, language, seed), compute)
        yield from _model_scores(model, evaluation, scores)
        done += 1
        progress(done, total, "scores", model=model.name, language=language)


def _report_fine_tuning(progress: Progress, done: int, total: int, model: str, text: str) -> None:
    progress(done, total, "scores", model=model, fine_tuning=text)


def _model_scores(model: ModelUnderTest, evaluation: _Evaluation, scores: Sequence[ItemScores]) -> Iterator[ModelScores]:
    """Yield the scores of each task that the evaluation returned, and log them."""
    task, language, seed = evaluation.task, evaluation.language, evaluation.seed
    for name in task.score_names:
        of_task = [item for item in scores if item.task == name]
        if not of_task:
            _log.warning("%s: no %s, too few aligned words among the held-out pairs", language, name)
            continue
        metric = task.metadata.metric
        values = ", ".join(f"{item.direction} {100 * item.metrics[metric]:.1f}%" for item in of_task)
        _log.info("%s, %s%s: %s %s", model.name, language, "" if seed is None else f", seed {seed}", name, values)
        yield ModelScores(model.name, name, language, seed, metric, of_task)


def _write_token_map(
    pooling: Pooling,
    settings: Evaluate,
    heldout: Sequence[Heldout],
    source: str,
    seed: int,
    scratch: Workspace,
    model: ModelUnderTest,
) -> None:
    """Write one model's token states, of the layers that the trained model pools, to the scratch folder, where a resumed run finds them."""
    from mlctl.evaluation.embedding.map_tokens import choose_sentences, token_rows

    if scratch.has(_token_file(model.name)):
        return
    rows: Iterable[dict[str, Any]] = ()
    if sentences := choose_sentences(heldout, source, settings.embedding_map_sentences, seed):
        encoder = model.encoder_for(max(pairs.largest_id() for pairs in heldout))
        rows = token_rows(encoder, sentences, model.tokenizer, pooling)
    table = pa.Table.from_pylist([{"model": model.name, **row} for row in rows], schema.TOKEN_STATES)
    _write(scratch, _token_file(model.name), table)


def _write_gradients(run: _Run, heldout: Sequence[Heldout], seed: int, scratch: Workspace, model: ModelUnderTest) -> None:
    """Write the cosines between one model's gradients to the scratch folder, where a resumed run finds them, if the recipe wants them."""
    from mlctl.evaluation.gradients.comparison import gradient_rows

    examples = run.settings.gradient_examples
    if not examples or scratch.has(_gradient_file(model.name)):
        return
    tasks = [task for task, _ in run.benchmarks if isinstance(task, FineTunedTask)]
    rows = list(gradient_rows(model, tasks, heldout, examples, seed))
    _write(scratch, _gradient_file(model.name), pa.Table.from_pylist(rows, schema.GRADIENTS))


def _join(scratch: Workspace, file_of: Callable[[str], str], workspace: Workspace, name: str) -> None:
    """Write the tables of the mapped models as one."""
    _write(workspace, name, pa.concat_tables(pq.read_table(scratch.path(file_of(model))) for model in _MAPPED))


def _write_result(
    run: _Run, results: Sequence[ModelScores], seed: int, scratch: Workspace, workspace: Workspace
) -> list[dict[str, Any]]:
    """Write the tables and `protocol.json`; return the rows of `schema.AVERAGES`."""
    differences, averages = difference_rows(results, run.settings.resamples, seed)
    _write(workspace, "scores.parquet", pa.Table.from_pylist(score_rows(results), schema.SCORES))
    _write(workspace, "items.parquet", _item_table(results))
    _write(workspace, "differences.parquet", pa.Table.from_pylist(differences, schema.DIFFERENCES))
    _write(workspace, "averages.parquet", pa.Table.from_pylist(averages, schema.AVERAGES))
    _join(scratch, _token_file, workspace, "tokens.parquet")
    if run.settings.gradient_examples:
        _join(scratch, _gradient_file, workspace, "gradients.parquet")
    if not workspace.has("protocol.json"):
        with workspace.part("protocol.json") as path:
            path.write_text(json.dumps(_protocol(run, results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return averages


def _token_file(model: str) -> str:
    return f"tokens-{model}.parquet"


def _gradient_file(model: str) -> str:
    return f"gradients-{model}.parquet"


def _item_table(results: Sequence[ModelScores]) -> pa.Table:
    return pa.concat_tables(
        pa.table(item_columns(result, scores), schema.ITEMS) for result in results for scores in result.scores
    )


def _write(workspace: Workspace, name: str, table: pa.Table) -> None:
    if not workspace.has(name):
        with workspace.part(name) as path:
            pq.write_table(table.combine_chunks(), path, compression="zstd")


def _protocol(run: _Run, results: Sequence[ModelScores]) -> dict[str, Any]:
    """Return the content of `protocol.json`."""
    pooled = any(task.embeds_sentences for task, _ in run.benchmarks)
    return {
        "base": {
            "origin": run.base.origin,
            "published": run.base.is_published,
            "problem": run.base.problem,
            "same_pooling": "evaluated" if run.evaluations[SAME_POOLING] else "equal",
        },
        "benchmarks": [
            {"metadata": task.metadata.as_json(), "settings": task.settings, "languages": list(languages)}
            for task, languages in run.benchmarks
        ],
        "models": {model.name: model.protocol_entry(pooled) for model in run.models},
        "resamples": run.settings.resamples,
        "notes": [
            {
                "model": result.model,
                "task": result.task,
                "language": result.language,
                "direction": scores.direction,
                **scores.notes,
            }
            for result in results
            for scores in result.scores
            if scores.notes
        ],
    }


def _mean_metrics(averages: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = ("base", "base_same_pooling", "trained")
    return {f"{row['task'].replace('-', '_')}_{name}": row[name] for row in averages for name in names if row[name] is not None}
