"""Device errors are found without a device: steps and encoders run on an accelerator whose tensors have shapes but no values.

An operation on tensors of two devices fails, as on a GPU. So does whatever needs a value in the host's memory (`item`, `tolist`, a tensor's
truth, sizes that depend on values): on a GPU it would wait for all work that is queued.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_gradient_cache import CASES, PAD, RULE, TEMPLATE, label, objective_of, rows_of

pytestmark = pytest.mark.slow

MORE: list[dict[str, Any]] = [
    {
        **CASES[0],
        "objective": "words",
        "loss": "info-nce",
        "word_pairs": 2,
        "mlm_weight": 0,
        "word_pooling": "first",
        "word_layers": [1, 3],
    },
    {**CASES[10], "precision": "bf16", "layers": "all"},
    {**CASES[4], "anchor_weight": 1, "word_anchor_weight": 1, "anchor_side": "source", "frozen_layers": 1},
    {**CASES[4], "temperature_mode": "linear", "average_steps": 2},
]
#: A step takes seconds, since each operation is run by Python: every objective, loss, mask and anchor once, half of them cached.
CHOSEN = [CASES[0], CASES[3], CASES[6], *CASES[12:], *MORE]
LIBRARY: list[Any] = []
STEPS = {f"{label(case)}-{number % 2 == 1}": (case, number % 2 == 1) for number, case in enumerate(CHOSEN)}


def take_step(case: dict[str, Any], cached: bool) -> None:
    """Take a whole step of the training loop."""
    import torch

    from mlctl.config import Train, resolve_train
    from mlctl.training.collator import Collator
    from mlctl.training.distributed import SINGLE
    from mlctl.training.loop import TrainingLoop
    from mlctl.training.model_selection import ModelSelection
    from mlctl.training.state import TrainingState
    from mlctl.training.translation_lm import TranslationLm

    settings = resolve_train(
        Train.model_validate({**case, "cache_gradients": cached, "steps": 4, "micro_batch_tokens": 60}), "scratch"
    )
    tlm = TranslationLm(settings.tlm_share, 24, TEMPLATE, True, RULE, PAD, 5) if settings.tlm_share else None
    batch = Collator(settings, 5, PAD, None if tlm else RULE, SINGLE, tlm).collate(rows_of(4), 2)
    objective, device = objective_of(settings, 0.1).float(), torch.device("fakegpu")
    with fake_tensors() as mode:
        make_fake(objective, mode, device)
        batch = fake(batch, mode)
        assert {parameter.device.type for parameter in objective.parameters()} == {"fakegpu"}
        state = TrainingState(objective, settings, ModelSelection(objective.model, settings, None))
        parts: Any = [SimpleNamespace()] * 5
        loop = TrainingLoop(state, lambda _: batch, settings, 0, SINGLE, *parts)
        loop.train_step(batch.to(device))
        assert state.step == 1
        assert state._unread[0].device.type == "fakegpu"


def embed() -> None:
    """Encode sentences and words as evaluation and the word aligner do, up to the copy of the vectors to the host."""
    import numpy as np
    import torch
    from transformers import BertConfig, BertModel

    from mlctl.modeling.encoder_states import hidden_states
    from mlctl.modeling.pooling import span_pool
    from mlctl.modeling.sentence_config import Pooling
    from mlctl.modeling.sentence_embeddings import _embed_batch

    geometry = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    encoder, device = BertModel(BertConfig(vocab_size=60, **geometry)).eval(), torch.device("fakegpu")
    sentences, poolings = (
        [[2, 7, 8, 3], [2, 9, 3]],
        [Pooling((3,)), Pooling((1, 3), "cls"), Pooling((3,), "lasttoken"), Pooling((2,), "max")],
    )
    with fake_tensors() as mode, fake_inputs(mode):
        make_fake(encoder, mode, device)
        vectors = _embed_batch(encoder, sentences, poolings, None)
        states, _ = hidden_states(encoder, sentences)
        vectors += [span_pool(states[1], np.array([[0, 1, 3], [1, 1, 2]]))]
        assert [(part.device.type, tuple(part.shape)) for part in vectors] == [("fakegpu", (2, 16))] * 5


def fake_inputs(mode: Any) -> Any:
    """Return a mode in which a real tensor that is moved to a device becomes a fake one on the way."""
    import torch

    class Inputs(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            del types
            if func is torch.Tensor.to and type(args[0]) is torch.Tensor:
                args = (mode.from_tensor(args[0]), *args[1:])
            return func(*args, **(kwargs or {}))

    return Inputs()


def make_fake(module: Any, mode: Any, device: Any) -> None:
    """Replace the parameters and buffers of a module by fake ones on a device."""
    import torch

    made: dict[int, Any] = {}  # a parameter may be shared by several modules
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and id(parameter) not in made:
                value = mode.from_tensor(parameter.detach()).to(device)
                made[id(parameter)] = torch.nn.Parameter(value, requires_grad=parameter.requires_grad)
            part._parameters[name] = None if parameter is None else made[id(parameter)]
        part._buffers.update({name: mode.from_tensor(buffer).to(device) for name, buffer in part._buffers.items()})


def fake(value: Any, mode: Any) -> Any:
    """Return a batch with fake tensors, on the CPU."""
    import torch

    if isinstance(value, torch.Tensor):
        return mode.from_tensor(value)
    if isinstance(value, tuple):
        return tuple(fake(item, mode) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: fake(getattr(value, field.name), mode) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value


def fake_tensors() -> Any:
    """Return a mode in which tensors are fake, and whatever is real on entry is converted."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def set_up_device() -> None:
    import torch
    from torch.utils.backend_registration import (  # type: ignore[attr-defined]
        _DummyBackendModule,
        _setup_privateuseone_for_python_backend,
    )

    module = _DummyBackendModule()
    module.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    _setup_privateuseone_for_python_backend("fakegpu", module)
    LIBRARY.append(torch.library.Library("_", "IMPL", "AutocastPrivateUse1"))
    LIBRARY[0].fallback(torch.library.fallthrough_kernel)  # autocast casts nothing, but it can be entered


def main() -> None:
    """Run everything, and print the error of each as JSON; "": none."""
    set_up_device()
    errors = {}
    for name, call in calls():
        try:
            call()
            errors[name] = ""
        except Exception:
            errors[name] = traceback.format_exc(limit=-6)
    json.dump(errors, sys.stdout)


def calls() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "encoders", embed
    for name, (case, cached) in STEPS.items():
        yield name, lambda case=case, cached=cached: take_step(case, cached)


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    result: dict[str, str] = json.loads(subprocess.run([sys.executable, __file__], check=True, capture_output=True).stdout)
    return result


@pytest.mark.parametrize("name", STEPS)
def test_a_step_neither_mixes_devices_nor_waits_for_one(errors: dict[str, str], name: str) -> None:
    assert errors[name] == ""


def test_encoders_of_evaluation_and_alignment_mix_no_devices(errors: dict[str, str]) -> None:
    assert errors["encoders"] == ""


if __name__ == "__main__":
    main()
