"""Translation: the missing side of text that has no translation.

Only new pairs are written. A part is some thousand sentences of one language; without text to translate, or without a backend, the
stage does nothing and imports no torch.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Translate
from mlctl.translation import translators
from mlctl.translation.parts import LanguageParts
from mlctl.workspace import Progress, Workspace, silent

__all__ = ["fingerprint", "translate"]

_NO_BACKEND = "no backend"
_log = logging.getLogger(__name__)


def translate(
    settings: Translate, languages: Languages, cleaned: Path, workspace: Workspace, progress: Progress = silent
) -> dict[str, str | int | float | None]:
    """Translate the texts of `untranslated/<t>.parquet` and return, for each language that has any, translated and rejected.

    Writes `pairs/<t>/<NNNNN>.parquet` (PAIR, synthetic = "target"), `rejected/<t>/<NNNNN>.parquet` (REJECTED) for parts that have
    texts without translation, and `funnel.parquet`. Finished parts are not done again.

    Raises:
        InputError: the model is not there, cannot be fetched or read, or does not speak a language.
    """
    waiting = _waiting(languages, cleaned)
    if settings.backend == "none" or not waiting:
        return _leave_out(waiting, workspace)
    dropped, done = {}, 0
    for language in waiting:
        file = cleaned / "untranslated" / f"{language}.parquet"
        parts = LanguageParts(settings, languages.source, language, file, workspace)
        for rows in parts.make():
            done += rows
            progress(done, sum(waiting.values()), "segments", language=language)
        dropped[language] = parts.dropped()
    _write_funnel(waiting, dropped, translators.RULES, workspace)
    return {
        f"{language}.{name}": value
        for language, number in waiting.items()
        for name, value in (("translated", number - dropped[language].total()), ("rejected", dropped[language].total()))
    }


def fingerprint(settings: Translate, languages: Languages) -> dict[str, str]:
    """Return the content digest of the model of each target language; nothing without a backend.

    Raises:
        InputError: a model is not there or cannot be fetched.
    """
    if settings.backend == "none":
        return {}
    from mlctl.translation import models

    names = {target: translators.model_name(settings, languages.source, target) for target in languages.targets}
    digests = {name: models.digest(models.folder_of(settings, name)) for name in sorted(set(names.values()))}
    return {target: digests[name] for target, name in names.items()}


def _waiting(languages: Languages, cleaned: Path) -> dict[str, int]:
    """Return the number of untranslated texts of each language that has any."""
    files = {language: cleaned / "untranslated" / f"{language}.parquet" for language in languages.targets}
    numbers = {language: pq.read_metadata(file).num_rows for language, file in files.items() if file.is_file()}
    return {language: number for language, number in numbers.items() if number}


def _leave_out(waiting: Mapping[str, int], workspace: Workspace) -> dict[str, str | int | float | None]:
    if waiting:
        _log.info("%d untranslated segments left out: no backend", sum(waiting.values()))
    else:
        _log.info("nothing to translate")
    dropped = {language: Counter({_NO_BACKEND: number}) for language, number in waiting.items()}
    _write_funnel(waiting, dropped, (_NO_BACKEND,), workspace)
    return {f"{language}.untranslated": number for language, number in waiting.items()}


def _write_funnel(
    waiting: Mapping[str, int], dropped: Mapping[str, Counter[str]], rules: tuple[str, ...], workspace: Workspace
) -> None:
    rows = []
    for language, number in waiting.items():
        left = number
        for rule in rules:
            out = left - dropped[language][rule]
            rows.append({"stage": "translate", "language": language, "rule": rule, "rows_in": left, "rows_out": out})
            left = out
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FUNNEL), path, compression="zstd")
