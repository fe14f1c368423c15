"""The registry has an implementation of the protocol for each backend of the recipe."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from typing import get_args

import pytest

from mlctl.config.translate import Backend
from mlctl.translation.registry import BACKENDS

METHODS = ("identity", "supports", "fits", "translate", "close")


def test_each_backend_of_the_recipe_has_an_implementation() -> None:
    assert {"none", *BACKENDS} == set(get_args(Backend))


@pytest.mark.parametrize("name", BACKENDS)
def test_implementations_have_the_methods_of_the_protocol(name: str) -> None:
    backend = pkgutil.resolve_name(BACKENDS[name])
    assert all(callable(getattr(backend, method)) for method in METHODS)


def test_the_registry_imports_no_implementation() -> None:
    code = "import sys; import mlctl.translation.registry; sys.exit(bool({'torch', 'transformers', 'ctranslate2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
