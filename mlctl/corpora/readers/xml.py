"""XML as a stream of elements from anybody: no network, no DTD, no entities of its own, no element kept longer than needed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

from lxml import etree

from mlctl.corpora.archives.compression import Place, open_bytes
from mlctl.errors import InputError

# More than any unit of a translation memory has; a file that is one huge unit would fill the memory.
_MOST_ELEMENTS = 10_000
_DEEPEST_MARKUP = 64


def elements(place: Place, tags: Collection[str], containers: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield (local name, element) as the elements named in `tags` end, and the `containers` as they begin.

    Each of `tags` is whole when it is yielded and emptied afterwards; of containers only the attributes are there.

    Raises:
        InputError: also for broken XML (with the line), entities that the file defines, and an element of endless size.
    """
    with open_bytes(place) as stream:
        events = _events(stream)
        with _broken(place, events):
            yield from _walk(events, place, tags, containers)


def local(element: Any) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def plain_text(element: Any, transparent: Collection[str], place: Place, depth: int = 0) -> str:
    """Return the text of an element; markup inside goes, and with it its content unless its name is in `transparent`."""
    if depth > _DEEPEST_MARKUP:
        raise InputError(f"{place}, line {element.sourceline}: markup nested over {_DEEPEST_MARKUP} deep", "flatten it")
    pieces = [element.text or ""]
    for child in element:
        if not isinstance(child.tag, str):
            raise _entity(place, child)
        if local(child) in transparent:
            pieces.append(plain_text(child, transparent, place, depth + 1))
        elif local(child) == "cp":  # XLIFF 2 writes what XML cannot hold by its number
            pieces.append(_code_point(child, place))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _events(stream: Any) -> Any:
    return etree.iterparse(
        stream,
        events=("start", "end"),
        remove_comments=True,
        remove_pis=True,
        load_dtd=False,
        no_network=True,
        resolve_entities=False,
        huge_tree=False,
    )


def _walk(
    events: Iterator[tuple[str, Any]], place: Place, tags: Collection[str], containers: Collection[str]
) -> Iterator[tuple[str, Any]]:
    inside = 0  # elements begun since the outermost of `tags`, itself counted; 0: none is open
    outermost: Any = None
    checked = False
    for event, element in events:
        name = local(element)
        checked = checked or _check_doctype(element, place)
        if event == "start":
            if inside or name in tags:
                outermost = element if not inside else outermost
                inside += 1
                _check_size(inside, element, place)
            elif name in containers:
                yield name, element
            continue
        if element is outermost:
            yield name, element
            inside, outermost = 0, None
        if not inside:
            _forget(element)


def _forget(element: Any) -> None:
    """Empty an element and drop the siblings before it: the tree stays as small as one unit."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def _check_size(count: int, element: Any, place: Place) -> None:
    if count > _MOST_ELEMENTS:
        problem = f"{place}, line {element.sourceline}: one unit has more than {_MOST_ELEMENTS} elements"
        raise InputError(problem, "split the unit")


def _check_doctype(element: Any, place: Place) -> bool:
    """Refuse a file that defines entities: attributes would hold them already resolved. True: there are none."""
    doctype = element.getroottree().docinfo.internalDTD
    if doctype is not None and next(iter(doctype.iterentities()), None) is not None:
        raise InputError(f"{place} defines entities of its own", "write the text itself in their place")
    return True


def _entity(place: Place, child: Any) -> InputError:
    problem = f"{place}, line {child.sourceline}: an entity that is not XML's own: {child.text or ''}"
    return InputError(problem, "write the character itself")


def _code_point(child: Any, place: Place) -> str:
    try:
        text = chr(int(child.get("hex", ""), 16))
        text.encode("utf-8")
    except (ValueError, OverflowError):
        raise InputError(f"{place}, line {child.sourceline}: <cp> with no code point", 'write hex="..."') from None
    return text


@contextlib.contextmanager
def _broken(place: Place, events: Any) -> Iterator[None]:
    try:
        yield
    except etree.XMLSyntaxError as error:
        first = next(iter(events.error_log), None)  # what was wrong first; the exception may tell of its consequence only
        where = f", line {first.line}" if first else ""
        reason = (first.message if first else str(error)).strip().splitlines()[0]
        raise InputError(f"{place}{where}: no sound XML: {reason}", "mend the file, or export it again") from None
    except (etree.LxmlError, LookupError, UnicodeError) as error:
        raise InputError(f"{place} cannot be read as XML: {error}", "mend the file, or export it again") from None
