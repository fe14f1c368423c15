"""Languages of published files and subsets that are named by codes such as `deu_Latn`."""

from __future__ import annotations

from collections.abc import Iterable

from mlctl import languages as codes


def by_language(names: Iterable[str]) -> dict[str, str]:
    """Return the code of each language among some codes; of several for one language the first by name."""
    known = sorted(filter(codes.is_language, names), reverse=True)
    return dict(sorted({codes.canonical(name): name for name in known}.items()))
