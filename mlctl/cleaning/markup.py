"""Markup of message catalogues: placeholders, tags, entities, escapes, keyboard accelerators.

Prose is not changed (`R&D`, `snake_case`, `50% de`, `a < b`). A cheap test for the characters that can start markup comes before each
regular expression.
"""

from __future__ import annotations

import functools
import html
import itertools
import re
from collections.abc import Callable
from html.entities import html5

from mlctl.core.inline_elements import HTML_BLOCK, HTML_INLINE, is_break_tag

# Marks where a placeholder was, until `_close_gaps` has removed its empty surroundings.
_GAP = "\x00"

_PLACEHOLDER = re.compile(
    r"""
      (?P<template> \{\{ [^{}]{0,120} \}\} | \{%-? [^{}%]{1,120} -?%\} )         # {{ name|filter }}, {% tag %}
    | (?P<shell>    [$\#%] \{ [^{}]{1,60} \} )                                   # ${name}, #{name}, %{name}
    | (?P<brace>    \{ [\w.\[\]-]{0,60} (?: ![rsa])? (?: :[^{}\s]{0,20})? \} )   # {}, {0}, {name!r}, {value:.2f}
    | (?P<named>    %\( [^()%]{1,60} \) [-+0\#]* \d* (?:\.\d+)? [a-zA-Z] )       # %(name)s
    | (?P<position>   %\d{1,2}\$ [-+0\#]* \d* (?:\.\d+)? (?:hh?|ll?|[Lzjtq])? [a-zA-Z@] )       # %1$s
    | (?P<printf>   (?<!\d) (?!%[0-9][0-9A-F]) % [-+0\#]* \d{0,3} (?:\.\d+)? (?:hh?|ll?|[Lzjtq])? [a-zA-Z@]
                    (?= (?: ms | px | [smhx] )? (?: [^A-Za-z0-9] | $ ) ) )       # %s, %.2f, %Y, %ds; but not 50%de, nor %2F in a URL
    | (?P<percent>  %% )
    """,
    re.VERBOSE,
)
_UNIT_AFTER_GAP = re.compile(rf"(?<={_GAP})(?:\s?%|ms|px|[smhx])(?!\w)")

_BRACKETS = (
    *("()", "[]", "{}", "<>", "><", '""', "''", "``", "«»", "»«", "‹›", "“”", "„“", "„”", "””", "‘’", "‚‘", "‚’", "’’"),
    *("「」", "『』", "（）", "【】", "《》", "［］"),
)
_JOINERS = r"[\s,;:.·/–—×x<>→←=+-]*"
_EMPTY_BRACKETS = re.compile(
    "|".join(rf"{re.escape(pair[0])}\s*{_GAP}(?:{_JOINERS}{_GAP})*[\s.]*{re.escape(pair[1])}" for pair in _BRACKETS)
)
_ADJACENT_GAPS = re.compile(rf"{_GAP}(?:['’]s\b)?(?:{_JOINERS}{_GAP}(?:['’]s\b)?)*")
_LEADING_GAP = re.compile(rf"^\s*{_GAP}[\s,;:.…–—/|=%)-]*")
_TRAILING_GAP = re.compile(rf"[\s,;:–—/|=#@(：，、-]*{_GAP}\s*(?=[.!?…。！？]*\s*$)")
_GAP_AFTER_BRACKET = re.compile(rf"(?<=[(\[（«「《])\s*{_GAP}\s*")
_GAP_BETWEEN_SEPARATORS = re.compile(rf"([,;:/|–—，、-])\s*{_GAP}\s*(?=\1)")
_GAP_BEFORE_MARK = re.compile(rf"[\s:：=]*{_GAP}\s*(?=[,.;)\]}}…。，、；）])")
_UNSPACED = "[\u0e00-\u0eff\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]"
_GAP_IN_UNSPACED = re.compile(rf"(?<={_UNSPACED})\s*{_GAP}\s*(?={_UNSPACED})")
_GAP_BEFORE_COLON = re.compile(rf"\s*{_GAP}(?=[:;!?：；！？])")
_REMAINING_GAP = re.compile(rf"\s*{_GAP}\s*")

