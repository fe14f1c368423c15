"""The stage: language by language, its engines measured first, then part by part."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.translation import backend, licences, output_checks, quality
from mlctl.translation.backend import Translation
from mlctl.translation.backend_pool import Engines
from mlctl.translation.parts import Direction, LanguageParts, Speak, directions
from mlctl.translation.quality import BELOW_FLOOR

Metrics = dict[str, str | int | float | None]

#: Rules in the order in which the funnel tells them.
RULES = tuple(dict.fromkeys((BELOW_FLOOR, *backend.RULES, *output_checks.RULES)))
_NO_BACKEND = "no backend"
# Parts on their way at the same time: with two, the next one's sentences wait in the engine's queue while one is written.
_AT_ONCE = {"ctranslate2": 2}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Language:
    """What waits in one language: the file, and how many texts go each way."""

    name: str
    file: Path
    texts: dict[Direction, int]

    @property
    def total(self) -> int:
        return sum(self.texts.values())


def translate(
    settings: Translate,
    languages: Languages,
    cleaned: Path,
    workspace: Workspace,
    progress: Progress = silent,
    memory: Path | None = None,
    cache: Path | None = None,
) -> Metrics:
    """Translate the texts of `untranslated/<t>.parquet`: those without a target forward, those without a source back.

    Writes `pairs/<t>/<NNNNN>.parquet` (PAIR, synthetic = the side that was made), `rejected/<t>/<NNNNN>.parquet` (REJECTED) for
    parts that have texts without translation, `quality.parquet` (QUALITY) and `engines.json` (what translated which way), and
    `funnel.parquet`. Finished parts are not done again.

    Args:
        settings: the engine and how it is used.
        languages: the recipe's.
        cleaned: result of the stage before.
        workspace: where the result is made.
        progress: told after every part.
        memory: file of the translations of all runs; None: nothing is remembered.
        cache: folder of converted models; None: beside the result, for this run.

    Returns:
        For each language that has waiting texts: `<t>.translated` and `<t>.rejected`.

    Raises:
        InputError: the engine is not there, cannot be fetched or read, or does not serve a language.
    """
    waiting = _waiting(languages, cleaned)
    if settings.backend == "none" or not waiting:
        return _leave_out(waiting, workspace)
    counted: dict[str, tuple[int, Counter[str]]] = {}
    measured: list[dict[str, Any]] = []
    with contextlib.closing(Engines(settings, memory, cache or workspace.scratch / "models")) as engines:
        done = 0
        for language in waiting:
            parts = LanguageParts(language.name, language.file, settings.part_rows, workspace)
            for rows in _make(settings, language, parts, engines, workspace, measured):
                done += rows
                progress(done, sum(other.total for other in waiting), "segments", language=language.name)
            counted[language.name] = parts.counts()
    _write_records(measured, workspace)
    _write_funnel(waiting, {name: lost for name, (_, lost) in counted.items()}, RULES, workspace)
    return {
        f"{name}.{what}": number
        for name, (made, lost) in counted.items()
        for what, number in (("translated", made), ("rejected", lost.total()))
    }


def _make(
    settings: Translate,
    language: _Language,
    parts: LanguageParts,
    engines: Engines,
    workspace: Workspace,
    measured: list[dict[str, Any]],
) -> Iterator[int]:
    """Measure the engines of a language and make its parts; yields the texts of each part."""
    chosen: dict[Direction, Speak] = {}
    for direction in language.texts:
        record = _measured(settings, language, direction, engines, workspace)
        measured.append(record)
        # No engine is loaded for parts that are all there.
        idle = record["stopped"] or parts.finished()
        chosen[direction] = _nothing if idle else engines.route(direction.source, direction.target).translate
    yield from parts.make(chosen, _AT_ONCE.get(settings.backend, 1))


def _measured(
    settings: Translate, language: _Language, direction: Direction, engines: Engines, workspace: Workspace
) -> dict[str, Any]:
    """Return what is known of a direction's engine: measured once, also when the stage is interrupted.

    `stopped` says why the engine is not good enough, or nothing.
    """
    name = f".scratch/measured/{language.name}-{direction.made}.json"
    if workspace.has(name):
        record: dict[str, Any] = json.loads(workspace.path(name).read_text(encoding="utf-8"))
    else:
        translator, back = engines.route(direction.source, direction.target), engines.back(direction.target, direction.source)
        texts = direction.texts(language.file)
        rows = quality.measure(settings, translator, language.name, direction.source, direction.target, texts, back)
        engine = licences.record(settings, translator.identity(), direction.source, direction.target)
        record = {"engine": engine, "rows": rows, "stopped": quality.check(settings, rows)}
        with workspace.part(name) as path:
            path.write_text(json.dumps(record), encoding="utf-8")
    if record["stopped"]:
        _log.warning("%s is not translated: %s", direction.name, record["stopped"])
    return record


def _nothing(texts: Sequence[str], source: str, target: str) -> list[Translation]:
    """Translate nothing: the engine is not good enough."""
    del source, target
    return [Translation("", BELOW_FLOOR)] * len(texts)


def _waiting(languages: Languages, cleaned: Path) -> list[_Language]:
    """Return the languages that have untranslated texts."""
    found = []
    for target in languages.targets:
        file = cleaned / "untranslated" / f"{target}.parquet"
        if file.is_file():
            counts = {direction: direction.count(file) for direction in directions(languages.source, target)}
            found.append(_Language(target, file, {direction: number for direction, number in counts.items() if number}))
    return [language for language in found if language.texts]


def _leave_out(waiting: Sequence[_Language], workspace: Workspace) -> Metrics:
    if waiting:
        _log.info("%d untranslated segments left out: no backend", sum(language.total for language in waiting))
    else:
        _log.info("nothing to translate")
    dropped = {language.name: Counter({_NO_BACKEND: language.total}) for language in waiting}
    _write_funnel(waiting, dropped, (_NO_BACKEND,), workspace)
    return {f"{language.name}.untranslated": language.total for language in waiting}


def _write_records(measured: Sequence[Mapping[str, Any]], workspace: Workspace) -> None:
    with workspace.part("quality.parquet") as path:
        quality.write(path, [row for record in measured for row in record["rows"]])
    with workspace.part("engines.json") as path:
        path.write_text(json.dumps([record["engine"] for record in measured], indent=1, ensure_ascii=False), encoding="utf-8")


def _write_funnel(
    waiting: Sequence[_Language], dropped: Mapping[str, Counter[str]], rules: Sequence[str], workspace: Workspace
) -> None:
    rows = []
    engines_own = sorted({rule for lost in dropped.values() for rule in lost} - {*rules})
    for language in waiting:
        left = language.total
        for rule in (*rules, *engines_own):
            out = left - dropped[language.name][rule]
            rows.append({"stage": "translate", "language": language.name, "rule": rule, "rows_in": left, "rows_out": out})
            left = out
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
