"""A small trained model, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
import torch

torch.set_num_threads(1)  # models this small are slower on more


@pytest.fixture(scope="session")
def word_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Marian that translates word by word: folder `en-fr`."""
    folder: Path = tiny_models.train_marian(tmp_path_factory.mktemp("models") / "en-fr")
    return folder


@pytest.fixture(scope="session")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's folder of converted models."""
    return tmp_path_factory.mktemp("converted")