_TAG = re.compile(
    rf"<(?P<close>/?)(?P<name>[A-Za-z][\w:-]*+|\d+)"
    rf"(?P<attributes>(?>[\s{_GAP}]++[\w:@.-]++\s*+=\s*+(?:\"[^\"<>]*+\"|'[^'<>]*+'|[^\s\"'<>]*+))*+)[\s{_GAP}]*+/?>"
)
_WORD_IN_ANGLES = re.compile(r"(?<!\w)<([^\W\d_](?:[\w'’ -]{0,40}\w)?)>(?!\w)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
# Native code between a pair of tags of TMX or XLIFF (1.x), which have attributes; it may contain a text beside the sentence.
_CODE = re.compile(
    r"<(?P<name>bpt|ept|it|ph|ut)(?=\s)[^<>]*+(?<!/)>[^<>]*+(?:<sub\b[^<>]*+>[^<>]*+</sub\s*>[^<>]*+)*+</(?P=name)\s*>"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LEGACY = "amp|lt|gt|quot|apos|nbsp"
# Entities that a tokeniser took apart (`& amp ;`), or that lack their semicolon.
_BROKEN_ENTITY = re.compile(rf"&\s?({_LEGACY}|\#\d{{1,7}})\s;|&({_LEGACY})(?![\w;=&-])")
# An ampersand that was escaped any number of times.
_MAX_DEPTH = 8
_AMPERSAND = re.compile(r"&(?:(?:amp|AMP|#0*38|#[xX]0*26);)+")
# Escapes of the Moses scripts that HTML does not have.
_MOSES_ENTITIES = {"bar": "|", "bra": "[", "ket": "]"}

_WINDOWS_PATH = re.compile(r"[A-Za-z]:\\|\\\\")
_ESCAPE = re.compile(r"\\([nrt\"'])")

_ACCELERATOR_SUFFIX = re.compile(r"\s*[(（][&_][A-Za-z0-9][)）]")
_ACCELERATOR_PREFIX = {mark: re.compile(rf"(?<![^\s(\[/\"'«“„‘]){mark}(?=[^\W\d_]{{2}})") for mark in "_&"}
_MENU_ENTRY = re.compile(r"^&[^\W_]|[(（]&[A-Za-z0-9][)）]")
_WORD_WITH_MARK = {mark: re.compile(rf"[A-Za-z0-9]*{mark}[A-Za-z0-9]*") for mark in "_&"}
_MAX_MENU_ENTRY_CHARACTERS = 60


# Without one of these characters a text has no markup.
_MARKUP = re.compile(r"[&\\%{<]")


def has_no_markup(text: str) -> bool:
    """Return whether `decode_entities` and `strip_markup` would not change a text; False if it is not worth the time to find out."""
    return _MARKUP.search(text) is None


def strip_markup(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text without markup, and its placeholders, sorted, in a notation that is the same for both sides of a pair.

    Brackets, quotes and separators that a placeholder leaves empty are removed too.
    """
    text = decode_entities(text)
    if "\\" in text:
        text = _unescape(text)
    placeholders: list[str] = []
    if "%" in text or "{" in text:
        text = _PLACEHOLDER.sub(functools.partial(_take_placeholder, placeholders), text.replace(_GAP, ""))
    if "<" in text:
        text = _strip_tags(text)
    if placeholders:
        text = _close_gaps(text)
    return text, tuple(sorted(placeholders))


def decode_entities(text: str) -> str:
    """Return text without entities, however often it was escaped.

    Entities inside a tag or in native code go with it: decoded, their quotes and brackets would hide where it ends.
    """
    for depth in itertools.count():
        if "&" not in text:
            break
        # Level by level, as tags are recognised at their level; deeper than anybody escapes, all at once.
        decoded = text if depth < _MAX_DEPTH else _AMPERSAND.sub("&", text)
        if "<" in decoded:
            decoded = _TAG.sub(_without_entities, _CODE.sub(_without_entities, decoded))
        decoded = _BROKEN_ENTITY.sub(r"&\1\2;", decoded)
        decoded = _ENTITY.sub(_character, decoded)
        if decoded == text:
            break
        text = decoded
    return text


def strip_accelerators(source: str, target: str | None, catalogue: bool = True) -> tuple[str, str | None]:
    """Return a pair without the marks of keyboard accelerators: `_File`, `E&xit`, `文件(_F)`.

    A mark inside a word may belong to an identifier (`file_name`) or a name (`R&D`), which are not translated. It is therefore only
    removed from short texts (menu entries) where both sides have a mark, in different words. In text that is from no message
    `catalogue`, an ampersand is a character (`salt &pepper`), unless it is before the first word or in
    brackets (`文件(&F)`).
    """
    for mark in "_&":
        if mark == "&" and not catalogue and not _are_menu_entries(source, target):
            continue
        in_source, in_target = mark in source, target is not None and mark in target
        if in_source:
            source = _strip_accelerator(source, mark)
        if in_target and target is not None:
            target = _strip_accelerator(target, mark)
        if in_source and in_target and target is not None and _word_with(source, mark) != _word_with(target, mark):
            source, target = _strip_inner_accelerator(source, mark), _strip_inner_accelerator(target, mark)
    return source, target


def align_end_marks(source: str, target: str) -> tuple[str, str]:
    """Remove an ellipsis or a colon from the end of one side if the other side does not end in one."""
    for marks, stripped in ((("…", "..."), "…. "), ((":", "："), ":： ")):
        in_source, in_target = source.endswith(marks), target.endswith(marks)
        if in_source and not in_target:
            source = source.rstrip(stripped)
        elif in_target and not in_source:
            target = target.rstrip(stripped)
    return source, target


def _unescape(text: str) -> str:
    if _WINDOWS_PATH.search(text):
        return text
    return _ESCAPE.sub(lambda escape: escape[1] if escape[1] in "\"'" else " ", text)


def _without_entities(match: re.Match[str]) -> str:
    return _ENTITY.sub("", match[0])


def _character(match: re.Match[str]) -> str:
    """Return the character of an entity; a name that is none (`R&D;`) is returned unchanged."""
    name = match[0][1:-1]
    if name.startswith("#"):
        return html.unescape(match[0])
    return html5.get(f"{name};") or _MOSES_ENTITIES.get(name, match[0])


def _take_placeholder(placeholders: list[str], match: re.Match[str]) -> str:
    """Append a placeholder to the list and return its replacement."""
    if match.lastgroup == "percent":
        return "%"
    placeholders.append(_COMMON_NOTATION[match.lastgroup or ""](match[0]))
    return _GAP


def _conversion(text: str) -> str:
    letter = text[-1]
    return f"%{'d' if letter in 'iu' else letter}"


def _brace(text: str) -> str:
    name = re.split(r"[!:}]", text[1:], maxsplit=1)[0]
    return "{}" if name.isdigit() else f"{{{name}}}"


# Translators may number placeholders that the source does not number (`%s` becomes `%1$s`), and change the format of a number.
_COMMON_NOTATION: dict[str, Callable[[str], str]] = {
    "template": lambda text: "".join(text.split()),
    "shell": str,
    "brace": _brace,
    "named": lambda text: text[: text.index(")") + 1],
    "position": _conversion,
    "printf": _conversion,
}


def _close_gaps(text: str) -> str:
    """Remove the gaps that placeholders left, with the brackets and separators that are empty now."""
    text = _UNIT_AFTER_GAP.sub("", text)
    while text != (text := _EMPTY_BRACKETS.sub(_GAP, text)):
        pass
    text = _ADJACENT_GAPS.sub(_GAP, text)
    text = _TRAILING_GAP.sub("", _LEADING_GAP.sub("", text))
    for pattern in (_GAP_BETWEEN_SEPARATORS, _GAP_BEFORE_MARK, _GAP_BEFORE_COLON, _GAP_AFTER_BRACKET, _GAP_IN_UNSPACED):
        text = pattern.sub("", text)
    return _REMAINING_GAP.sub(" ", text)


def _strip_tags(text: str) -> str:
    if ">" not in text:
        return text
    text = _CODE.sub(lambda code: _GAP if _GAP in code[0] else "", _CDATA.sub(r"\1", text))
    return _WORD_IN_ANGLES.sub(r"\1", _COMMENT.sub(" ", _TAG.sub(_tag_replacement, text)))


def _tag_replacement(match: re.Match[str]) -> str:
    """Return what replaces a tag. `<name>` that is not HTML and is never closed is a word that stands for another, and is kept."""
    name = match["name"].lower()
    if name in HTML_BLOCK or (match["attributes"] and is_break_tag(match[0])):
        return " "
    numbered = name.isdigit() and not match[0][-2].isspace()
    is_closed = match[0].endswith("/>") or f"</{match['name']}>" in match.string
    is_markup = name in HTML_INLINE or numbered or match["attributes"] or is_closed
    return "" if is_markup else match[0]


def _are_menu_entries(source: str, target: str | None) -> bool:
    """Return whether a side of a short pair has an accelerator where prose has no ampersand: in brackets, or before the first word."""
    sides = [text for text in (source, target) if text]
    if any(len(text) > _MAX_MENU_ENTRY_CHARACTERS or text.count("&") > 1 for text in sides):
        return False
    return any(map(_MENU_ENTRY.search, sides)) and (len(sides) < 2 or _word_with(sides[0], "&") != _word_with(sides[1], "&"))


def _strip_accelerator(text: str, mark: str) -> str:
    if "(" in text or "（" in text:
        text = _ACCELERATOR_SUFFIX.sub("", text).strip()
    return _ACCELERATOR_PREFIX[mark].sub("", text) if text.count(mark) == 1 else text


def _word_with(text: str, mark: str) -> str:
    """Return the word around a mark, in ASCII: what an identifier is written in, also between letters of another script."""
    match = _WORD_WITH_MARK[mark].search(text)
    return match[0] if match else ""


def _strip_inner_accelerator(text: str, mark: str) -> str:
    index = text.find(mark)
    if len(text) > _MAX_MENU_ENTRY_CHARACTERS or text.count(mark) != 1 or not text[index - 1 : index].isalpha():
        return text
    after = text[index + 1 : index + 2]
    return text[:index] + text[index + 1 :] if after.islower() else text
