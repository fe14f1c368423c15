"""The download stage: writes one Parquet part for each corpus and target language, and the provenance of all corpora."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.core.hashing import file_digest
from mlctl.core.unpack_limits import active_limits
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.corpora.corpus import Corpus
from mlctl.corpora.corpus_cache import CorpusCache, cache_identity
from mlctl.corpora.encoded_corpus import EncodedCorpus
from mlctl.corpora.licences import LicencePolicy, spdx
from mlctl.corpora.lockfile import Lockfile, renewed_digests
from mlctl.corpora.pair_making import make_pairs
from mlctl.corpora.parts import Part, write_parts
from mlctl.corpora.source_checks import find_problems
from mlctl.corpora.sources.pip_download import discard_unfinished
from mlctl.corpora.sources.registry import source_kinds
from mlctl.corpora.sources.source_kind import FetchContext, SourceKind
from mlctl.corpora.sources.web import slug
from mlctl.errors import InputError
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL

#: A unit of a source with its corpora.
_Opened = tuple[SourceKind[Any], list[Corpus]]


def download(
    settings: config.Download,
    languages: config.Languages,
    workspace: Workspace,
    progress: Progress = silent,
    licences: config.Licences | None = None,
    cache: CorpusCache | None = None,
    champion: Path | None = None,
    backend: ExecutionBackend = LOCAL,
) -> dict[str, Any]:
    """Write the text of all sources to `pairs/<target>/<NN>-<corpus>.parquet` (schema PAIR), with `provenance.json` and, for the times
    of retrieval, `retrieved.json`.

    Files are fetched here and read on the workers of a backend, a step for each corpus and target language. A second call after a
    crash keeps finished parts; fetched files stay in the scratch folder until the stage is complete. Corpora in the cache are not
    fetched again. Neither that nor the backend changes a byte. `champion` is the encoder of sources whose model is the champion.

    Returns:
        Counts: `corpora`, `pairs`, `untranslated`, and `pairs.<target>`, `untranslated.<target>` for each language.

    Raises:
        InputError: a package, a version, a file or a language is missing or cannot be read, or `licences` does not allow the
            licence of a corpus; the message names it.
    """
    policy = LicencePolicy.of(licences or config.Licences())
    lock = Lockfile(Path(settings.lock), settings.update_lock)
    kinds = source_kinds(settings, languages)
    # A typing error must not cost a long download: first everything that needs no network.
    for problem in find_problems(settings, languages, licences or config.Licences()):
        raise problem
    discard_unfinished(workspace.scratch)
    context = FetchContext.from_settings(settings, lock, workspace.scratch, progress)
    context = dataclasses.replace(context, champion=champion)
    with active_limits(context.unpack_limits):
        opened = _open(kinds, context, policy, cache, progress)
    corpora = [corpus for _, unit_corpora in opened for corpus in unit_corpora]
    names = [f"{_number(index, len(corpora))}-{slug(corpus.name)}" for index, corpus in enumerate(corpora)]
    parts = _parts(corpora, names, languages.source)
    with active_limits(context.unpack_limits):
        make_pairs(corpora, settings.workers, backend, progress)
        write_parts(parts, settings, workspace, backend, progress)
    if cache:
        _store(cache, opened, names, workspace, lock)
    records = [_record(corpus, name, workspace) for corpus, name in zip(corpora, names, strict=True)]
    _check_targets(records, languages)
    _write_json(records, "provenance.json", workspace)
    # A separate file, as it differs in every run that fetches: the others stay equal to the byte.
    _write_json([_retrieval(corpus) for corpus in corpora], "retrieved.json", workspace)
    return _metrics(records, languages)


def _parts(corpora: Sequence[Corpus], names: Sequence[str], source: str) -> list[Part]:
    """Return the parts of the result: one for each corpus and target language."""
    return [
        Part(corpus, source, target, _part_name(name, target))
        for corpus, name in zip(corpora, names, strict=True)
        for target in corpus.targets
    ]


def local_files(settings: config.Download, languages: config.Languages) -> dict[str, str]:
    """Return the digests (sha256) of all files on disk that the sources name: part of the result's key, beside the settings.

    Names are `<number of the source>/<file name>`, and URLs whose digests were renewed in the lockfile.

    Raises:
        InputError: a file is missing.
    """
    kinds, lock = source_kinds(settings, languages), Lockfile(Path(settings.lock), settings.update_lock)
    digests = {
        f"{index}/{name}": file_digest(path) for index, kind in enumerate(kinds) for name, path in kind.local_files().items()
    }
    urls = [url for kind in kinds for url in kind.addresses(lock)]
    return digests | renewed_digests(lock, urls)


def _open(
    kinds: Sequence[SourceKind[Any]],
    context: FetchContext,
    policy: LicencePolicy,
    cache: CorpusCache | None,
    progress: Progress,
) -> list[_Opened]:
    """Return the units of all sources with their corpora: cached ones, or fetched now."""
    units = [unit for kind in kinds for unit in kind.units()]
    opened: list[_Opened] = []
    for done, unit in enumerate(units):
        progress(done, len(units), "sources")
        cached = cache.get(cache_identity(unit, context.lock)) if cache else []
        corpora: list[Corpus] = []
        for corpus in cached or unit.open(context):
            # Some licences are known only after fetching an archive; the next one is not fetched.
            policy.check([(corpus.name, corpus.licence)], "It was fetched to read its licence; its text was not used")
            corpora.append(corpus)
        opened.append((unit, corpora))
    return opened


def _store(cache: CorpusCache, opened: Sequence[_Opened], names: Sequence[str], workspace: Workspace, lock: Lockfile) -> None:
    """Add the parsed corpora to the cache."""
    remaining = iter(names)
    for unit, corpora in opened:
        files = []
        for corpus in corpora:
            name = next(remaining)
            files.append((corpus, {target: workspace.path(_part_name(name, target)) for target in corpus.targets}))
        cache.put(cache_identity(unit, lock), files)


def _part_name(name: str, target: str) -> str:
    return f"pairs/{target}/{name}.parquet"


def _record(corpus: Corpus, name: str, workspace: Workspace) -> dict[str, Any]:
    from mlctl.corpora import parquet_io

    counts = {target: parquet_io.count(workspace.path(_part_name(name, target))) for target in corpus.targets}
    return {
        "corpus": corpus.name,
        "kind": corpus.kind,
        "version": corpus.version,
        "licence": spdx(corpus.licence),
        "stated_licence": corpus.licence,
        "address": corpus.address,
        "sha256": corpus.sha256(),
        "pairs": {target: pairs for target, (pairs, _) in counts.items()},
        "untranslated": {target: untranslated for target, (_, untranslated) in counts.items()},
        **(corpus.details() if isinstance(corpus, EncodedCorpus) else {}),
    }


def _retrieval(corpus: Corpus) -> dict[str, Any]:
    return {"corpus": corpus.name, "kind": corpus.kind, "retrieved": corpus.retrieved()}


def _write_json(value: Any, part: str, workspace: Workspace) -> None:
    with workspace.part(part) as path:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _check_targets(records: Sequence[dict[str, Any]], languages: config.Languages) -> None:
    for target in languages.targets:
        if not any(record[count].get(target) for record in records for count in ("pairs", "untranslated")):
            raise InputError(
                f"no source has text for {languages.source}-{target}",
                f"add a source that has {target!r}, or remove it from languages.targets",
            )


def _metrics(records: Sequence[dict[str, Any]], languages: config.Languages) -> dict[str, Any]:
    metrics: dict[str, Any] = {"corpora": len(records)}
    for name in ("pairs", "untranslated"):
        by_target = {target: sum(record[name].get(target, 0) for record in records) for target in languages.targets}
        metrics[name] = sum(by_target.values())
        metrics.update({f"{name}.{target}": count for target, count in by_target.items()})
    return metrics


def _number(index: int, total: int) -> str:
    return f"{index:0{max(2, len(str(total - 1)))}d}"
