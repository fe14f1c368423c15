"""Source kind `locales`: human translations in the gettext catalogues of a package."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from mlctl.config import Languages
from mlctl.core.hashing import file_digest
from mlctl.corpora.corpus import Row
from mlctl.corpora.file_info import written_at
from mlctl.corpora.sources.gettext import CatalogueError, Message, parse
from mlctl.corpora.sources.wheel import Wheel
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

log = logging.getLogger(__name__)

_MEMBER = re.compile(r"(?:(?P<folder>.*)/)?(?P<locale>[^/]+)/LC_MESSAGES/(?P<domain>[^/]+)\.(?:po|mo)")
# Locale modifiers that leave the language what it is; others (en@shaw, en@quot) are games or other scripts.
_MODIFIERS = {"", "latin", "cyrillic", "devanagari", "valencia", "euro"}
# Names such as label_save, help_password?, portlet.title: keys that a program looks texts up with.
_IDENTIFIER = re.compile(r"[a-z][\w.:-]*_[\w.:-]*\W?|[a-z]\w*(?:\.\w+)+|translator-credits")

_Domain = tuple[str, str]
_Key = tuple[str, str]


@dataclass(frozen=True)
class _Found:
    """A message and the catalogue it stands in."""

    message: Message
    member: str


class LocalesCorpus:
    """The catalogues of one wheel, seen as text in the recipe's source language beside each target language.

    A side's text is its own catalogue's translation. For English, which most packages write their keys in, it may also be the
    English that a comment gives (`Default: "..."`, where the key is one word) or the key itself, unless that is an identifier
    such as `label_save`: then the entry is left out.

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
        self._check(languages)

    @property
    def address(self) -> str:
        """The package and the version that was read, as pip takes them."""
        return f"{self.name}=={self.version}"

    @cached_property
    def _digest(self) -> str:
        return file_digest(self._path)

    def sha256(self) -> str:
        """Return the digest of the wheel."""
        return self._digest

    def retrieved(self) -> Mapping[str, str]:
        """Return when pip laid the wheel down; the time of the wheel itself may be that of its making."""
        return {self.address: written_at(self._path.parent)}

    def rows(self, target: str) -> Iterator[Row]:
        """Yield a row for every entry that has a source text; without a translation its target is None."""
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
        for key, found in (targets or sources).items():
            source = _text(self._source, sources.get(key), found)
            if source is None:
                yield None
                continue
            origin = f"{found.member}#{' '.join(found.message.text.split())[:60]}"
            yield Row(source, _text(target, targets.get(key), found), origin)

    def _read(self, wheel: Wheel, domain: _Domain, language: str) -> dict[_Key, _Found]:
        """Return the messages of all catalogues of a language; the plain one's text stands, others fill what it lacks."""
        messages: dict[_Key, _Found] = {}
        for member in self._variants(domain, language):
            try:
                parsed = parse(wheel.read(member), PurePosixPath(member).suffix, self._scratch)
            except CatalogueError as error:
                self._broken.add(member)
                log.warning("%s: %s is left out, %s", self.name, member, error)
                continue
            for message in parsed:
                key = (message.context, message.text)
                if key not in messages or (message.translation and not messages[key].message.translation):
                    messages[key] = _Found(message, member)
        return messages

    def _variants(self, domain: _Domain, language: str) -> list[str]:
        """Return the catalogues of a language, the plain one (`es`) before regional ones (`es_AR`)."""
        by_locale = {locale: member for locale, member in self._members[domain].items() if canonical(locale) == language}
        plain = {locale for locale in by_locale if locale.replace("_", "-") == language}
        if language == "en":  # British spelling must not stand in for keys that are English already
            by_locale = {locale: member for locale, member in by_locale.items() if locale in plain | {"en_US"}}
        return [by_locale[locale] for locale in sorted(by_locale, key=lambda locale: (locale not in plain, locale))]

    def _has(self, language: str) -> bool:
        return (language == "en" and bool(self._members)) or any(self._variants(domain, language) for domain in self._members)

    def _check(self, languages: Languages) -> None:
        missing = [tag for tag in languages.targets if tag not in self.targets]
        if not self._has(languages.source):
            raise self._lacks(languages.source)
        if not self.targets:
            raise self._lacks(", ".join(missing))
        if missing:
            log.info("%s has no catalogues for %s", self.name, ", ".join(missing))

    def _lacks(self, what: str) -> InputError:
        have = sorted({canonical(locale) for locales in self._members.values() for locale in locales})
        remedy = f"it has {', '.join(have)}" if have else "it is no source of translations"
        return InputError(f"{self._requirement} has no catalogues for {what}", f"take it out of download.sources: {remedy}")

    def _check_readable(self, target: str, entries: int) -> None:
        if self._broken and not entries:
            listed = ", ".join(sorted(self._broken)[:3])
            raise InputError(
                f"{self._requirement}: none of its {target} catalogues can be read ({listed})",
                "take another version of the package",
            )


def looks_like_identifier(text: str) -> bool:
    """Tell whether a key is a name for programs (`label_save`, `portlet.title`) and no text for people."""
    return _IDENTIFIER.fullmatch(text) is not None


def _text(language: str, own: _Found | None, other: _Found) -> str | None:
    """Return what an entry says in a language, `other` being the entry as any catalogue has it."""
    if own and own.message.translation:
        return own.message.translation
    if language != "en":
        return None
    key, default = other.message.text, (own.message.default if own else "") or other.message.default
    if default and not any(map(str.isspace, key)):
        return default
    return None if looks_like_identifier(key) else key


def _catalogue_members(members: list[str]) -> dict[_Domain, dict[str, str]]:
    """Return {(folder, domain): {locale: member}} of all catalogues; .po goes before .mo, it knows flags and comments."""
    found: dict[_Domain, dict[str, str]] = defaultdict(dict)
    for member in sorted(members):  # .mo sorts first, so that .po takes its place
        match = _MEMBER.fullmatch(member)
        if match and _names_language(match["locale"]):
            found[match["folder"] or "", match["domain"]][match["locale"]] = member
    return dict(found)


def _names_language(locale: str) -> bool:
    return locale.partition("@")[2].lower() in _MODIFIERS and is_language(locale)
