"""The stage `clean`: from downloaded rows to clean pairs and a funnel, language by language."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.cleaning import corpus_filters, row_filters, score_filter
from mlctl.cleaning.language_job import LanguageJob
from mlctl.cleaning.script_warnings import warn_of_losses, warn_of_unknown_scripts
from mlctl.cleaning.step_graph import run_steps
from mlctl.cleaning.writer import Funnel, read_funnel, write_funnel
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL

log = logging.getLogger(__name__)


def clean(
    settings: config.Clean,
    languages: config.Languages,
    downloaded: Path,
    workspace: Workspace,
    progress: Progress = silent,
    lexicons: Mapping[str, Path] | None = None,
    backend: ExecutionBackend = LOCAL,
    encoders: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Write clean `pairs/<t>.parquet`, `untranslated/<t>.parquet` (if any), `rejected/<t>.parquet`, `funnel.parquet` and
    `reasons.json` (what each rule drops); with `clean.scores` also `scores/<t>.parquet` (SCORE_HISTOGRAM) and
    `score_examples/<t>.parquet` (SCORE_EXAMPLES).

    The steps of all languages run side by side; a second call resumes after the finished ones. Neither that nor the backend
    changes a byte. Rejected rows keep their downloaded text.

    Args:
        settings: the rules' thresholds.
        languages: the source language and the targets.
        downloaded: folder with `pairs/<t>/*.parquet` (PAIR).
        workspace: where the result is written.
        progress: gets the number of filtered rows.
        lexicons: by target language, word translations (schema LEXICON) learned from other text.
        backend: where the steps run.
        encoders: by the name of a score of kind `encoder`, the folder of its encoder.

    Returns:
        Counts: `rows_in`, `pairs`, `untranslated`, and each with `.<t>` for one language.

    Raises:
        InputError: no text is left in any language (the message names the rule that dropped the most), a lexicon cannot be read,
            a scorer failed, or a signal ended a process.
    """
    descriptions = reasons(settings, languages.source, languages.targets[0])
    funnels = clean_languages(settings, languages, downloaded, workspace, progress, lexicons, backend, encoders)
    for funnel in funnels:
        warn_of_losses(funnel, languages.source, workspace)
    _check_text_left(funnels, descriptions)
    write_funnel(funnels, workspace)
    with workspace.part("reasons.json") as path:
        path.write_text(json.dumps(descriptions, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return _metrics(funnels)


def clean_languages(
    settings: config.Clean,
    languages: config.Languages,
    downloaded: Path,
    workspace: Workspace,
    progress: Progress = silent,
    lexicons: Mapping[str, Path] | None = None,
    backend: ExecutionBackend = LOCAL,
    encoders: Mapping[str, Path] | None = None,
) -> list[Funnel]:
    """Write the tables of each language, as `clean` does, and return their funnels. No text may be left.

    Raises:
        InputError: a lexicon cannot be read, a scorer failed, or a signal ended a process.
    """
    common: dict[str, Any] = {"settings": settings, "source": languages.source, "downloaded": downloaded, "root": workspace.root}
    jobs = [LanguageJob(**common, target=target, lexicon=(lexicons or {}).get(target)) for target in languages.targets]
    warn_of_unknown_scripts(settings, languages.source, languages.targets)
    run_steps(jobs, settings.workers, backend, progress, encoders or {})
    rules = reasons(settings, languages.source, languages.targets[0])
    return [read_funnel(workspace, language, rules) for language in languages.targets]


def reasons(settings: config.Clean, source: str, target: str) -> dict[str, str]:
    """Return the rules' names in the order in which they are applied, each with what it drops."""
    return row_filters.reasons(settings, source, target) | corpus_filters.reasons(settings) | score_filter.reasons(settings)


def _check_text_left(funnels: Sequence[Funnel], descriptions: Mapping[str, str]) -> None:
    """Log what is left of each language.

    Raises:
        InputError: no language has any text left.
    """
    for funnel in funnels:
        log.info("%s", _summary(funnel))
        if not funnel.pairs + funnel.untranslated:
            log.warning("%s: no text is left", funnel.language)
    if any(funnel.pairs + funnel.untranslated for funnel in funnels):
        return
    if not any(funnel.rows_in for funnel in funnels):
        raise InputError(
            "clean: no text was downloaded in any language", "add text in the languages of the recipe to download.sources"
        )
    count, rule, language = max((count, rule, funnel.language) for funnel in funnels for rule, count in funnel.dropped.items())
    rows = sum(funnel.rows_in for funnel in funnels)
    raise InputError(
        f"clean: no row of {rows:,} is left; the rule {rule!r} ({descriptions[rule]}) dropped the most: {count:,} of {language}",
        "check rejected/*.parquet, then relax the rule in the recipe's `clean` section or fix the text",
    )


def _summary(funnel: Funnel) -> str:
    dropped = ", ".join(f"{rule} {count:,}" for rule, count in funnel.dropped.items() if count) or "nothing"
    left = f"{funnel.pairs:,} pairs" + (f" and {funnel.untranslated:,} texts without translation" if funnel.untranslated else "")
    return f"{funnel.language}: {funnel.rows_in:,} rows in, {left} left; dropped: {dropped}"


def _metrics(funnels: Sequence[Funnel]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for name in ("rows_in", "pairs", "untranslated"):
        metrics[name] = sum(getattr(funnel, name) for funnel in funnels)
        metrics.update({f"{name}.{funnel.language}": getattr(funnel, name) for funnel in funnels})
    return metrics
