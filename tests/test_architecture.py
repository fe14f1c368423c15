"""No circle of imports between modules, however long. Layers are checked by import-linter (pyproject.toml).

Rule: imports inside functions and under TYPE_CHECKING count. Either would hide that two files cannot be understood one after
the other, and neither is needed: what both sides share belongs in a third file.
"""

from __future__ import annotations

from collections.abc import Iterator

import grimp
import pytest

PACKAGES = ("flows", "tasks", "mlctl", "storage")


def import_circles(graph: grimp.ImportGraph) -> Iterator[tuple[str, ...]]:
    """Yield the shortest circle through each import that is part of one: (a, b, …, a), a imports b."""
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            way_back = graph.find_shortest_chain(importer=imported, imported=importer)
            if way_back:
                yield (importer, *way_back)


def test_no_two_modules_import_each_other() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    assert len(graph.modules) > 300
    circles = {frozenset(circle): " → ".join(circle) for circle in import_circles(graph)}
    assert not circles, "import circles; move what both sides share into a third file:\n" + "\n".join(sorted(circles.values()))


@pytest.mark.parametrize("length", [2, 3])
def test_a_circle_of_any_length_is_found(length: int) -> None:
    graph = grimp.ImportGraph()
    modules = [f"mlctl.m{number}" for number in range(length)]
    for importer, imported in zip(modules, [*modules[1:], modules[0]], strict=True):
        graph.add_import(importer=importer, imported=imported)
    graph.add_import(importer=modules[0], imported="mlctl.shared")
    assert {frozenset(circle) for circle in import_circles(graph)} == {frozenset(modules)}
