"""The stage: language by language, from the downloaded parts to clean pairs and a funnel."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.cleaning.inputs import Downloaded
from mlctl.cleaning.judge import Judge, learn, reasons
from mlctl.cleaning.likelihood import SAMPLE
from mlctl.cleaning.outputs import Funnel, Outputs, funnel_of, write_funnel
from mlctl.errors import InputError
from mlctl.workspace import Progress, Workspace, silent

log = logging.getLogger(__name__)


def clean(
    settings: config.Clean, languages: config.Languages, downloaded: Path, workspace: Workspace, progress: Progress = silent
) -> dict[str, Any]:
    """Write clean `pairs/<t>.parquet`, `untranslated/<t>.parquet` (if any), `rejected/<t>.parquet` and `funnel.parquet`.

    Each language is a part: what is finished is kept by a second call. Rejected rows keep the text as it came.

    Returns:
        Counts: `rows_in`, `pairs`, `untranslated`, and each with `.<t>` for one language.

    Raises:
        InputError: no text is left in any language; the message says which rule dropped the most.
    """
    names = reasons(settings, languages.source, languages.targets[0])
    inputs = [Downloaded(downloaded, target) for target in languages.targets]
    total, done, funnels = sum(sum(each.counts) for each in inputs), 0, []
    for each in inputs:
        progress(done, total, "rows", language=each.language)
        if not workspace.has(f"pairs/{each.language}.parquet"):
            for rows in _clean_language(each, settings, languages.source, workspace):
                done += rows
                progress(done, total, "rows", language=each.language)
        else:
            done += sum(each.counts)
        funnels.append(funnel_of(workspace, each.language, names))
        log.info("%s", _summary(funnels[-1]))
    progress(total, total, "rows")
    _check(funnels, names)
    write_funnel(funnels, workspace)
    return _metrics(funnels)


def _clean_language(inputs: Downloaded, settings: config.Clean, source: str, workspace: Workspace) -> Iterator[int]:
    """Write the tables of one language; yield the number of rows of each batch that is done."""
    learned = learn(settings, source, inputs.language, inputs.sample(SAMPLE))
    log.info("%s: a translation has %.2f characters for each of the source", inputs.language, learned.lengths.ratio)
    pairs, untranslated = inputs.counts
    judge = Judge(settings, source, inputs.language, learned, pairs=pairs, remember_sources=untranslated > 0)
    with Outputs(workspace, inputs.language) as outputs:
        for batch in inputs.pairs():
            verdicts = judge.pairs(batch["source"].to_pylist(), batch["target"].to_pylist())
            outputs.write("pairs", batch, verdicts)
            yield batch.num_rows
        for batch in inputs.untranslated():
            outputs.write("untranslated", batch, judge.untranslated(batch["source"].to_pylist()))
            yield batch.num_rows


def _summary(funnel: Funnel) -> str:
    dropped = ", ".join(f"{rule} {count:,}" for rule, count in funnel.dropped.items() if count) or "nothing"
    left = f"{funnel.pairs:,} pairs" + (f" and {funnel.untranslated:,} texts without translation" if funnel.untranslated else "")
    return f"{funnel.language}: {funnel.rows_in:,} rows in, {left} left; dropped: {dropped}"


def _check(funnels: Sequence[Funnel], reasons: Mapping[str, str]) -> None:
    """Warn of languages that have no text left; without any text at all there is nothing to go on with."""
    for funnel in funnels:
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
