"""The translate stage: for each language its backends are measured first, then its parts are translated."""

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
from mlctl.translation import licences, output_checks, quality
from mlctl.translation.backend import RULES as BACKEND_RULES
from mlctl.translation.backend import Translation
from mlctl.translation.backend_pool import BackendPool
from mlctl.translation.fault_counter import FaultCounter
from mlctl.translation.parts import Direction, LanguageParts, TranslateFunction, directions
from mlctl.translation.quality import BELOW_THRESHOLD

Metrics = dict[str, str | int | float | None]

#: Rules in the order of the funnel.
RULES = tuple(dict.fromkeys((BELOW_THRESHOLD, *BACKEND_RULES, *output_checks.RULES)))
_NO_BACKEND = "no backend"
# Parts that are translated at the same time: with two, the next one's sentences are queued while one is written.
_CONCURRENT_PARTS = {"ctranslate2": 2}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _UntranslatedText:
    """The untranslated text of one target language: its file, and the number of texts in each direction."""

    language: str
    file: Path
    counts: dict[Direction, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def translate(
    settings: Translate,
    languages: Languages,
    cleaned: Path,
    workspace: Workspace,
    progress: Progress = silent,
    memory: Path | None = None,
    cache: Path | None = None,
) -> Metrics:
    """Translate the texts of `untranslated/<t>.parquet`: those without a target forward, those without a source backward.

    Writes `pairs/<t>/<NNNNN>.parquet` (PAIR, synthetic = the translated side), `rejected/<t>/<NNNNN>.parquet` (REJECTED) for parts with
    rejected texts, `quality.parquet` (QUALITY), `backends.json` (the backend of each direction) and `funnel.parquet`. Finished parts are
    not translated again.

    Args:
        settings: the backend and its settings.
        languages: the recipe's languages.
        cleaned: result of the clean stage.
        workspace: where the result is written.
        progress: called after every part.
        memory: file of the translation memory, which runs share; None: without one.
        cache: folder of converted models, which runs share; None: a temporary one in the workspace.

    Returns:
        `<t>.translated` and `<t>.rejected` for each language with untranslated text; `<t>.untranslated` without a backend.

    Raises:
        InputError: the model or program is missing, cannot be fetched or read, does not support a language, or too many of its outputs
            are faulty.
    """
    untranslated = _find_untranslated(languages, cleaned)
    if settings.backend == "none" or not untranslated:
        return _skip(untranslated, workspace)
    measurements: list[dict[str, Any]] = []
    with contextlib.closing(BackendPool(settings, memory, cache or workspace.scratch / "models")) as pool:
        counts = _translate_languages(settings, untranslated, pool, workspace, measurements, progress)
    _write_records(measurements, workspace)
    _write_funnel(untranslated, {language: rules for language, (_, rules) in counts.items()}, RULES, workspace)
    return {
        f"{language}.{name}": number
        for language, (translated, rules) in counts.items()
        for name, number in (("translated", translated), ("rejected", rules.total()))
    }


def _translate_languages(
    settings: Translate,
    untranslated: Sequence[_UntranslatedText],
    pool: BackendPool,
    workspace: Workspace,
    measurements: list[dict[str, Any]],
    progress: Progress,
) -> dict[str, tuple[int, Counter[str]]]:
    """Translate every language, append the measurements; return the number of translated texts, and of rejected ones by rule."""
    counts, done, total = {}, 0, sum(text.total for text in untranslated)
    for text in untranslated:
        parts = LanguageParts(text.language, text.file, settings.part_rows, workspace)
        for rows in _translate_language(settings, text, parts, pool, workspace, measurements):
            done += rows
            progress(done, total, "segments", language=text.language)
        counts[text.language] = parts.counts()
    return counts


def _translate_language(
    settings: Translate,
    text: _UntranslatedText,
    parts: LanguageParts,
    pool: BackendPool,
    workspace: Workspace,
    measurements: list[dict[str, Any]],
) -> Iterator[int]:
    """Measure the backends of a language, append the measurements, and translate its parts; yield the texts of each part."""
    functions: dict[Direction, TranslateFunction] = {}
    for direction in text.counts:
        measurement = _measure(settings, text, direction, pool, workspace)
        measurements.append(measurement)
        # Without missing parts no backend is loaded.
        unused = measurement["stopped"] or parts.finished()
        functions[direction] = _reject_all if unused else pool.get(direction.source, direction.target).translate
    faults = FaultCounter(settings.max_faulty, " and ".join(direction.name for direction in functions))
    faults.add_counts(*parts.counts())
    yield from parts.translate(functions, _CONCURRENT_PARTS.get(settings.backend, 1), faults)


def _measure(
    settings: Translate, text: _UntranslatedText, direction: Direction, pool: BackendPool, workspace: Workspace
) -> dict[str, Any]:
    """Return the measurement of a direction's backend, which an interrupted stage does not repeat.

    `stopped` is the reason why the backend is not good enough, or "".
    """
    name = f".scratch/measured/{text.language}-{direction.translation_column}.json"
    if workspace.has(name):
        measurement: dict[str, Any] = json.loads(workspace.path(name).read_text(encoding="utf-8"))
    else:
        source, target = direction.source, direction.target
        backend, reverse = pool.get(source, target), pool.get_if_local(target, source)
        rows = quality.measure(settings, backend, text.language, source, target, direction.texts(text.file), reverse)
        record = licences.record(settings, backend.identity(), source, target)
        measurement = {"backend": record, "rows": rows, "stopped": quality.check(settings, rows)}
        with workspace.part(name) as path:
            path.write_text(json.dumps(measurement), encoding="utf-8")
    if measurement["stopped"]:
        _log.warning("%s is not translated: %s", direction.name, measurement["stopped"])
    return measurement


def _reject_all(texts: Sequence[str], source: str, target: str) -> list[Translation]:
    """Reject all texts: the backend is not good enough."""
    del source, target
    return [Translation("", BELOW_THRESHOLD)] * len(texts)


def _find_untranslated(languages: Languages, cleaned: Path) -> list[_UntranslatedText]:
    """Return the languages that have untranslated texts."""
    result = []
    for target in languages.targets:
        file = cleaned / "untranslated" / f"{target}.parquet"
        if file.is_file():
            counts = {direction: direction.count(file) for direction in directions(languages.source, target)}
            result.append(_UntranslatedText(target, file, {direction: count for direction, count in counts.items() if count}))
    return [text for text in result if text.counts]


def _skip(untranslated: Sequence[_UntranslatedText], workspace: Workspace) -> Metrics:
    """Write the funnel of a stage that translates nothing."""
    if untranslated:
        _log.info("%d untranslated segments are left out: translate.backend is none", sum(text.total for text in untranslated))
    else:
        _log.info("nothing to translate")
    dropped = {text.language: Counter({_NO_BACKEND: text.total}) for text in untranslated}
    _write_funnel(untranslated, dropped, (_NO_BACKEND,), workspace)
    return {f"{text.language}.untranslated": text.total for text in untranslated}


def _write_records(measurements: Sequence[Mapping[str, Any]], workspace: Workspace) -> None:
    with workspace.part("quality.parquet") as path:
        quality.write(path, [row for measurement in measurements for row in measurement["rows"]])
    backends = [measurement["backend"] for measurement in measurements]
    with workspace.part("backends.json") as path:
        path.write_text(json.dumps(backends, indent=1, ensure_ascii=False), encoding="utf-8")


def _write_funnel(
    untranslated: Sequence[_UntranslatedText], dropped: Mapping[str, Counter[str]], rules: Sequence[str], workspace: Workspace
) -> None:
    """Write `funnel.parquet`; rules of a backend's own come after `rules`."""
    rows = []
    other_rules = sorted({rule for counts in dropped.values() for rule in counts} - {*rules})
    for text in untranslated:
        rows_in = text.total
        for rule in (*rules, *other_rules):
            rows_out = rows_in - dropped[text.language][rule]
            rows.append({"stage": "translate", "language": text.language, "rule": rule, "rows_in": rows_in, "rows_out": rows_out})
            rows_in = rows_out
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
