"""Elements of neighbouring formats inside text: codes go, text stays, whatever the file format."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.corpora.readers import open_pairs


def tmx(source: str, target: str) -> str:
    variants = "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in (("en", source), ("fr", target)))
    return f'<tmx version="1.4"><header/><body><tu>{variants}</tu></body></tmx>'


def xliff1(source: str, target: str) -> str:
    unit = f"<trans-unit id='1'><source>{source}</source><target>{target}</target></trans-unit>"
    return f'<xliff version="1.2"><file source-language="en" target-language="fr"><body>{unit}</body></file></xliff>'


def xliff2(source: str, target: str) -> str:
    segment = f"<segment><source>{source}</source><target>{target}</target></segment>"
    head = '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="fr">'
    return f"{head}<file id='f'><unit id='u'>{segment}</unit></file></xliff>"


FORMATS = {"tmx": tmx, "xliff 1": xliff1, "xliff 2": xliff2}
Writer = Callable[[str, str], str]


@pytest.fixture(params=FORMATS)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str | None]:
    def read(segment: str) -> str | None:
        path = tmp_path / f"x.{request.param[:5].strip()}"
        path.write_text(FORMATS[request.param]("plain", segment))
        (row,) = open_pairs(path, path.suffix[1:], "en", "fr")
        return row.target

    return read


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        ('a <g id="1">b <g id="2">c</g></g> d', "a b c d"),
        ('a <mrk mtype="seg" mid="0">b</mrk> <pc id="1">c</pc> <hi type="bold">d</hi>', "a b c d"),
        ("H<sub>2</sub>O and x<sup>2</sup>", "H2O and x2"),
        ('<b>a</b> <I>b</I> <span class="x">c</span> <a href="y">d</a> <em>e</em> <time>f</time>', "a b c d e f"),
        ('<html:b xmlns:html="http://www.w3.org/1999/xhtml">a</html:b>', "a"),
        ('a<bpt id="1" i="1">{b}</bpt>b<ept id="1" i="1">{/b}</ept>c', "abc"),
        ('a<ph id="1">{0}</ph>b<it pos="begin" id="2">{i}</it>c<ut>{u}</ut>d', "abcd"),
        ('a<x id="1"/>b<bx id="2"/>c<ex id="2"/>d<sc id="3"/>e<ec startRef="3"/>f<sm id="4"/>g<em startRef="4"/>h', "abcdefgh"),
        ('a<ph id="1">{note <sub>not part of it</sub>}</ph>b', "ab"),
        ('a<x id="1" ctype="lb"/>b<ph type="lb"/>c<ph id="2" type="fmt" subType="xlf:lb"/>d', "a b c d"),
        ("a<br/>b", "a b"),
        ("a <widget>b <gadget>c</gadget></widget> d", "a b c d"),
    ],
)
def test_codes_go_and_text_stays_by_element(read: Callable[[str], str | None], segment: str, text: str) -> None:
    assert " ".join((read(segment) or "").split()) == text


def test_unknown_elements_and_texts_in_codes_are_counted(
    read: Callable[[str], str | None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read("<widget>a</widget> <widget>b</widget> <gadget/> <b>c</b> <ph>{<sub>d</sub>}</ph>")
    assert "3 unknown elements inside text, whose text was kept: widget 2, gadget 1" in caplog.text
    assert "1 texts inside codes (<sub>)" in caplog.text


def test_known_elements_need_no_warning(read: Callable[[str], str | None], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read('<g id="1">a</g> <mrk>b</mrk> <ph id="2"/> <strong>c</strong> <li>d</li>')
    assert not caplog.records
