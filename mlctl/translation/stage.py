"""The translate stage: for each language its backends are measured first, then its parts are translated, by steps on an execution backend."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.core.url_redaction import redact_url
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL
from mlctl.translation import licences, models, output_checks, quality
from mlctl.translation.backend import RULES as BACKEND_RULES
from mlctl.translation.backend_pool import check_commands
from mlctl.translation.language_job import LanguageJob, usage_file
from mlctl.translation.openai_api.spending import read_usage
from mlctl.translation.parts import Direction, directions
from mlctl.translation.quality import BELOW_THRESHOLD
from mlctl.translation.step_graph import GraphRun
from mlctl.translation.translation_memory import TranslationMemory

Metrics = dict[str, str | int | float | None]

#: Rules in the order of the funnel.
RULES = tuple(dict.fromkeys((BELOW_THRESHOLD, *BACKEND_RULES, *output_checks.RULES)))
_NO_BACKEND = "no backend"
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
    backend: ExecutionBackend = LOCAL,
) -> Metrics:
    """Translate the texts of `untranslated/<t>.parquet`: those without a target forward, those without a source backward.

    Writes `pairs/<t>/<NNNNN>.parquet` (PAIR, synthetic = the translated side), `rejected/<t>/<NNNNN>.parquet` (REJECTED) for parts with
    rejected texts, `quality.parquet` (QUALITY), `backends.json` (the backend of each direction) and `funnel.parquet`. A second call resumes
    after the finished steps. Neither that nor the execution backend changes a byte.

    Args:
        settings: the backend and its settings.
        languages: the recipe's languages.
        cleaned: result of the clean stage.
        workspace: where the result is written.
        progress: called after every part.
        memory: file of the translation memory, which runs share; None: without one.
        cache: folder of converted models, which runs share; None: a temporary one in the workspace.
        backend: where the steps run.

    Returns:
        `<t>.translated` and `<t>.rejected` for each language with untranslated text; `<t>.untranslated` without a backend. With the backend
        openai also `server`, its address, `requests`, `input_tokens` and `output_tokens` of its answers, and `cost`.

    Raises:
        InputError: the model or program is missing, cannot be fetched or read, does not support a language, too many of its outputs
            are faulty, or a signal ended a process.
    """
    untranslated = _find_untranslated(languages, cleaned)
    if settings.backend == "none" or not untranslated:
        return _skip(untranslated, workspace)
    check_commands(settings, [(direction.source, direction.target) for text in untranslated for direction in text.counts])
    jobs = _jobs(settings, languages, untranslated, workspace, cache or workspace.scratch / "models", memory)
    GraphRun(settings, jobs, TranslationMemory(memory) if memory else None, progress).run(backend)
    _write_records(settings, jobs, workspace)
    counts = {job.target: job.counts(range(len(job.part_sizes))) for job in jobs}
    _write_funnel(untranslated, {language: rules for language, (_, rules) in counts.items()}, RULES, workspace)
    return _usage(settings, workspace) | {
        f"{language}.{name}": number
        for language, (translated, rules) in counts.items()
        for name, number in (("translated", translated), ("rejected", rules.total()))
    }


def _usage(settings: Translate, workspace: Workspace) -> Metrics:
    """Return where the translations come from and what their tokens cost, in all runs that the result took."""
    if settings.backend != "openai":
        return {}
    usage = read_usage(usage_file(workspace))
    return {"server": redact_url(settings.openai.base_url), **asdict(usage), "cost": usage.cost(settings.openai)}


def _jobs(
    settings: Translate,
    languages: Languages,
    untranslated: Sequence[_UntranslatedText],
    workspace: Workspace,
    cache: Path,
    memory: Path | None,
) -> list[LanguageJob]:
    """Return the job of each language. Workers get the precision that is in the stage's key: that of this machine's device."""
    resolved = {"precision": models.precision(settings)} if settings.backend in NEURAL_BACKENDS else {}
    keeps_answers = settings.backend == "openai"
    common: dict[str, Any] = {
        "settings": settings.model_copy(update=resolved),
        "source": languages.source,
        "root": workspace.root,
        "cache": cache,
        "memory": (memory or workspace.scratch / "answers.sqlite") if keeps_answers else None,
    }
    return [
        LanguageJob(
            **common,
            target=text.language,
            file=text.file,
            columns=tuple(direction.translation_column for direction in text.counts),
        )
        for text in untranslated
    ]


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


def _write_records(settings: Translate, jobs: Sequence[LanguageJob], workspace: Workspace) -> None:
    """Write the measured quality and the backend of each direction."""
    measured = [(direction, job.measurement(direction)) for job in jobs for direction in job.directions]
    with workspace.part("quality.parquet") as path:
        quality.write(path, [row for _, measurement in measured for row in measurement["rows"]])
    backends = [
        licences.record(settings, measurement["identity"], direction.source, direction.target)
        for direction, measurement in measured
    ]
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
