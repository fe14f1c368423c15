"""Markup of message catalogues: placeholders, tags, entities, escapes, keyboard accelerators.

Everything here leaves prose as it is (`R&D`, `snake_case`, `50% de`, `a < b`): a cheap look for the characters that could start
markup goes before each expression.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable

# Stands where a placeholder was, until its surroundings are mended. `strip` gives text without placeholders no mending.
_HOLE = "\x00"

_PLACEHOLDER = re.compile(
    r"""
      (?P<template> \{\{ [^{}]{0,120} \}\} | \{%-? [^{}%]{1,120} -?%\} )         # {{ name|filter }}, {% tag %}
    | (?P<shell>    [$\#%] \{ [^{}]{1,60} \} )                                   # ${name}, #{name}, %{name}
    | (?P<brace>    \{ [\w.\[\]-]{0,60} (?: ![rsa])? (?: :[^{}\s]{0,20})? \} )   # {}, {0}, {name!r}, {value:.2f}
    | (?P<named>    %\( [^()%]{1,60} \) [-+0\#]* \d* (?:\.\d+)? [a-zA-Z] )       # %(name)s
    | (?P<place>    %\d{1,2}\$ [-+0\#]* \d* (?:\.\d+)? (?:hh?|ll?|[Lzjtq])? [a-zA-Z@] )       # %1$s
    | (?P<printf>   (?<!\d) (?!%[0-9][0-9A-F]) % [-+0\#]* \d{0,3} (?:\.\d+)? (?:hh?|ll?|[Lzjtq])? [a-zA-Z@]
                    (?= (?: ms | px | [smhx] )? (?: [^A-Za-z0-9] | $ ) ) )       # %s, %.2f, %Y, %ds; not 50%de, not %2F of an address
    | (?P<percent>  %% )
    """,
    re.VERBOSE,
)
_UNIT = re.compile(rf"(?<={_HOLE})(?:\s?%|ms|px|[smhx])(?!\w)")

_PAIRS = (
    *("()", "[]", "{}", "<>", "><", '""', "''", "``", "«»", "»«", "‹›", "“”", "„“", "„”", "””", "‘’", "‚‘", "‚’", "’’"),
    *("「」", "『』", "（）", "【】", "《》", "［］"),
)
_JOINERS = r"[\s,;:.·/–—×x<>→←=+-]*"
_EMPTY_PAIR = re.compile(
    "|".join(rf"{re.escape(pair[0])}\s*{_HOLE}(?:{_JOINERS}{_HOLE})*[\s.]*{re.escape(pair[1])}" for pair in _PAIRS)
)
_HOLES = re.compile(rf"{_HOLE}(?:['’]s\b)?(?:{_JOINERS}{_HOLE}(?:['’]s\b)?)*")
_FIRST = re.compile(rf"^\s*{_HOLE}[\s,;:.…–—/|=%)-]*")
_LAST = re.compile(rf"[\s,;:–—/|=#@(：，、-]*{_HOLE}\s*(?=[.!?…。！？]*\s*$)")
_AFTER_BRACKET = re.compile(rf"(?<=[(\[（«「《])\s*{_HOLE}\s*")
_BETWEEN_EQUALS = re.compile(rf"([,;:/|–—，、-])\s*{_HOLE}\s*(?=\1)")
_BEFORE_MARK = re.compile(rf"[\s:：=]*{_HOLE}\s*(?=[,.;)\]}}…。，、；）])")
_UNSPACED = "[\u0e00-\u0eff\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]"
_IN_UNSPACED = re.compile(rf"(?<={_UNSPACED})\s*{_HOLE}\s*(?={_UNSPACED})")
_AGAINST_MARK = re.compile(rf"\s*{_HOLE}(?=[:;!?：；！？])")
_HOLE_LEFT = re.compile(rf"\s*{_HOLE}\s*")

_TAG = re.compile(
    rf"<(?P<close>/?)(?P<name>[A-Za-z][\w:-]*+|\d+)"
    rf"(?P<attributes>(?>[\s{_HOLE}]++[\w:@.-]++\s*+=\s*+(?:\"[^\"<>]*+\"|'[^'<>]*+'|[^\s\"'<>]*+))*+)[\s{_HOLE}]*+/?>"
)
_WORD_IN_ANGLES = re.compile(r"(?<!\w)<([^\W\d_](?:[\w'’ -]{0,40}\w)?)>(?!\w)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd mark nobr q s samp small span strike strong sub sup tt u var wbr".split()
)
_BLOCK = frozenset(
    "blockquote body br button center dd div dl dt fieldset form h1 h2 h3 h4 h5 h6 head hr html iframe img input li link meta ol option p "
    "pre script section select style svg table tbody td textarea tfoot th thead tr ul".split()
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

_PATH = re.compile(r"[A-Za-z]:\\|\\\\")
_ESCAPE = re.compile(r"\\([nrt\"'])")

_SUFFIX_KEY = re.compile(r"\s*[(（][&_][A-Za-z0-9][)）]")
_WORD_KEY = {mark: re.compile(rf"(?<![^\s(\[/\"'«“„‘]){mark}(?=[^\W\d_]{{2}})") for mark in "_&"}
_WORD_AROUND = {mark: re.compile(rf"[A-Za-z0-9]*{mark}[A-Za-z0-9]*") for mark in "_&"}
_LONGEST_ENTRY = 60


def strip(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text without markup, and its placeholders (sorted, in a notation that both sides of a pair share).

    Brackets, quotes and separators that a placeholder leaves without content go with it.
    """
    if "\\" in text:
        text = _unescape(text)
    placeholders: list[str] = []
    if "%" in text or "{" in text:
        text = _PLACEHOLDER.sub(functools.partial(_take, placeholders), text.replace(_HOLE, ""))
    if "<" in text:
        text = _without_tags(text)
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if placeholders:
        text = _mend(text)
    return text, tuple(sorted(placeholders))


def without_accelerators(source: str, target: str | None) -> tuple[str, str | None]:
    """Return a pair without the marks of keyboard accelerators: `_File`, `E&xit`, `文件(_F)`.

    A mark inside a word looks like an identifier (`file_name`) or a name (`R&D`). Those stay as they are in a translation, so it
    goes only from short texts (menu entries) where both sides have a mark, in different words.
    """
    for mark in "_&":
        ours, theirs = mark in source, target is not None and mark in target
        if ours:
            source = _without_key(source, mark)
        if theirs and target is not None:
            target = _without_key(target, mark)
        if ours and theirs and target is not None and _word_with(source, mark) != _word_with(target, mark):
            source, target = _without_inner_key(source, mark), _without_inner_key(target, mark)
    return source, target


def even_ends(source: str, target: str) -> tuple[str, str]:
    """Take an ellipsis or a colon off the end of one side where the other side does not end in one too."""
    for ends, rest in ((("…", "..."), "…. "), ((":", "："), ":： ")):
        ours, theirs = source.endswith(ends), target.endswith(ends)
        if ours and not theirs:
            source = source.rstrip(rest)
        elif theirs and not ours:
            target = target.rstrip(rest)
    return source, target


def _unescape(text: str) -> str:
    if _PATH.search(text):
        return text
    return _ESCAPE.sub(lambda escape: escape[1] if escape[1] in "\"'" else " ", text)


def _take(placeholders: list[str], found: re.Match[str]) -> str:
    if found.lastgroup == "percent":
        return "%"
    placeholders.append(_COMMON_FORM[found.lastgroup or ""](found[0]))
    return _HOLE


def _conversion(text: str) -> str:
    letter = text[-1]
    return f"%{'d' if letter in 'iu' else letter}"


def _brace(text: str) -> str:
    name = re.split(r"[!:}]", text[1:], maxsplit=1)[0]
    return "{}" if name.isdigit() else f"{{{name}}}"


# Translators may number what the source only lists (`%s` becomes `%1$s`) and change how a number is shown.
_COMMON_FORM: dict[str, Callable[[str], str]] = {
    "template": lambda text: "".join(text.split()),
    "shell": str,
    "brace": _brace,
    "named": lambda text: text[: text.index(")") + 1],
    "place": _conversion,
    "printf": _conversion,
}


def _mend(text: str) -> str:
    """Close the holes that placeholders left."""
    text = _UNIT.sub("", text)
    while text != (text := _EMPTY_PAIR.sub(_HOLE, text)):
        pass
    text = _HOLES.sub(_HOLE, text)
    text = _LAST.sub("", _FIRST.sub("", text))
    for glued in (_BETWEEN_EQUALS, _BEFORE_MARK, _AGAINST_MARK, _AFTER_BRACKET, _IN_UNSPACED):
        text = glued.sub("", text)
    return _HOLE_LEFT.sub(" ", text)


def _without_tags(text: str) -> str:
    if ">" not in text:
        return text
    return _WORD_IN_ANGLES.sub(r"\1", _COMMENT.sub(" ", _TAG.sub(_tag, text)))


def _tag(found: re.Match[str]) -> str:
    """Drop a tag; `<name>` that is no HTML and is closed nowhere is a word that stands for another, and stays."""
    name = found["name"].lower()
    if name in _BLOCK:
        return " "
    numbered = name.isdigit() and not found[0][-2].isspace()
    markup = name in _INLINE or numbered or found["attributes"] or (f"</{found['name']}>" in found.string)
    return "" if markup else found[0]


def _without_key(text: str, mark: str) -> str:
    if "(" in text or "（" in text:
        text = _SUFFIX_KEY.sub("", text).strip()
    return _WORD_KEY[mark].sub("", text) if text.count(mark) == 1 else text


def _word_with(text: str, mark: str) -> str:
    """Return the word around a mark, in ASCII: what an identifier is written in, also between letters of another script."""
    found = _WORD_AROUND[mark].search(text)
    return found[0] if found else ""


def _without_inner_key(text: str, mark: str) -> str:
    place = text.find(mark)
    if len(text) > _LONGEST_ENTRY or text.count(mark) != 1 or not text[place - 1 : place].isalpha():
        return text
    after = text[place + 1 : place + 2]
    return text[:place] + text[place + 1 :] if after.islower() else text
