"""The geometry of a model under evaluation, from the held-out pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlctl.evaluation.changes.geometry import MAX_SENTENCES, Vectors, geometry_rows

if TYPE_CHECKING:
    from mlctl.evaluation.data.heldout import Heldout
    from mlctl.evaluation.model_under_test import ModelUnderTest

Row = dict[str, Any]


def model_geometry(model: ModelUnderTest, heldout: Sequence[Heldout], source: str) -> Iterator[Row]:
    """Yield the rows of `schema.GEOMETRY` of a model, from its sentence vectors of the first held-out pairs of each language."""
    pooling = model.sentences.pooling

    def embed(texts: Sequence[str]) -> Vectors:
        vectors = model.embed_with_poolings(texts[:MAX_SENTENCES], [pooling])[0]
        return np.asarray(vectors.cpu().numpy(), np.float64)

    languages = {pairs.language: (embed(pairs.source.texts), embed(pairs.target.texts)) for pairs in heldout}
    yield from geometry_rows(model.name, source, languages)
