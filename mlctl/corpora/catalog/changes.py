"""What there is to read now, against what was there before: files, versions of packages and releases, and what addresses say."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mlctl import config
from mlctl.config import Download, Languages, Source
from mlctl.core.hashing import file_digest
from mlctl.core.url_redaction import shown
from mlctl.core.workspace import silent
from mlctl.corpora.corpus_cache import exact
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.corpora.sources.huggingface import commit_of, folder_files, local_folder
from mlctl.corpora.sources.mtdata import mtdata_addresses
from mlctl.corpora.sources.opus import newest_release, opus_addresses
from mlctl.corpora.sources.pip_download import newest
from mlctl.corpora.sources.url import limits_of, url_addresses, web
from mlctl.corpora.transfer import Client, RefusedError, TransientError
from mlctl.errors import InputError

#: What is read, by a name for people: what tells its content apart, and what lets a file be known again without reading it.
States = dict[str, tuple[str, str]]

_ABSENT = ("", "")


@dataclass
class SourceState:
    """What was found.

    Attributes:
        sources: the recipe's, with versions, releases and commits in the place of what stands for the newest.
        states: see `States`.
        changed: addresses that give other bytes than the lock file has.
        unasked: what could not be asked, and why; it counts as it was.
        sizes: bytes of what would be fetched, by address; None: not known.
    """

    sources: list[Source] = field(default_factory=list)
    states: States = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    unasked: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int | None] = field(default_factory=dict)


def look(
    settings: Download, languages: Languages, ask: bool = True, known: Mapping[str, Sequence[str]] | None = None
) -> SourceState:
    """Return what the sources of a recipe are now. Nothing is fetched.

    Args:
        settings: sources, and how to ask.
        languages: which text of the sources is wanted.
        ask: whether servers, the package index and the hub are asked; else what the lock file and the recipe say counts.
        known: states of an earlier look: files of the same size and time are not read again.

    Raises:
        InputError: a file or folder on disk is missing.
    """
    return _Looker(settings, languages, ask, known or {}).look()


def news(before: Mapping[str, Sequence[str]], now: States) -> list[str]:
    """Return what is new, changed or gone, a line each."""
    lines = []
    for name in sorted({*before, *now}):
        earlier, later = (_content(states, name) for states in (before, now))
        if earlier != later:
            lines.append(f"{'new' if not earlier else 'gone' if not later else 'changed'}: {name}")
    return lines


def settled(found: SourceState, settings: Download) -> States:
    """Return the states of a look after all of it was fetched: of addresses what the lock file has by now."""
    lock = Lockfile(Path(settings.lock))
    return {name: (lock.digest(name) or content, stamp) for name, (content, stamp) in found.states.items()}


def _content(states: Mapping[str, Sequence[str]], name: str) -> str:
    content, _ = states.get(name, _ABSENT)
    return content


class _Looker:
    def __init__(self, settings: Download, languages: Languages, ask: bool, known: Mapping[str, Sequence[str]]) -> None:
        self._settings, self._languages, self._asks, self._known = settings, languages, ask, known
        self._lock = Lockfile(Path(settings.lock))
        self.found = SourceState()

    def look(self) -> SourceState:
        for source in self._settings.sources:
            self.found.sources += self._look_at(source)
        return self.found

    def _look_at(self, source: Source) -> list[Source]:
        if isinstance(source, config.FilesSource):
            self._files(source.name, FilesCorpus(source, self._languages).paths())
        elif isinstance(source, config.LocalesSource):
            return [self._packages(source)]
        elif isinstance(source, config.HuggingfaceSource):
            return [self._data_set(source)]
        elif isinstance(source, config.OpusSource):
            return self._releases(source)
        elif isinstance(source, config.MtdataSource):
            self._addresses(mtdata_addresses(source, self._languages))
        else:
            self._addresses(url_addresses(source, self._languages), source.sha256)
        return [source]

    def _files(self, corpus: str, paths: Sequence[Path]) -> None:
        for path in paths:
            name, status = f"{corpus}: {path.name}", path.stat()
            name = name if name not in self.found.states else f"{corpus}: {path}"
            stamp = f"{status.st_size} {status.st_mtime_ns}"
            digest, earlier = tuple(self._known.get(name, _ABSENT))
            self.found.states[name] = (digest if earlier == stamp else file_digest(path), stamp)

    def _packages(self, source: config.LocalesSource) -> config.LocalesSource:
        """Return a source with the versions that there are now."""
        versions = {package: self._version(package) for package in source.packages}
        self.found.states |= {package: (version, "") for package, version in versions.items()}
        self.found.sizes |= dict.fromkeys(versions)
        return source.model_copy(update={"packages": tuple(versions.values())})

    def _version(self, package: str) -> str:
        """Return a package with the newest version that its requirement lets through."""
        if exact(package):
            return package
        return self._asked(package, lambda: newest(package, self._settings), _content(self._known, package) or package)

    def _data_set(self, source: config.HuggingfaceSource) -> config.HuggingfaceSource:
        """Return a source with the commit that its revision is now."""
        if local_folder(source):
            self._files(source.dataset, list(folder_files(source).values()))
            return source
        known = _content(self._known, source.dataset)
        commit = self._asked(source.dataset, lambda: commit_of(source), known or source.revision)
        self.found.states[source.dataset] = (commit, "")
        self.found.sizes[source.dataset] = None
        return source.model_copy(update={"revision": commit})

    def _releases(self, source: config.OpusSource) -> list[Source]:
        """Return a source for each release that has some of the languages."""
        by_version = defaultdict(list)
        for target, version in self._versions(source):
            by_version[version].append(target)
        pinned = [source.model_copy(update={"version": v, "targets": tuple(t)}) for v, t in by_version.items()]
        for one in pinned or [source]:
            for address in opus_addresses(one, self._languages, self._settings, self._lock):
                self._take_as_locked(address)  # a release never changes
        return list(pinned) or [source]

    def _versions(self, source: config.OpusSource) -> Iterator[tuple[str, str]]:
        """Yield the targets of a source, each with the release to take; none where nothing is known."""
        with tempfile.TemporaryDirectory() as folder:
            surroundings = web(self._settings, Path(folder), silent, self._lock)
            for target in source.targets or self._languages.targets:
                if source.version != "latest":
                    yield target, source.version
                    continue
                name = f"{source.corpus}, {target}"
                known = _content(self._known, name)

                def ask(target: str = target) -> str:
                    return newest_release(source, self._languages.source, target, self._settings, surroundings)

                if version := self._asked(name, ask, known):
                    self.found.states[name] = (version, "")
                    yield target, version

    def _addresses(self, addresses: Sequence[str], sha256: str = "") -> None:
        """Look at addresses whose content may change: all at once, as each takes a moment."""
        client = Client(limits_of(self._settings))

        def look(address: str) -> None:
            if sha256 or not self._asks:
                self._take_as_locked(address)
            else:
                self._ask_address(client, address)

        with ThreadPoolExecutor(self._settings.connections) as pool:
            list(pool.map(look, addresses))

    def _ask_address(self, client: Client, address: str) -> None:
        fetched = self._lock.version_of(address)
        try:
            now = client.version(address)
        except (TransientError, RefusedError) as error:
            self.found.unasked[shown(address)] = str(error)
            self._take_as_locked(address)
            return
        if fetched and fetched.contradicts(now):
            self.found.changed.append(address)
            self._state(address, f"{now.etag} {now.modified} {now.length}", now.length)
        else:
            self._state(address, self._lock.digest(address) or address, now.length)

    def _state(self, address: str, state: str, size: int | None) -> None:
        self.found.states[shown(address)] = (state, "")
        self.found.sizes[shown(address)] = size

    def _take_as_locked(self, address: str) -> None:
        fetched = self._lock.version_of(address)
        self._state(address, self._lock.digest(address) or address, fetched.length if fetched else None)

    def _asked(self, name: str, ask: Callable[[], str], otherwise: str) -> str:
        """Return the answer of a service; what counted before where it is not asked or does not answer."""
        if not self._asks:
            return otherwise
        try:
            return ask()
        except InputError as error:
            self.found.unasked[name] = error.problem
            return otherwise
