"""Inline elements of translation formats and of HTML: which ones are codes of the original format, and which ones mark up text.

Tools mix the elements of neighbouring formats (XLIFF's `g` in a TMX, HTML's `b` in an XLIFF, all of them in the strings of a catalogue),
so the decision is made by element, not by file format. Sources: TMX 1.4b, XLIFF 1.2 and XLIFF 2.1 (OASIS), HTML (WHATWG).
"""

from __future__ import annotations

import re

_TMX_CODES = "bpt ept it ph ut"
_XLIFF1_CODES = "bpt ept it ph x bx ex"
_XLIFF2_CODES = "ph sc ec sm"

#: Elements whose content is native code, or that are empty: they are removed with their content.
CODES = frozenset(f"{_TMX_CODES} {_XLIFF1_CODES} {_XLIFF2_CODES}".split())
#: Elements of TMX and XLIFF around text. `sub` is text (HTML's subscript) except inside a code, where it is a text beside the sentence
#: (a footnote, the title of a link); XLIFF 2's empty `em` and HTML's `em` are treated alike.
TEXT = frozenset("hi g mrk pc sub em".split())
HTML_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd mark nobr q s samp small span strike strong sub sup tt u var wbr".split()
)
#: Elements that separate what is before, inside and after them.
HTML_BLOCK = frozenset(
    "blockquote body br button center dd div dl dt fieldset form h1 h2 h3 h4 h5 h6 head hr html iframe img input li link meta ol option p "
    "pre script section select style svg table tbody td textarea tfoot th thead tr ul".split()
)
#: Further elements of HTML. In running text their names in angle brackets are often words (`<time>`), in XML they are markup.
HTML_OTHER = frozenset(
    "address area article aside audio base basefont canvas caption col colgroup data datalist details dialog dir embed figcaption figure "
    "footer header hgroup label legend main map menu meter nav noscript object optgroup output param picture progress rb rp rt rtc ruby "
    "search slot source summary template time title track video".split()
)
HTML = HTML_INLINE | HTML_BLOCK | HTML_OTHER

# `type` (TMX), `ctype` (XLIFF 1.2) or `subType` (XLIFF 2) of a code that stands for a line, page or column break.
_BREAKS = frozenset({"lb", "pb", "cb", "xlf:lb", "xlf:pb", "x-lb", "x-br", "x-html-br"})
_TYPE_ATTRIBUTES = ("type", "ctype", "subType")
_TYPE = re.compile(r"""\b(?:c?type|subType)\s*=\s*["']([\w:-]+)["']""")


def is_break(attributes: dict[str, str]) -> bool:
    """Return whether the attributes of a code say that it is a break between lines, pages or columns."""
    return any(attributes.get(name) in _BREAKS for name in _TYPE_ATTRIBUTES)


def is_break_tag(tag: str) -> bool:
    """Return whether a tag in running text is a code that stands for a break."""
    return any(value in _BREAKS for value in _TYPE.findall(tag))
