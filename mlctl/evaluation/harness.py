"""The harness: both models, every language, the same held-out pairs, the same code."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model
from mlctl.errors import InputError
from mlctl.evaluation.heldout import Couple, Heldout, one_to_one, read_heldout
from mlctl.modeling.sources import resolve
from mlctl.workspace import Progress, Workspace, silent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODELS = ("base", "trained")

_SCORES = "scores.parquet"
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
) -> dict[str, float | int]:
    """Judge the base and the trained encoder on the held-out pairs.

    Writes `scores.parquet` (`schema.SCORES`) and `tokens.parquet` (`schema.TOKEN_STATES`). A model's scores in one language
    are kept as soon as they are known, so that a killed run goes on with the next language.

    Args:
        settings: benchmarks, size of the map, how to compute.
        model: the encoder that training started from, used where `trained/base` is not there.
        languages: source and target languages.
        seed: draws words and sentences where there are more than needed.
        sharded: result of the shard stage (`tokenizer/`, `heldout/<t>.parquet`).
        trained: result of the train stage (`model/`, `base/` of a model from scratch).
        workspace: where the result is made.
        progress: told after each language of each model.

    Returns:
        Mean accuracy of each benchmark and model over languages and directions, in [0, 1], and the languages judged.

    Raises:
        InputError: no held-out pairs, no trained model, or a device that is not there.
    """
    run = _open(settings, languages, seed, sharded, trained, model)
    kept = Workspace(workspace.scratch)
    scores = []
    for done, name in enumerate(MODELS):
        for number, pairs in enumerate(run.heldout, start=1 + done * len(run.heldout)):
            scores += _scores(run, name, pairs, kept)
            progress(number, len(MODELS) * len(run.heldout), "languages", model=name, language=pairs.language)
        _keep_tokens(run, name, kept)
    _write_scores(scores, workspace)
    _write_tokens(kept, workspace)
    return {"languages": len(run.heldout), **_means(scores)}


@dataclass
class _Run:
    """What the judging of every language shares."""

    settings: Evaluate
    source: str
    seed: int
    heldout: Sequence[Heldout]
    tokenizer: PreTrainedTokenizerBase
    folders: dict[str, Path]
    loaded: tuple[str, PreTrainedModel] | None = None

    def encoder(self, name: str) -> PreTrainedModel:
        """Return the encoder "base" or "trained"; only one of them is in memory."""
        from mlctl.evaluation.encoding import open_encoder
        from mlctl.modeling.sentences import read_places

        if self.loaded is None or self.loaded[0] != name:
            self.loaded = None
            largest = max(pairs.largest_id() for pairs in self.heldout)
            encoder = open_encoder(self.folders[name], self.settings.device, largest)
            encoder.pooled_places = read_places(self.folders["trained"])  # both are judged alike
            self.loaded = name, encoder
        return self.loaded[1]

    def couples(self, pairs: Heldout) -> list[Couple]:
        """Return the couples of the word benchmark."""
        return one_to_one(pairs, self._word, self.seed)

    def _word(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids))).strip().casefold()


def _open(settings: Evaluate, languages: Languages, seed: int, sharded: Path, trained: Path, model: Model) -> _Run:
    heldout = read_heldout(sharded, languages.targets)
    if not (trained / "model").is_dir():
        raise InputError(f"no trained model at {trained / 'model'}", "run the train stage")
    base = trained / "base"
    folders = {"base": base if base.is_dir() else resolve(model), "trained": trained / "model"}
    from mlctl.modeling.encoders import load_tokenizer

    return _Run(settings, languages.source, seed, heldout, load_tokenizer(sharded / "tokenizer"), folders)


def _scores(run: _Run, name: str, pairs: Heldout, kept: Workspace) -> list[dict[str, Any]]:
    """Judge one model in one language, or take what an earlier, killed run found."""
    part = f"scores/{name}-{pairs.language}.json"
    if not kept.has(part):
        from mlctl.evaluation.benchmarks import judge

        found = judge(run.encoder(name), pairs, run.couples(pairs), run.source, run.settings.batch_rows, run.settings.tasks)
        missing = set(run.settings.tasks) - {row["task"] for row in found}
        if missing:
            _log.warning("%s: no %s, too few aligned words among the held-out pairs", pairs.language, ", ".join(sorted(missing)))
        with kept.part(part) as path:
            path.write_text(json.dumps([{"model": name, **row} for row in found]), encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(kept.path(part).read_text(encoding="utf-8"))
    _log.info("%s, %s: %s", name, pairs.language, _in_words(rows))
    return rows


def _in_words(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{row['task']} {row['direction']} {100 * row['value']:.1f}%" for row in rows)


def _write_scores(scores: Sequence[dict[str, Any]], workspace: Workspace) -> None:
    if not workspace.has(_SCORES):
        with workspace.part(_SCORES) as path:
            _write(sorted(scores, key=itemgetter("task", "language", "direction", "model")), schema.SCORES, path)


def _keep_tokens(run: _Run, name: str, kept: Workspace) -> None:
    """Write one model's token states where a killed run finds them."""
    from mlctl.evaluation.tokenmap import choose_sentences, token_rows

    if kept.has(_tokens_of(name)):
        return
    sentences = choose_sentences(run.heldout, run.source, run.settings.map_meanings, run.seed)
    found = token_rows(run.encoder(name), sentences, run.tokenizer) if sentences else ()
    with kept.part(_tokens_of(name)) as path:
        _write([{"model": name, **row} for row in found], schema.TOKEN_STATES, path)


def _write_tokens(kept: Workspace, workspace: Workspace) -> None:
    if not workspace.has(_TOKENS):
        tables = [pq.read_table(kept.path(_tokens_of(name)), schema=schema.TOKEN_STATES) for name in MODELS]
        with workspace.part(_TOKENS) as path:
            pq.write_table(pa.concat_tables(tables).combine_chunks(), path, compression="zstd")


def _tokens_of(name: str) -> str:
    return f"tokens-{name}.parquet"


def _write(rows: Sequence[dict[str, Any]], fields: pa.Schema, path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=fields), path, compression="zstd")


def _means(scores: Sequence[dict[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in scores:
        values.setdefault(f"{row['task'].replace('-', '_')}_{row['model']}", []).append(row["value"])
    return {name: sum(found) / len(found) for name, found in sorted(values.items())}
