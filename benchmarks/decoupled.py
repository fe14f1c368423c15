"""CZ-NCE compared with lightly's decoupled contrastive loss, in float64: values and gradients.

    python benchmarks/decoupled.py [--quick]

lightly requires torchvision and a trainer, so it is not a dependency: pip fetches its wheel without dependencies into a temporary folder,
and only the module of the loss is loaded. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mlctl.training.losses import cz_nce

PACKAGE = "lightly==1.6.0"
SIZES = (2, 3, 16, 64, 256)
TEMPERATURES = (0.07, 0.5)


def loss_class(folder: Path) -> Any:
    """Fetch the package and return its DCLLoss without importing the rest of the package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder)
    for name in ("lightly", "lightly.loss", "lightly.utils"):
        module = ModuleType(name)
        module.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = module
    return importlib.import_module("lightly.loss.dcl_loss").DCLLoss


def pair(rows: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """Return embeddings (rows, size) of both sides; the second side is close to the first."""
    generator = torch.Generator().manual_seed(rows)
    x, noise = torch.randn(2, rows, size, dtype=torch.float64, generator=generator)
    return x.requires_grad_(), (x.detach() + 0.5 * noise).requires_grad_()


def relative(value: Tensor, reference: Tensor) -> float:
    return float((value - reference).norm() / reference.norm())


def errors(loss: Any, rows: int, temperature: float) -> tuple[float, float]:
    """Return the relative errors of the value and of the gradient."""
    sides = pair(rows)
    values, references = cz_nce(*sides, temperature), loss(temperature=temperature)(*sides)
    gradients = [torch.cat(torch.autograd.grad(value, sides)) for value in (values, references)]
    return relative(values.detach(), references.detach()), relative(*gradients)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="no effect: the script takes seconds")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loss = loss_class(Path(folder))
        results = {(rows, temperature): errors(loss, rows, temperature) for rows in SIZES for temperature in TEMPERATURES}
    for (rows, temperature), (value, gradient) in results.items():
        print(f"{rows:4} samples, τ {temperature:4}: value {value:.1e}, gradient {gradient:.1e}")
    value, gradient = (max(error) for error in zip(*results.values(), strict=True))
    print(json.dumps({"value_error": value, "gradient_error": gradient}))


if __name__ == "__main__":
    main()
