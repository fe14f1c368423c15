from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlctl.config import Languages
from mlctl.corpora.corpus import Row
from mlctl.corpora.sources.locales import LocalesCorpus, looks_like_identifier
from mlctl.errors import InputError

MakeWheel = Callable[..., Path]


@pytest.fixture
def corpus(make_wheel: MakeWheel, tmp_path: Path) -> Callable[..., LocalesCorpus]:
    def make(
        members: Mapping[str, bytes], source: str = "en", targets: tuple[str, ...] = ("fr",), **options: str
    ) -> LocalesCorpus:
        wheel = make_wheel("demo", members, **options)
        return LocalesCorpus(wheel, "demo", Languages(source=source, targets=targets), tmp_path)

    return make


def pairs(corpus: LocalesCorpus, target: str = "fr") -> list[tuple[str, str | None]]:
    return [(row.source, row.target) for row in corpus.rows(target)]


def test_rows_and_origin(corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    demo = corpus({"locale/fr/LC_MESSAGES/app.po": gettext_files.po(("Save", "Enregistrer"), ("Open  a file", ""))})
    assert list(demo.rows("fr")) == [
        Row("Save", "Enregistrer", "demo/locale/fr/LC_MESSAGES/app.po#Save"),
        Row("Open  a file", None, "demo/locale/fr/LC_MESSAGES/app.po#Open a file"),
    ]
    assert (demo.name, demo.version, demo.licence, demo.address) == ("demo", "1.0", "MIT", "demo==1.0")


def test_po_goes_before_mo_and_mo_alone_is_read(
    corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace, tmp_path: Path
) -> None:
    compiled = gettext_files.mo(tmp_path / "mo", gettext_files.po(("Save", "du .mo")))
    both = {"locale/fr/LC_MESSAGES/app.mo": compiled, "locale/fr/LC_MESSAGES/app.po": gettext_files.po(("Save", "du .po"))}
    assert pairs(corpus(both)) == [("Save", "du .po")]
    assert pairs(corpus({"../demo.data/data/share/locale/fr/LC_MESSAGES/app.mo": compiled})) == [("Save", "du .mo")]


def test_plain_locale_first_and_regional_ones_fill_its_gaps(
    corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace
) -> None:
    members = {
        "locale/es_AR/LC_MESSAGES/a.po": gettext_files.po(("Car", "Auto"), ("Bus", "Colectivo"), ("Left", "")),
        "locale/es/LC_MESSAGES/a.po": gettext_files.po(("Car", "Coche"), ("Bus", "")),
        "locale/en@shaw/LC_MESSAGES/a.po": gettext_files.po(("Car", "𐑒𐑸")),
        "locale/templates/LC_MESSAGES/a.po": gettext_files.po(("Car", "?")),
    }
    chinese = {f"locale/{name}/LC_MESSAGES/a.po": gettext_files.po(("Car", name)) for name in ("zh_HK", "zh_Hant", "zh_TW")}
    assert pairs(corpus(chinese, targets=("zh-Hant",)), "zh-Hant") == [("Car", "zh_Hant")]
    assert pairs(corpus(members, targets=("es",)), "es") == [("Car", "Coche"), ("Bus", "Colectivo"), ("Left", None)]


@pytest.mark.parametrize(
    ("locale", "target"),
    [("pt_BR", "pt"), ("zh_Hans", "zh"), ("zh_CN", "zh"), ("sr@latin", "sr-Latn"), ("zh_TW", "zh-Hant"), ("nb_NO", "no")],
)
def test_locale_notations(locale: str, target: str, corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    demo = corpus({f"locale/{locale}/LC_MESSAGES/a.po": gettext_files.po(("Yes", "?"))}, targets=(target,))
    assert pairs(demo, target) == [("Yes", "?")]


def test_source_catalogue_then_default_then_key(corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    french = gettext_files.catalogue("""
msgid "label_save"
msgstr "Enregistrer"

#. Default: "Add a member"
msgid "label_add"
msgstr "Ajouter un membre"

msgid "label_lost"
msgstr "Perdu"

msgid "Log in"
msgstr "Connexion"
""")
    english = gettext_files.po(("label_save", "Save"), ("label_add", ""), ("Log in", ""))
    members = {"locale/fr/LC_MESSAGES/a.po": french, "locale/en/LC_MESSAGES/a.po": english}
    assert pairs(corpus(members)) == [("Save", "Enregistrer"), ("Add a member", "Ajouter un membre"), ("Log in", "Connexion")]


def test_british_spelling_does_not_replace_keys(corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    members = {
        "locale/fr/LC_MESSAGES/a.po": gettext_files.po(("Color", "Couleur")),
        "locale/en_GB/LC_MESSAGES/a.po": gettext_files.po(("Color", "Colour")),
    }
    assert pairs(corpus(members)) == [("Color", "Couleur")]


def test_any_two_languages_meet_through_their_keys(corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    members = {
        "locale/fr/LC_MESSAGES/a.po": gettext_files.po(("Yes", "Oui"), ("No", "Non"), ("Maybe", "")),
        "locale/de/LC_MESSAGES/a.po": gettext_files.po(("Yes", "Ja"), ("No", ""), ("Maybe", "Vielleicht")),
    }
    assert pairs(corpus(members, "fr", ("de",)), "de") == [("Oui", "Ja"), ("Non", None)]
    assert pairs(corpus(members, "fr", ("en",)), "en") == [("Oui", "Yes"), ("Non", "No")]


@pytest.mark.parametrize("text", ["label_foo_bar", "help_sure?", "portlet.title", "msg_id:x", "translator-credits"])
def test_identifiers(text: str) -> None:
    assert looks_like_identifier(text)


@pytest.mark.parametrize("text", ["Save", "e.g.", "e-mail", "Use file_name here", "%(foo_bar)s", "_File", "no", "12.5"])
def test_texts(text: str) -> None:
    assert not looks_like_identifier(text)


def test_a_broken_catalogue_is_left_out_by_name_and_line(
    corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    members = {
        "a/locale/fr/LC_MESSAGES/a.po": b'msgid "a"b"\n',
        "b/locale/fr/LC_MESSAGES/b.po": gettext_files.po(("Yes", "Oui")),
    }
    with caplog.at_level(logging.WARNING):
        assert pairs(corpus(members)) == [("Yes", "Oui")]
    assert "a/locale/fr/LC_MESSAGES/a.po: line 1" in caplog.text


def test_nothing_readable_is_an_error(corpus: Callable[..., LocalesCorpus]) -> None:
    demo = corpus({"locale/fr/LC_MESSAGES/a.po": b'msgid "a"b"\n'})
    with pytest.raises(InputError, match="none of its fr catalogues can be read"):
        pairs(demo)


def test_missing_languages(corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    members = {"locale/fr/LC_MESSAGES/a.po": gettext_files.po(("Yes", "Oui"))}
    assert corpus(members, targets=("fr", "sw")).targets == ("fr",)
    with pytest.raises(InputError, match=r"demo has no catalogues for sw, ja(?s:.*)it has fr"):
        corpus(members, targets=("sw", "ja"))
    with pytest.raises(InputError, match="no catalogues for de"):
        corpus(members, source="de")
    with pytest.raises(InputError, match="it contains no translations"):
        corpus({"module.py": b""})


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: BSD-3-Clause\nLicense: BSD\n", "BSD-3-Clause"),
        ("License: GPL v2 or greater\n", "GPL v2 or greater"),
        (f"License: {'Permission is hereby granted ' * 9}\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("License: UNKNOWN\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_licence(metadata: str, licence: str, corpus: Callable[..., LocalesCorpus], gettext_files: SimpleNamespace) -> None:
    assert corpus({"locale/fr/LC_MESSAGES/a.po": gettext_files.po(("a", "b"))}, metadata=metadata).licence == licence


def test_damaged_wheels(make_wheel: MakeWheel, gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    languages = Languages()
    wheel = make_wheel(
        "demo", {"locale/fr/LC_MESSAGES/a.po": gettext_files.po(*[(f"text {n}", f"texte {n}") for n in range(50)])}
    )
    whole = bytearray(wheel.read_bytes())
    wheel.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"demo-1\.0-py3-none-any\.whl is damaged"):
        LocalesCorpus(wheel, "demo", languages, tmp_path)
    assert not wheel.exists(), "it would be found damaged for ever"
    whole[200:220] = bytes(20)
    wheel.write_bytes(whole)
    with pytest.raises(InputError, match=r"damaged: demo/locale/fr/LC_MESSAGES/a\.po"):
        list(LocalesCorpus(wheel, "demo", languages, tmp_path).rows("fr"))


def test_a_member_that_unpacks_to_very_much_is_refused(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel("demo", {})
    with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("locale/fr/LC_MESSAGES/a.po", "w") as member:
        for _ in range(33):
            member.write(bytes(2**20))
    with pytest.raises(InputError, match="larger than 32 MiB"):
        list(LocalesCorpus(wheel, "demo", Languages(), tmp_path).rows("fr"))
