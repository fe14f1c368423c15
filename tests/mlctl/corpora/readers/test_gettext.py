from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlctl.corpora.readers.gettext import CatalogueError, Message, parse_catalogue

RUSSIAN = "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2)"
ARABIC = "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5"
PLURAL = 'msgid "a file"\nmsgid_plural "files"\n'


def forms(*texts: str) -> str:
    return PLURAL + "".join(f'msgstr[{index}] "{text}"\n' for index, text in enumerate(texts))


def translations(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.text, message.translation) for message in messages]


def test_entries_in_order_without_header_fuzzy_and_obsolete(gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    entries = """
msgid "one"
msgstr "un"

#, fuzzy
msgid "two"
msgstr "trois"

#~ msgid "old"
#~ msgstr "vieux"

#. Default: "Save \\"it\\""
msgctxt "menu"
msgid "label_save"
msgstr ""
"""
    assert parse_catalogue(gettext_files.catalogue(entries), ".po", tmp_path) == [
        Message("", "one", "un", ""),
        Message("menu", "label_save", "", 'Save "it"'),
    ]


@pytest.mark.parametrize(
    ("plural", "entry", "expected"),
    [
        ("nplurals=2; plural=(n > 1)", forms("un", "des"), [("a file", "un"), ("files", "des")]),
        ("nplurals=1; plural=0", forms("文件"), [("files", "文件")]),
        (RUSSIAN, forms("файл", "файла", "файлов"), [("a file", "файл"), ("files", "файлов")]),
        (ARABIC, forms("0", "1", "2", "3", "4", "5"), [("a file", "1"), ("files", "5")]),
        ("nplurals=2; plural=rm -rf", forms("un", "des"), [("a file", "un"), ("files", "des")]),
    ],
)
def test_plural_forms_for_one_and_for_many(
    plural: str, entry: str, expected: list[tuple[str, str]], gettext_files: SimpleNamespace, tmp_path: Path
) -> None:
    assert translations(parse_catalogue(gettext_files.catalogue(entry, plural), ".po", tmp_path)) == expected


def test_mo_says_the_same_as_po(gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    source = gettext_files.catalogue('msgctxt "c"\nmsgid "b"\nmsgstr "é"\n\n' + forms("un", "des"))
    compiled = parse_catalogue(gettext_files.mo(tmp_path / "mo", source), ".mo", tmp_path)
    assert sorted(compiled) == sorted(parse_catalogue(source, ".po", tmp_path))


def test_other_encodings_and_line_separators_inside_text(gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    latin = gettext_files.catalogue('msgid "a"\nmsgstr "été"\n', charset="iso-8859-1")
    assert translations(parse_catalogue(latin, ".po", tmp_path)) == [("a", "été")]
    split = gettext_files.po(("a", "x\u2028y\u0085z"))
    assert translations(parse_catalogue(split, ".po", tmp_path)) == [("a", "x\u2028y\u0085z")]


def test_errors_say_the_line(gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="line 6: invalid utf-8"):
        parse_catalogue(gettext_files.po(("a", "b")).replace(b'"a"', b'"\xff"'), ".po", tmp_path)
    with pytest.raises(CatalogueError, match="line 7: "):
        parse_catalogue(gettext_files.po(("a", "b")).replace(b'"b"', b'"b"b"'), ".po", tmp_path)


def test_a_catalogue_that_is_a_path_reads_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.po"
    secret.write_text('msgid "a"\nmsgstr "secret"\n')
    with pytest.raises(CatalogueError):
        parse_catalogue(str(secret).encode(), ".po", tmp_path)


def test_overlapping_mo_is_refused(gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    data = bytearray(gettext_files.mo(tmp_path / "mo", gettext_files.po(("a" * 50, "b" * 50))))
    data[28 + 8 : 28 + 12] = (len(data) - 1).to_bytes(4, "little")
    with pytest.raises(CatalogueError, match="damaged"):
        parse_catalogue(bytes(data), ".mo", tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), position=st.integers(0, 400), value=st.binary(max_size=6), compiled=st.booleans())
def test_hostile_bytes_give_messages_or_the_named_error(
    cut: int, position: int, value: bytes, compiled: bool, gettext_files: SimpleNamespace, tmp_path: Path
) -> None:
    data = gettext_files.catalogue('msgid "one"\nmsgstr "un"\n\n' + forms("un", "des"), RUSSIAN)
    suffix = ".mo" if compiled else ".po"
    data = gettext_files.mo(tmp_path / "mo", data) if compiled else data
    data = data[:position] + value + data[position + len(value) :]
    try:
        messages = parse_catalogue(data[: len(data) - cut] if cut < len(data) else data, suffix, tmp_path)
    except CatalogueError:
        return
    assert all(isinstance(text, str) for message in messages for text in message)


def test_contexts_of_kde3_are_no_text(gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    entries = r"""
msgid ""
"_: Button that starts the print job\n"
"Print"
msgstr "Imprimer"

msgid ""
"_: one\n"
"_: two\n"
"Two\n"
"lines"
msgstr ""
"_: one\n"
"Deux\n"
"lignes"

msgid "_: context without text\n"
msgstr "x"

msgid "A: no context"
msgstr "A : pas de contexte"

msgctxt "menu"
msgid "_Open"
msgstr "_Ouvrir"
"""
    assert parse_catalogue(gettext_files.catalogue(entries), ".po", tmp_path) == [
        Message("Button that starts the print job", "Print", "Imprimer", ""),
        Message("one", "Two\nlines", "Deux\nlignes", ""),
        Message("", "A: no context", "A : pas de contexte", ""),
        Message("menu", "_Open", "_Ouvrir", ""),
    ]


@pytest.mark.parametrize(
    ("plural", "translation", "expected"),
    [
        ("nplurals=2; plural=(n > 1)", r"un fichier\n%n fichiers", ["un fichier", "%n fichiers"]),
        ("nplurals=1; plural=0", "%n 个文件", ["%n 个文件"]),
        (RUSSIAN, r"%n файл\n%n файла\n%n файлов", ["%n файл", "%n файлов"]),
        (ARABIC, r"0\n1\n2\n3\n4\n5", ["1", "5"]),
        ("nplurals=INTEGER", r"%n файл\n%n файла\n%n файлов\n", ["%n файл", "%n файлов"]),
        ("nplurals=2; plural=(n != 1)", r"%n плик\n%n плики\n%n плика", ["%n плик", "%n плика"]),
        ("nplurals=2; plural=(n != 1)", "", ["", ""]),
        ("nplurals=2; plural=(n != 1)", "%n", ["%n"]),
    ],
)
def test_plural_forms_of_kde3(
    plural: str, translation: str, expected: list[str], gettext_files: SimpleNamespace, tmp_path: Path
) -> None:
    keys = ["a file", "%n files"][-len(expected) :]
    for context in ("", r"_: context\n"):
        for mark in ("_n: ", "_n:"):
            entry = f'msgid ""\n"{context}{mark}a file\\n"\n"%n files"\nmsgstr "{translation}"\n'
            messages = parse_catalogue(gettext_files.catalogue(entry, plural), ".po", tmp_path)
            assert translations(messages) == list(zip(keys, expected, strict=True))


@pytest.mark.parametrize(
    "entry",
    [
        r'msgid "_: NAME OF TRANSLATORS\nYour names"',
        r'msgid "_: EMAIL OF TRANSLATORS\nYour emails"',
        'msgctxt "NAME OF TRANSLATORS"\nmsgid "Your names"',
        'msgctxt "EMAIL OF TRANSLATORS"\nmsgid "Your e-mails"',
        'msgctxt "NAME(S) OF TRANSLATOR(S)"\nmsgid "x"',
        'msgid "Your names"',
        'msgid "ROLES_OF_TRANSLATORS"',
        'msgid "CREDIT_FOR_TRANSLATORS"',
        'msgid "translator-credits"',
        'msgctxt "_"\nmsgid "translator-credits"',
        'msgid "translator_credits-PLEASE ADD YOURSELF HERE"',
    ],
)
def test_names_of_translators_are_no_pair(entry: str, gettext_files: SimpleNamespace, tmp_path: Path) -> None:
    other = 'msgid "the names of translators"\nmsgstr "les noms des traducteurs"\n\nmsgid "Your name"\nmsgstr "Votre nom"\n'
    data = gettext_files.catalogue(f'{entry}\nmsgstr "A, B"\n\n{other}')
    for suffix, catalogue in ((".po", data), (".mo", gettext_files.mo(tmp_path / "mo", data))):
        messages = sorted(translations(parse_catalogue(catalogue, suffix, tmp_path)))
        assert messages == [("Your name", "Votre nom"), ("the names of translators", "les noms des traducteurs")]
