"""The stage: language by language, from the downloaded parts to clean pairs and a funnel."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.cleaning import corpus_filters, row_filters, schedule
from mlctl.cleaning.language_job import Language
from mlctl.cleaning.writer import Funnel, funnel_of, write_funnel
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.execution.backend import LOCAL, ExecutionBackend

log = logging.getLogger(__name__)


def clean(
    settings: config.Clean,
    languages: config.Languages,
    downloaded: Path,
    workspace: Workspace,
    progress: Progress = silent,
    lexicons: Mapping[str, Path] | None = None,
    backend: ExecutionBackend = LOCAL,
) -> dict[str, Any]:
    """Write clean `pairs/<t>.parquet`, `untranslated/<t>.parquet` (if any), `rejected/<t>.parquet`, `funnel.parquet` and
    `reasons.json` (each rule in words).

    Languages are worked on in steps and parts, side by side; what is finished is kept by a second call. Neither that nor
    who does the parts changes a byte. Rejected rows keep the text as it came.

    Args:
        settings: the rules' thresholds.
        languages: the source language and the targets.
        downloaded: folder with `pairs/<t>/*.parquet` (PAIR).
        workspace: where the result is made.
        progress: told the rows that are judged.
        lexicons: by target language, word translations (schema LEXICON) learned from other text.
        crew: who does the parts.

    Returns:
        Counts: `rows_in`, `pairs`, `untranslated`, and each with `.<t>` for one language.

    Raises:
        InputError: no text is left in any language (the message says which rule dropped the most), a lexicon cannot be read, or a
            process was ended.
    """
    names = reasons(settings, languages.source, languages.targets[0])
    common: dict[str, Any] = {"settings": settings, "source": languages.source, "downloaded": downloaded, "root": workspace.root}
    works = [Language(**common, target=target, lexicon=(lexicons or {}).get(target)) for target in languages.targets]
    schedule.run(works, settings.workers or backend.cores, backend, progress)
    funnels = [funnel_of(workspace, language, names) for language in languages.targets]
    _check(funnels, names)
    write_funnel(funnels, workspace)
    with workspace.part("reasons.json") as path:
        path.write_text(json.dumps(names, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return _metrics(funnels)


def reasons(settings: config.Clean, source: str, target: str) -> dict[str, str]:
    """Return the rules' names in the order in which they are applied, each with what it drops."""
    return row_filters.reasons(settings, source, target) | corpus_filters.reasons(settings)


def _summary(funnel: Funnel) -> str:
    dropped = ", ".join(f"{rule} {count:,}" for rule, count in funnel.dropped.items() if count) or "nothing"
    left = f"{funnel.pairs:,} pairs" + (f" and {funnel.untranslated:,} texts without translation" if funnel.untranslated else "")
    return f"{funnel.language}: {funnel.rows_in:,} rows in, {left} left; dropped: {dropped}"


def _check(funnels: Sequence[Funnel], reasons: Mapping[str, str]) -> None:
    """Say what is left of each language; without any text at all there is nothing to go on with."""
    for funnel in funnels:
        log.info("%s", _summary(funnel))
        if not funnel.pairs + funnel.untranslated:
            log.warning("%s: no text is left", funnel.language)
    if any(funnel.pairs + funnel.untranslated for funnel in funnels):
        return
    if not any(funnel.rows_in for funnel in funnels):
        raise InputError("no text came in to be cleaned", "give download.sources text in the languages of the recipe")
    count, rule, language = max((count, rule, funnel.language) for funnel in funnels for rule, count in funnel.dropped.items())
    rows = sum(funnel.rows_in for funnel in funnels)
    problem = f"cleaning left none of {rows:,} rows; most went by the rule {rule!r} ({reasons[rule]}): {count:,} of {language}"
    raise InputError(problem, "look at rejected/*.parquet, then loosen the rule in the recipe's `clean` or mend the text")


def _metrics(funnels: Sequence[Funnel]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for what in ("rows_in", "pairs", "untranslated"):
        metrics[what] = sum(getattr(funnel, what) for funnel in funnels)
        metrics.update({f"{what}.{funnel.language}": getattr(funnel, what) for funnel in funnels})
    return metrics
