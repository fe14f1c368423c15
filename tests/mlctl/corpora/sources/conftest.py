from __future__ import annotations

from pathlib import Path

import pytest
from bilingual_encoder import write_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder that knows a made-up language and its translation."""
    return write_encoder(tmp_path_factory.mktemp("encoder"))
