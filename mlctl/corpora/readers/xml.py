"""Streams elements of untrusted XML: no network, no DTD, no custom entities, constant memory."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

from lxml import etree

from mlctl.corpora.archives.compression import FileLocation, open_bytes
from mlctl.errors import InputError

# More than any unit of a translation memory has; a file with one huge unit would exhaust memory.
_MAX_ELEMENTS = 10_000


def elements(location: FileLocation, tags: Collection[str], containers: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield (local name, element) at the end of the elements named in `tags`, and at the start of the `containers`.

    An element of `tags` is complete when it is yielded and cleared afterwards; a container has only its attributes.

    Raises:
        InputError: also for invalid XML (with the line), entities that the file defines, and an element with too many descendants.
    """
    with open_bytes(location) as stream:
        events = _events(stream)
        with _classified_errors(location, events):
            yield from _walk(events, location, tags, containers)


def local(element: Any) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


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
    events: Iterator[tuple[str, Any]], location: FileLocation, tags: Collection[str], containers: Collection[str]
) -> Iterator[tuple[str, Any]]:
    inside = 0  # elements started since the outermost of `tags`, including it; 0: none is open
    outermost: Any = None
    checked = False
    for event, element in events:
        name = local(element)
        checked = checked or _check_doctype(element, location)
        if event == "start":
            if inside or name in tags:
                outermost = element if not inside else outermost
                inside += 1
                _check_size(inside, element, location)
            elif name in containers:
                yield name, element
            continue
        if element is outermost:
            yield name, element
            inside, outermost = 0, None
        if not inside:
            _clear(element)


def _clear(element: Any) -> None:
    """Clear an element and remove the siblings before it: the tree stays as small as one unit."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def _check_size(count: int, element: Any, location: FileLocation) -> None:
    if count > _MAX_ELEMENTS:
        problem = f"{location}, line {element.sourceline}: one unit has more than {_MAX_ELEMENTS} elements"
        raise InputError(problem, "split the unit")


def _check_doctype(element: Any, location: FileLocation) -> bool:
    """Return True if the file defines no entities, else raise InputError: attributes would contain them resolved."""
    doctype = element.getroottree().docinfo.internalDTD
    if doctype is not None and next(iter(doctype.iterentities()), None) is not None:
        raise InputError(f"{location} defines entities", "replace them by their text")
    return True


@contextlib.contextmanager
def _classified_errors(location: FileLocation, events: Any) -> Iterator[None]:
    try:
        yield
    except etree.XMLSyntaxError as error:
        first = next(iter(events.error_log), None)  # the exception may have only a consequence of the first error
        where = f", line {first.line}" if first else ""
        reason = (first.message if first else str(error)).strip().splitlines()[0]
        raise InputError(f"{location}{where}: invalid XML: {reason}", "fix the file, or export it again") from None
    except (etree.LxmlError, LookupError, UnicodeError) as error:
        raise InputError(f"{location} cannot be read as XML: {error}", "fix the file, or export it again") from None
