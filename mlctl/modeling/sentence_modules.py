"""The modules that sentence-transformers lists in `modules.json` beside an encoder, and those behind the pooling. Imports no torch.

Read are Transformer, WeightedLayerPooling, Pooling, and behind it any number of Dense, LayerNorm, Dropout and Normalize, by the names that
releases 2 to 6 give their classes. Any other module is an error: without it the vectors would be others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlctl.errors import InputError
from mlctl.modeling.model_files import is_pickle, weight_files
from mlctl.modeling.sentence_module_weights import check_weights, damaged, weights_file

MODULES = "modules.json"

_PACKAGE = "sentence_transformers."
_IN_ORDER = ("Transformer", "WeightedLayerPooling", "Pooling")  # each once, in this order
_BEHIND = ("Dense", "LayerNorm", "Dropout", "Normalize")  # behind the pooling, in any order and number
_VECTOR = "sentence_embedding"  # the name of the sentence vector that a module reads and writes
# Of torch.nn: without parameters, element by element. sentence-transformers creates them with their default arguments.
_ACTIVATION = re.compile(
    r"torch\.nn\.(?:modules\.\w+\.)?"
    "(Identity|Tanh|ReLU|LeakyReLU|ELU|SELU|GELU|SiLU|Mish|Sigmoid|Softplus|Softsign|Hardtanh)"
)


class UnsupportedModuleError(InputError):
    """An encoder's sentence vectors are made in a way that mlctl cannot reproduce."""


class ListedModule(NamedTuple):
    """A module of `modules.json`: the name of its class, and its folder."""

    kind: str
    folder: Path


class SentenceModule(NamedTuple):
    """A module behind the pooling, which maps a sentence vector to another.

    Attributes:
        kind: Dense, LayerNorm or Normalize.
        path: name of its folder, beside the encoder.
        in_features: size of the vectors that it reads; 0: any.
        out_features: size of those that it returns; 0: the same.
        activation: of Dense, a class of torch.nn.
        residual: of Dense, whether the vector that it reads is added to its output.
        digest: sha256 of its weights as safetensors.
    """

    kind: str
    path: str
    in_features: int = 0
    out_features: int = 0
    activation: str = ""
    residual: bool = False
    digest: str = ""

    def describe(self) -> str:
        """Describe the module: "Dense 768→512 (Tanh)"."""
        if self.kind != "Dense":
            return self.kind
        return f"Dense {self.in_features}→{self.out_features} ({self.activation}{', residual' if self.residual else ''})"


def read_modules(folder: Path) -> list[ListedModule]:
    """Return the modules of the encoder in a folder, in order.

    Raises:
        UnsupportedModuleError: mlctl cannot reproduce one of them.
        InputError: `modules.json` is damaged.
    """
    entries = read_json(folder / MODULES, [])
    modules: list[ListedModule] = []
    if not entries:
        raise damaged(folder / MODULES, "it lists no modules")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str) or not isinstance(entry.get("path"), str):
            raise damaged(folder / MODULES, "a module has no `type` and `path`")
        kind, path = entry["type"].rpartition(".")[2], entry["path"]
        if not entry["type"].startswith(_PACKAGE) or not _may_follow([module.kind for module in modules], kind):
            raise unsupported(folder, f"the module {entry['type']}")
        if (path != "") if kind == "Transformer" else not is_subfolder(path):
            raise unsupported(folder, f"the module {entry['type']} in the folder {path!r}")
        modules.append(ListedModule(kind, folder / path))
    for kind in ("Transformer", "Pooling"):
        if kind not in {module.kind for module in modules}:
            raise unsupported(folder, f"a list of modules without {kind}")
    return modules


def read_modules_behind_pooling(
    folder: Path, modules: Sequence[ListedModule], allow_pickle: bool, with_weights: bool = True
) -> tuple[tuple[SentenceModule, ...], bool]:
    """Return the modules that change the direction of the pooled vector, and whether it is scaled to length 1 at the end.

    Args:
        folder: folder of the encoder.
        modules: what `read_modules` returned.
        allow_pickle: whether weights may be pickles.
        with_weights: whether they are checked; without, their digests are empty.

    Raises: as `read_modules`.
    """
    behind = [
        _sentence_module(folder, module, allow_pickle, with_weights)
        for module in modules
        if module.kind in _BEHIND and module.kind != "Dropout"  # in training alone; mlctl drops nothing there
    ]
    size = 0
    for module in behind:
        if size and module.in_features and module.in_features != size:
            raise damaged(folder / module.path, f"it reads vectors of {module.in_features} dimensions, those before have {size}")
        size = module.out_features or size
    normalize = bool(behind) and behind[-1].kind == "Normalize"
    while behind and behind[-1].kind == "Normalize":  # cosines do not change
        behind.pop()
    return tuple(behind), normalize


def is_subfolder(path: object) -> bool:
    """Return whether the path of a module is the name of a folder beside the encoder."""
    return isinstance(path, str) and path not in {"", ".", ".."} and Path(path).name == path


