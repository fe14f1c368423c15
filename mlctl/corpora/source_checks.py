"""Checks of a recipe's sources that need no network, so that a typing error does not cost a long download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.corpora.licences import LicencePolicy
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.registry import source_kinds
from mlctl.corpora.sources.source_kind import SourceKind
from mlctl.errors import InputError


def find_problems(settings: config.Download, languages: config.Languages, licences: config.Licences) -> Iterator[InputError]:
    """Yield everything that is wrong with the sources as far as that needs no network: files, licences, libraries, the lockfile."""
    try:
        kinds, policy = source_kinds(settings, languages), LicencePolicy.of(licences)
        lock = Lockfile(Path(settings.lock), settings.update_lock)
        yield from _problems(kinds, lock, policy)
    except InputError as error:
        yield error


def _problems(kinds: Sequence[SourceKind[Any]], lock: Lockfile, policy: LicencePolicy) -> Iterator[InputError]:
    if not kinds:
        problem = "the recipe has no sources of text"
        yield InputError(problem, "add a source to download.sources, for example `kind: locales` or `kind: files`")
    try:
        policy.check((kind.name, licence) for kind in kinds if (licence := kind.stated_licence()))
    except InputError as error:
        yield error
    for index, kind in enumerate(kinds):
        try:
            kind.validate()
            kind.addresses(lock)
        except InputError as error:
            yield InputError(f"download.sources.{index}: {error.problem}", error.remedy)
