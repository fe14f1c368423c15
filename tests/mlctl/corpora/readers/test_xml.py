from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.corpora.readers import open_pairs
from mlctl.errors import InputError


def texts(folder: Path, kind: str, text: str | bytes, source: str = "en", target: str = "fr") -> list[tuple[str, str | None]]:
    path = folder / f"x.{kind}"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(row.source, row.target) for row in open_pairs(path, kind, source, target)]


def tmx(*units: str, before: str = "") -> str:
    body = "\n".join(f"<tu>{unit}</tu>" for unit in units)
    return f'{before}<tmx version="1.4"><header srclang="en"><note>x</note></header><body>\n{body}\n</body></tmx>'


def tuv(code: str, text: str, attribute: str = "xml:lang") -> str:
    return f'<tuv {attribute}="{code}"><prop>p</prop><seg>{text}</seg></tuv>'


def test_a_memory_of_many_languages(tmp_path: Path) -> None:
    units = (
        tuv("EN-US", "one") + tuv("fr_FR", "un") + tuv("de", "eins"),
        tuv("fr", "deux") + tuv("en", "two", "lang"),
        tuv("en", "three") + tuv("de", "drei"),
        tuv("de", "vier"),
        tuv("en", "five") + tuv("en-GB", "5") + tuv("fr", "cinq"),
        tuv("en", "six") + tuv("x-unknown-thing", "?") + tuv("fr", ""),
    )
    assert texts(tmp_path, "tmx", tmx(*units)) == [
        ("one", "un"),
        ("two", "deux"),
        ("three", None),
        ("five", "cinq"),
        ("six", None),
    ]
    assert texts(tmp_path, "tmx", tmx(*units), "de", "fr") == [("eins", "un"), ("drei", None), ("vier", None)]


def test_languages_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.tmx has no text in 'fr'(?s:.*)it has de, en"):
        texts(tmp_path, "tmx", tmx(tuv("en", "one") + tuv("de", "eins")))
    assert texts(tmp_path, "tmx", tmx()) == []


def test_markup_goes_and_what_it_holds_stays_only_where_it_is_text(tmp_path: Path) -> None:
    marked = 'a <bpt i="1">&lt;b&gt;</bpt><hi>b</hi><ept i="1"/> c<ph>{0}<sub>s</sub></ph> d<!-- no --><?no?><![CDATA[<e>]]> &#x2028;&amp;'
    assert texts(tmp_path, "tmx", tmx(tuv("en", marked) + tuv("fr", "x"))) == [("a b c d<e> \u2028&", "x")]


def test_encodings(tmp_path: Path) -> None:
    unit = tuv("en", "é") + tuv("fr", "ß")
    for name, code in (("utf-16", "utf-16"), ("iso-8859-1", "latin-1"), ("utf-8", "utf-8-sig")):
        text = tmx(unit, before=f'<?xml version="1.0" encoding="{name}"?>')
        assert texts(tmp_path, "tmx", text.encode(code)) == [("é", "ß")]


LAUGHS = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("before", "seg", "message"),
    [
        (LAUGHS, "&c;", "defines entities"),
        ('<!DOCTYPE tmx [<!ENTITY a SYSTEM "secret.txt">]>', "&a;", "defines entities"),
        ('<!DOCTYPE tmx [<!ENTITY % a SYSTEM "secret.txt"> %a;]>', "x", "defines entities"),
        ('<!DOCTYPE tmx [<!ENTITY a "ha">]>', "x", "defines entities"),
        ('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', "x&eacute;", r"line 2: unknown entity: &eacute;"),
        ("", "x&eacute;", r"line 2: invalid XML: Entity 'eacute' not defined"),
        ("", "x\0", "line 2: invalid XML"),
        ("", "</b>", "line 2: invalid XML"),
        ("", "<hi>" * 100 + "</hi>" * 100, "line 2: markup nested over 64 deep"),
        ("", "<hi>" * 1000, "line 2: invalid XML: Excessive depth"),
        ("", "<ph/>" * 20_000, "line 2: one unit has more than 10000 elements"),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, before: str, seg: str, message: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(InputError, match=message) as raised:
        texts(tmp_path, "tmx", tmx(tuv("en", seg) + tuv("fr", "y"), before=before))
    assert "secret" not in str(raised.value).replace(str(tmp_path), "")


def test_entities_in_attributes_are_refused_before_they_are_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="defines entities"):
        texts(tmp_path, "tmx", tmx(tuv("&a;", "x") + tuv("fr", "y"), before='<!DOCTYPE tmx [<!ENTITY a "en">]>'))


def xliff1(*units: str, source: str = "en", target: str = 'target-language="fr-FR"') -> str:
    body = "".join(f"<trans-unit id='u'>{unit}</trans-unit>" for unit in units)
    return (
        f'<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"><file source-language="{source}" {target}>'
        f"<header><note>n</note></header><body><group>{body}</group></body></file></xliff>"
    )


def test_xliff_1(tmp_path: Path) -> None:
    units = (
        '<source>a <g id="1">b</g><x id="2"/> <ph id="3">{0}</ph>c</source><seg-source>z</seg-source><target>d</target>'
        "<alt-trans><source>no</source><target>no</target></alt-trans>",
        '<source>two</source><target state="needs-translation">two</target>',
        '<source>three</source><target state="final">trois</target>',
        "<source>four</source>",
        "<source>five</source><target/>",
    )
    expected = [("a b c", "d"), ("two", None), ("three", "trois"), ("four", None), ("five", None)]
    assert texts(tmp_path, "xliff", xliff1(*units)) == expected


def test_xliff_in_the_other_direction(tmp_path: Path) -> None:
    text = xliff1("<source>un</source><target>one</target>", "<source>deux</source>", source="fr", target='target-language="en"')
    assert texts(tmp_path, "xliff", text) == [("one", "un")]


def test_xliff_of_other_languages(tmp_path: Path) -> None:
    unit = "<source>one</source><target>un</target>"
    with pytest.raises(InputError, match=r"x\.xliff has no text in 'de'(?s:.*)it has en, fr"):
        texts(tmp_path, "xliff", xliff1(unit), "en", "de")
    with pytest.raises(InputError, match=r"x\.xliff has no text in 'fr'(?s:.*)it has en"):
        texts(tmp_path, "xliff", xliff1(unit, target=""))


def test_files_of_an_xliff_have_their_own_languages(tmp_path: Path) -> None:
    one = '<file source-language="en" {}><body><trans-unit><source>a</source><target>b</target></trans-unit></body></file>'
    text = "<xliff>" + "".join(map(one.format, ('target-language="fr"', "", 'target-language="de"'))) + "</xliff>"
    assert texts(tmp_path, "xliff", text) == [("a", "b"), ("a", None), ("a", None)]


def test_xliff_2(tmp_path: Path) -> None:
    segments = (
        '<segment><source>a <pc id="1">b<mrk id="m">c</mrk></pc><ph id="2"/><cp hex="0007"/></source><target>d</target></segment>',
        '<segment state="initial"><source>two</source><target>two</target></segment>',
        '<segment state="translated"><source>three</source><target>trois</target></segment>',
        "<ignorable><source> </source></ignorable>",
    )
    head = '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en-US" trgLang="fr"><file id="f"><unit id="u">'
    text = f"{head}{''.join(segments)}</unit></file></xliff>"
    assert texts(tmp_path, "xliff", text) == [("a bc\a", "d"), ("two", None), ("three", "trois")]
    with pytest.raises(InputError, match="<cp> without a code point"):
        texts(tmp_path, "xliff", text.replace("0007", "D800"))
