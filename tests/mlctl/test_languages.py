"""Codes of every source become one tag."""

from __future__ import annotations

import pytest

from mlctl import languages
from mlctl.errors import InputError


@pytest.mark.parametrize(
    ("codes", "tag"),
    [
        ("zh zho cmn cmn_Hans zh-CN zh_Hans zho_Hans chi", "zh"),
        ("zh_TW zh-Hant zho_Hant", "zh-Hant"),
        ("fr fra fre fra_Latn fr_FR FR", "fr"),
        ("pt pt_BR por", "pt"),
        ("ar arb ara arb_Arab", "ar"),
        ("sw swh swh_Latn swa", "sw"),
        ("tl tgl fil", "fil"),
        ("sr@latin sr_Latn srp_Latn", "sr-Latn"),
        ("he iw heb", "he"),
        ("de_AT deu ger", "de"),
    ],
)
def test_all_notations_of_a_language_are_one(codes: str, tag: str) -> None:
    assert {languages.canonical(code) for code in codes.split()} == {tag}


def test_canonical_is_idempotent() -> None:
    for code in ("zh_TW", "sr@latin", "pt_BR", "tgl", "arb"):
        assert languages.canonical(languages.canonical(code)) == languages.canonical(code)


@pytest.mark.parametrize(("code", "near"), [("french", "'fr'"), ("xx", "'"), ("", "'"), ("???", "'"), ("und", "'")])
def test_an_unknown_code_suggests_another(code: str, near: str) -> None:
    with pytest.raises(InputError, match="unknown language") as caught:
        languages.canonical(code)
    assert near in caught.value.remedy
    assert not languages.is_language(code)


def test_names_are_for_people() -> None:
    assert (languages.name("fr"), languages.name("zh_TW")) == ("French", "Chinese (Traditional)")
