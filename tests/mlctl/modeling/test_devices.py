"""The warning where bf16 is slow."""

from __future__ import annotations

import logging

import pytest
import torch

from mlctl.modeling import devices
from mlctl.modeling.devices import warn_of_slow_bf16


@pytest.mark.parametrize(
    ("precision", "device", "machine", "is_fast", "warns"),
    [
        ("bf16", "cpu", "x86_64", False, True),
        ("bf16", "cpu", "x86_64", True, False),
        ("fp32", "cpu", "x86_64", False, False),
        ("bf16", "cuda", "x86_64", False, False),
        ("bf16", "cpu", "aarch64", False, False),
    ],
)
def test_bf16_that_a_processor_emulates_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    precision: str,
    device: str,
    machine: str,
    is_fast: bool,
    warns: bool,
) -> None:
    monkeypatch.setattr(devices, "has_fast_bf16", lambda: is_fast)
    monkeypatch.setattr(devices.platform, "machine", lambda: machine)
    with caplog.at_level(logging.WARNING):
        warn_of_slow_bf16(precision, torch.device(device), "train.precision")
    assert ("set train.precision=fp32" in caplog.text) == warns


def test_torch_knows_what_the_processor_computes() -> None:
    assert devices.has_fast_bf16() in (False, True)
