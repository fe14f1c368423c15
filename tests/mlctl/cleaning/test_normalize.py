from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cleaning.catalogues import is_catalogue
from mlctl.cleaning.characters import comparison_key, normalize_characters
from mlctl.cleaning.markup import strip_markup
from mlctl.cleaning.normalize import normalize_pair


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("e\u0301te\u0301", "été"),
        ("  a\u00a0b\t\r\nc\u2028d\u3000e  ", "a b c d e"),
        ("ze\u00adro\u200bwidth\ufeff", "zerowidth"),
        ("\u202bשלום\u202c \u200fabc\x07\x84", "שלום abc"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("ភាសា\u200b\u200bខ្មែរ\u200b។ \u200bABC\u200bក\u200b", "ភាសា\u200bខ្មែរ\u200b។ ABCក"),
        ("กา\u200b\u00ad\u200bขา \u200b ລາວ\u200bດີ 中\u200b文", "กา\u200bขา ລາວ\u200bດີ 中文"),
        ("ab\u200ccd", "abcd"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_characters(raw: str, clean: str) -> None:
    assert normalize_characters(raw) == clean


@given(st.text())
def test_even_text_stays_normalize_characters(text: str) -> None:
    clean = normalize_characters(text)
    assert normalize_characters(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == clean.strip()
    assert "  " not in clean


@given(st.text())
def test_comparable_forms_are_stable(text: str) -> None:
    assert comparison_key(comparison_key(text)) == comparison_key(text)


def test_comparable_sees_through_case_width_and_space() -> None:
    assert comparison_key("Ｓtraße  ﬁn") == comparison_key("STRASSE FIN")


@pytest.mark.parametrize(
    ("raw", "clean", "placeholders"),
    [
        ("%(count)d files", "files", ("%(count)",)),
        ("Hello, %(name)s!", "Hello!", ("%(name)",)),
        ("Error: %s", "Error", ("%s",)),
        ("Error: %s.", "Error.", ("%s",)),
        ('Cannot open "%s" (%d)', "Cannot open", ("%d", "%s")),
        ("Le fichier «\u00a0%(a)s\u00a0» n'existe pas", "Le fichier n'existe pas", ("%(a)",)),
        ("%1$s of %2$s", "of", ("%s", "%s")),
        ("Edit {name!r} at {0:.2f}", "Edit at", ("{name}", "{}")),
        ("Hi {{ user|title }}, {% trans %}", "Hi", ("{%trans%}", "{{user|title}}")),
        ("Delete ${title}?", "Delete?", ("${title}",)),
        ("%(percent)s%% complete", "complete", ("%(percent)",)),
        ("100%% sure", "100% sure", ()),
        ("by %(a)s, %(b)s and %(c)s", "by and", ("%(a)", "%(b)", "%(c)")),
        ("(%d options: %s, ...)", "(options, ...)", ("%d", "%s")),
        ("%(user)s's page", "page", ("%(user)",)),
        ("已删除 %d 个项目", "已删除个项目", ("%d",)),
        ("%s的文件", "的文件", ("%s",)),
        ("%(a)s", "", ("%(a)",)),
        ("%Y-%m-%d", "", ("%Y", "%d", "%m")),
        ("took %.2fs", "took", ("%f",)),
        ("%s -> %s", "", ("%s", "%s")),
        ("from %s:", "from:", ("%s",)),
        ('<a href="{url}">Read</a> <b>more</b><br/>now', "Read more now", ("{url}",)),
        ("<p class='x'>one</p><p>two</p>", "one two", ()),
        ("a <blink>b</blink> <!-- c --> d", "a b d", ()),
        ("Press <0>here</0>.", "Press here.", ()),
        ("People with the <event filter>", "People with the event filter", ()),
        ("Don&#8217;t &amp; won&rsquo;t&hellip;", "Don’t & won’t…", ()),
        ('say \\"hi\\"\\nnow', 'say "hi" now', ()),
    ],
)
def test_markup_goes_with_what_it_leaves_empty(raw: str, clean: str, placeholders: tuple[str, ...]) -> None:
    text, removed = strip_markup(raw)
    assert (normalize_characters(text), removed) == (clean, placeholders)


@pytest.mark.parametrize(
    ("source", "target", "clean_source", "clean_target"),
    [
        ("_File", "_Fichier", "File", "Fichier"),
        ("&File", "文件(&F)", "File", "文件"),
        ("Save _As…", "另存为(_A)…", "Save As…", "另存为…"),
        ("E_xit", "_Quitter", "Exit", "Quitter"),
        ("E&xit", "B&eenden", "Exit", "Beenden"),
        ("R_ight:", "à d_roite\u00a0:", "Right:", "à droite :"),
        ("R&D budget", "F&E-Budget", "R&D budget", "F&E-Budget"),
        ("AT&T", "AT&T", "AT&T", "AT&T"),
        ("set file_name", "file_name setzen", "set file_name", "file_name setzen"),
        ("no “file_name”", "没有“file_name”的", "no “file_name”", "没有“file_name”的"),
        ("__init__ and _x", "__init__ et _x", "__init__ and _x", "__init__ et _x"),
        ("a=1&b=2", "a=1&c=2", "a=1&b=2", "a=1&c=2"),
    ],
)
def test_accelerators(source: str, target: str, clean_source: str, clean_target: str) -> None:
    assert normalize_pair(source, target)[:2] == (clean_source, clean_target)


@pytest.mark.parametrize(
    ("source", "target", "clean"),
    [
        ("Open...", "Ouvrir", ("Open", "Ouvrir")),
        ("Open", "Ouvrir…", ("Open", "Ouvrir")),
        ("Open...", "Ouvrir…", ("Open...", "Ouvrir…")),
        ("Name:", "名称：", ("Name:", "名称：")),
        ("Wait …….", "等", ("Wait …….", "等")),
        ("Wait ……", "等", ("Wait", "等")),
        ("Name", "Nom\u00a0:", ("Name", "Nom")),
    ],
)
def test_ends_are_the_same_on_both_sides(source: str, target: str, clean: tuple[str, str]) -> None:
    assert normalize_pair(source, target)[:2] == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Hall &amp;amp; Daughters sell tea.", "Hall & Daughters sell tea."),
        ("Hall &amp;amp;amp;amp;amp; Daughters", "Hall & Daughters"),
        ("&amp;lt;p&amp;gt;one&amp;lt;/p&amp;gt; &lt;em&gt;two&lt;/em&gt;", "one two"),
        ("&#38;#38;lt;b&#x26;gt;one&amp;lt;/b&#62;", "one"),
        ("it&amp;#39;s &amp;quot;fine&amp;quot; &amp;hellip;", 'it\'s "fine" …'),
        ("read &amp;lt;read.me&amp;gt; first", "read <read.me> first"),
        ("a &lt; b &amp;gt; c", "a < b > c"),
        ('<a title="a &gt; &quot;b&quot;">link</a>', "link"),
        ("&lt;a title=&quot;a &amp;gt; b&quot;&gt;link&lt;/a&gt;", "link"),
        ("Caf&Atilde;&copy; &amp; bar", "Café & bar"),
        ("one&amp;lt;br/&amp;gt;two", "one two"),
        ("Tom & amp ; Tim & quot ; x & #39 ; y &lt ; &nbsp z", "Tom & Tim \" x ' y < z"),
        ("&bra; a &bar; b &ket;", "[ a | b ]"),
        ("&R;D; and &copying; and ?a=1&lt=2", "&R;D; and &copying; and ?a=1&lt=2"),
        ("<![CDATA[one <b>two</b>]]>", "one two"),
    ],
)
def test_entities_are_undone_until_nothing_changes(raw: str, clean: str) -> None:
    for catalogue in (True, False):
        assert normalize_pair(raw, None, catalogue).source == clean
        assert normalize_pair(raw, raw, catalogue)[:2] == (clean, clean)


@pytest.mark.parametrize(
    ("raw", "clean", "placeholders"),
    [
        ('A <g id="1">stone <g id="2">wall</g></g>', "A stone wall", ()),
        ('<bpt id="1">&lt;b&gt;</bpt>wall<ept id="1">&lt;/b&gt;</ept>', "wall", ()),
        ('a <ph id="1" disp="&lt;x&gt;">code</ph>b<it id="2" pos="open">[i]</it>', "a b", ()),
        ('a <ph id="1">{0}</ph> b', "a b", ("{}",)),
        ('a <ph x="1">code <sub>note</sub> code</ph> b, H<sub>2</sub>O', "a b, H2O", ()),
        ('one<x id="1" ctype="lb"/>two<x id="2"/> three<ph/>', "one two three", ()),
        ('<mrk mtype="seg">one</mrk> <pc id="1">two</pc> <hi>three</hi>', "one two three", ()),
    ],
)
def test_elements_of_translation_formats_in_strings(raw: str, clean: str, placeholders: tuple[str, ...]) -> None:
    assert normalize_pair(raw, None) == (clean, None, placeholders, (), False)


@pytest.mark.parametrize(
    ("source", "target", "clean_source", "clean_target"),
    [
        ("salt&pepper", "sel&poivre", "salt&pepper", "sel&poivre"),
        ("q&a session", "séance q&r", "q&a session", "séance q&r"),
        ("Hall &Sons sell tea", "Hall &Fils vendent du thé", "Hall &Sons sell tea", "Hall &Fils vendent du thé"),
        ("bread &butter", "pain et beurre", "bread &butter", "pain et beurre"),
        ("&File", "&Fichier", "File", "Fichier"),
        ("&File", "Fichier", "File", "Fichier"),
        ("File", "文件(&F)", "File", "文件"),
        ("_File", "_Fichier", "File", "Fichier"),
    ],
)
def test_an_ampersand_survives_in_text_that_is_no_catalogue(
    source: str, target: str, clean_source: str, clean_target: str
) -> None:
    assert normalize_pair(source, target, catalogue=False)[:2] == (clean_source, clean_target)


def test_catalogues_are_known_by_the_names_of_file_and_corpus() -> None:
    for origin in ("x.po#3", "x.po.gz#1", "x.zip/fr/x.xlf#3", "a/locale/fr/LC_MESSAGES/a.mo#Save"):
        assert is_catalogue("demo", origin)
    for corpus in ("KDE4", "GNOME", "OPUS-kde4-v2-eng-fra"):
        assert is_catalogue(corpus, "x.en:1")
    assert not is_catalogue("Books", "x.en-fr.en:1")
    assert not is_catalogue("Polyglot", "x.tmx#1")


PROSE = (
    "R&D AT&T Q&A a&b H&M snake_case foo_bar.txt 100% 100 % 50% de 5% sur { } {x, y} a & b a < b x > 3 <3 l’été (voir p. 3) C:\\new "
    "Müller $5 #1 e.g. “quoted” « non » 日本語 и файл foo@example.com <foo@example.com> https://x.org/?a=1&b=2%20c%D0%9F 3:4 --help 1/2 "
    "it's ‘so’ 100%ige Ends: Well... A→B [1] (a) \"b\" don't 12,5% 7%. %"
).split(" ")


@given(st.lists(st.sampled_from(PROSE) | st.text("abcdéüжя漢ab", min_size=1, max_size=8), min_size=1, max_size=12))
def test_prose_is_left_alone(words: list[str]) -> None:
    text = unicodedata.normalize("NFC", " ".join(words))
    assert normalize_pair(text, None) == (text, None, (), (), False)
    assert normalize_pair(text, text) == (text, text, (), (), False)


@given(st.text(), st.text() | st.none())
def test_any_text_is_taken(source: str, target: str | None) -> None:
    normalized = normalize_pair(source, target)
    assert (normalized.target is None) == (target is None)
    assert "\x00" not in normalized.source + (normalized.target or "")


@given(st.text("%{}()<>s$d& \"'/=-a\\_:,.\x00", max_size=60))
def test_markup_soup_leaves_no_holes(text: str) -> None:
    assert "\x00" not in normalize_pair(text, text).source


@pytest.mark.parametrize(
    "unit",
    [
        "<",
        "<a ",
        "%(",
        "{",
        "%s ",
        '"%s',
        "<!--",
        "- ",
        "&amp",
        "(%s",
        "<a b=c ",
        "_a",
        "\\n",
        "%s: ",
        "&amp;",
        "amp;",
        "&#38;",
        "#38;",
        "<a b='&amp;'",
        '<ph x="1">',
        "<![CDATA[",
        "& amp ;",
        "&lt;a b=&quot;",
    ],
)
def test_hostile_text_costs_little(unit: str) -> None:
    start = time.process_time()
    normalize_pair("&" + unit * (12_000 // len(unit)), "x")
    assert time.process_time() - start < 1.0


def test_texts_that_differ_in_word_borders_only_are_duplicates() -> None:
    assert comparison_key("ភាសា\u200bខ្មែរ") == comparison_key("ភាសាខ្មែរ")
