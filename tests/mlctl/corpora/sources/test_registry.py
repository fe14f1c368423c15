from __future__ import annotations

from typing import get_args

from mlctl.config import Source
from mlctl.corpora.sources.registry import SOURCE_KINDS


def test_every_source_of_the_recipe_has_a_kind() -> None:
    assert set(SOURCE_KINDS) == set(get_args(get_args(Source)[0]))