def read_json(file: Path, missing: Any) -> Any:
    """Return the content of a JSON file, of the type of `missing`, which is returned if there is no such file.

    Raises:
        InputError: it cannot be read, is no JSON or of another type.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return missing
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, str(error)) from None
    if not isinstance(value, type(missing)):
        raise damaged(file, f"it holds no JSON {'list' if isinstance(missing, list) else 'object'}")
    return value


def read_module_config(module: Path) -> dict[str, Any]:
    """Return the configuration of a module.

    Raises: as `read_json`, and if there is none.
    """
    if not (module / "config.json").is_file():
        raise damaged(module / "config.json", f"{MODULES} names it, but it is missing")
    return dict(read_json(module / "config.json", {}))


def check_module_weights(module: Path, shapes: Mapping[str, tuple[int, ...]], allow_pickle: bool) -> str:
    """Check the weights of a module against their shapes by name; return their digest, the same for a pickle and for safetensors.

    Raises:
        UnsupportedModuleError: they are missing, or a pickle, which is not allowed.
        InputError: they are damaged or others.
    """
    if not weight_files(module):
        raise UnsupportedModuleError(
            f"{module / 'model.safetensors'} is missing",
            "download or save the model again; if it is published as a pickle alone (pytorch_model.bin), set model.allow_pickle=true for a "
            f"model that you trust; {_without(module.name)}",
        )
    if is_pickle(weights_file(module)) and not allow_pickle:
        raise refused_pickle(str(module))
    return check_weights(module, shapes)


def refused_pickle(module: str) -> UnsupportedModuleError:
    """Return the error that the weights of a module are a pickle, which is not allowed."""
    return UnsupportedModuleError(
        f"{module}: its weights are a pickle (pytorch_model.bin), which can run code when it is loaded",
        f"set model.allow_pickle=true for a model that you trust; {_without(module.rpartition('/')[2])}",
    )


def unsupported(folder: Path, what: str) -> UnsupportedModuleError:
    """Return the error that mlctl cannot reproduce a part of an encoder's sentence vectors."""
    kinds = ", ".join([*_IN_ORDER, *(kind for kind in _BEHIND if kind != "Dropout")])
    return UnsupportedModuleError(
        f"{folder}: mlctl cannot reproduce {what} of {MODULES}",
        f"use an encoder whose modules are {kinds}; {_without('these modules')}",
    )


def _without(modules: str) -> str:
    return (
        f"or set train.layers (such as last): the encoder is then trained and exported without {modules}, and is not compared with the model "
        "as published"
    )


def _may_follow(before: Sequence[str], kind: str) -> bool:
    """Return whether a module of a kind can stand behind others."""
    if kind in _BEHIND:
        return "Pooling" in before
    positions = [_IN_ORDER.index(name) for name in [*before, kind] if name in _IN_ORDER]
    return kind in _IN_ORDER and kind not in before and positions == sorted(positions) and not set(before) & set(_BEHIND)


def _sentence_module(folder: Path, module: ListedModule, allow_pickle: bool, with_weights: bool) -> SentenceModule:
    if module.kind == "Normalize":  # old releases write no configuration
        _check_names(folder, module, read_json(module.folder / "config.json", {}))
        return SentenceModule("Normalize", module.folder.name)
    config = read_module_config(module.folder)
    described, shapes = (_dense if module.kind == "Dense" else _layer_norm)(folder, module, config)
    return described._replace(digest=check_module_weights(module.folder, shapes, allow_pickle)) if with_weights else described


def _dense(folder: Path, module: ListedModule, config: Mapping[str, Any]) -> tuple[SentenceModule, dict[str, tuple[int, ...]]]:
    """Return a Dense module and the shapes of its weights."""
    _check_names(folder, module, config)
    size, target = (_size(module, config, name) for name in ("in_features", "out_features"))
    activation = _ACTIVATION.fullmatch(str(config.get("activation_function", "torch.nn.Tanh")))
    if activation is None:
        raise unsupported(folder, f"{module.folder.name} with the activation {config['activation_function']}")
    residual = bool(config.get("use_residual", False))
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (target, size)}
    if config.get("bias", True):
        shapes["linear.bias"] = (target,)
    if residual and size != target:
        shapes["residual.weight"] = (target, size)
    return SentenceModule("Dense", module.folder.name, size, target, activation[1], residual), shapes


def _layer_norm(
    folder: Path, module: ListedModule, config: Mapping[str, Any]
) -> tuple[SentenceModule, dict[str, tuple[int, ...]]]:
    """Return a LayerNorm module and the shapes of its weights."""
    del folder
    size = _size(module, config, "dimension")
    return SentenceModule("LayerNorm", module.folder.name, size, size), {"norm.weight": (size,), "norm.bias": (size,)}


def _size(module: ListedModule, config: Mapping[str, Any], name: str) -> int:
    size = config.get(name)
    if not isinstance(size, int) or size < 1:
        raise damaged(module.folder / "config.json", f"{name} is {size!r}")
    return size


def _check_names(folder: Path, module: ListedModule, config: Mapping[str, Any]) -> None:
    """Check that a module reads and writes the sentence vector: some map the states of the tokens."""
    for name in _names(config):
        if name != _VECTOR:
            raise unsupported(folder, f"{module.folder.name}, which reads or writes {name},")


def _names(config: Mapping[str, Any]) -> Iterator[object]:
    yield from (config[name] for name in ("module_input_name", "module_output_name") if config.get(name) is not None)
