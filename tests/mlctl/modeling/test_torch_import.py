"""Ctrl-C while torch is imported, as a notebook's stop button sends it: the process can go on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mlctl
from mlctl.core.interruption import deferring_interrupts, ending_on_signals

PROGRAM = """
import signal, sys
from mlctl.modeling.torch_import import import_torch
def press(event, arguments):
    if event == "import" and arguments[0] == "torch._C":
        signal.raise_signal(signal.SIGINT)
sys.addaudithook(press)
try:
    import_torch()
except KeyboardInterrupt:
    print("interrupted", "torch" in sys.modules)
import torch
print(torch.ones(2).sum().item())
"""


def test_an_interrupted_import_is_complete() -> None:
    root = Path(mlctl.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["interrupted", "True", "2.0"], done.stderr


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), deferring_interrupts():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with ending_on_signals(""):
        handler = signal.getsignal(signal.SIGINT)
        with deferring_interrupts():
            assert signal.getsignal(signal.SIGINT) is handler, "a command ends on the signal itself"
