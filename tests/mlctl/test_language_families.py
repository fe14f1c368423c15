"""Families and scripts of languages."""

from __future__ import annotations

import pytest

from mlctl import languages
from mlctl.evaluation.tasks.registry import all_metadata
from mlctl.language_families import _BY_LANGUAGE, _FAMILIES, OTHER, family, script_name


def test_every_listed_code_is_one_that_is_looked_up() -> None:
    members = [code for text in _FAMILIES.values() for code in text.split()]
    assert len(members) == len(set(members)) == len(_BY_LANGUAGE)
    assert {code: languages.canonical(code) for code in members} == {code: code for code in members}


def test_every_language_of_the_published_protocols_has_a_family() -> None:
    tags = {tag for metadata in all_metadata() for tag in metadata.languages}
    assert not [tag for tag in tags if family(tag) == OTHER]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("swh_Latn", ("Niger-Congo", "Latin")),
        ("zh-Hant", ("Sino-Tibetan", "Han")),
        ("sr-Latn", ("Indo-European: Slavic", "Latin")),
        ("tgl", ("Austronesian", "Latin")),
        ("ru", ("Indo-European: Slavic", "Cyrillic")),
        ("tlh", (OTHER, OTHER)),
    ],
)
def test_families_and_scripts(code: str, expected: tuple[str, str]) -> None:
    assert (family(code), script_name(code)) == expected
