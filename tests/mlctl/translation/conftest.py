"""A small trained model, made once a session."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

torch.set_num_threads(1)  # models this small are slower on more


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


tiny_models = _load("tiny_models")


@pytest.fixture(scope="session")
def word_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Marian that translates word by word: folder `en-fr`."""
    folder: Path = tiny_models.train_marian(tmp_path_factory.mktemp("models") / "en-fr")
    return folder


@pytest.fixture(scope="session")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's folder of converted models."""
    return tmp_path_factory.mktemp("converted")
