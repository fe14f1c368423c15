"""What an encoder says about its sentence vectors: the files of sentence-transformers beside it. Imports no torch.

`modules.json` lists the modules, each with its own configuration: Transformer, WeightedLayerPooling, Pooling, Normalize;
`config_sentence_transformers.json` has the prompts; `sentence_bert_config.json` the maximum length. The names of keys and classes of
releases 2 to 6 are read. A module that mlctl cannot reproduce is an error: another pooling would make other vectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from mlctl.errors import InputError

#: How a sentence vector is made of its tokens' states, by the names of sentence-transformers.
TokenPooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean"]

#: Where the pooling of a training comes from (`origin` in its pooling.json), as a message.
POOLING_REASONS = {
    "train.layers": "set by train.layers",
    "modules.json": "as the encoder's modules.json says",
    "last layer": "a sentence encoder without modules.json",
    "search": "the best before training on dev pairs",
    "scratch": "the default of a model from scratch",
}

MODULES = "modules.json"
MODEL_CONFIG = "config_sentence_transformers.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"

_OLD_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{kind}_config.json" for kind in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_PACKAGE = "sentence_transformers."
_KINDS = ("Transformer", "WeightedLayerPooling", "Pooling", "Dropout", "Normalize")  # in the only order that is reproduced
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SAME_DIRECTION = {"mean_sqrt_len_tokens": "mean"}  # another length, so the same cosines
_DESCRIPTIONS: dict[TokenPooling, str] = {
    "mean": "mean over the tokens",
    "cls": "first token",
    "max": "maximum over the tokens",
    "lasttoken": "last token",
    "weightedmean": "mean over the tokens, weighted by position,",
}
_TOKEN_OUTPUTS = {"last_hidden_state", "token_embeddings"}


class UnsupportedModuleError(InputError):
    """An encoder's sentence vectors are made in a way that mlctl cannot reproduce."""


class Pooling(NamedTuple):
    """How sentence vectors are made of an encoder's hidden states: a sum of layers, then a pooling of the tokens.

    Attributes:
        layers: numbers of the layers whose states are added, ascending; 0: the embeddings.
        tokens: see `TokenPooling`.
        weights: of the layers; empty: all the same.
    """

    layers: tuple[int, ...]
    tokens: TokenPooling = "mean"
    weights: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the pooling as JSON values."""
        return {"layers": list(self.layers), "tokens": self.tokens, **({"weights": list(self.weights)} if self.weights else {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Pooling:
        """Read what `as_json` returned."""
        return cls(tuple(value["layers"]), value["tokens"], tuple(value.get("weights", ())))


@dataclass(frozen=True)
class SentenceConfig:
    """An encoder's own way to sentence vectors.

    Attributes:
        pooling: layers and tokens.
        prompt: text that is put before every sentence by default.
        max_length: tokens to which sentences are truncated, special ones counted; None: what encoder and tokenizer can take.
        normalize: whether vectors are scaled to length 1 (a cosine does not change).
        similarity: similarity function that the model is published with.
    """

    pooling: Pooling
    prompt: str = ""
    max_length: int | None = None
    normalize: bool = False
    similarity: str = "cosine"


def read_sentence_config(folder: Path) -> SentenceConfig | None:
    """Return what the encoder in a folder says about its sentence vectors; None: it has no `modules.json`.

    Raises:
        UnsupportedModuleError: mlctl cannot reproduce one of its modules.
        InputError: a file is missing or damaged.
    """
    if not (folder / MODULES).is_file():
        return None
    modules = _modules(folder)
    transformer, model = _transformer_config(folder), _read(folder / MODEL_CONFIG, {})
    _check_transformer(folder, transformer)
    prompt = _default_prompt(folder, model)
    pooling = _layer_pooling(folder, modules.get("WeightedLayerPooling"))
    length = transformer.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise _damaged(folder / TRANSFORMER_CONFIG, f"max_seq_length is {length!r}")
    return SentenceConfig(
        pooling._replace(tokens=_token_pooling(folder, modules["Pooling"], prompt)),
        prompt,
        length,
        "Normalize" in modules,
        str(model.get("similarity_fn_name") or "cosine"),
    )


def describe_pooling(pooling: Pooling) -> str:
    """Describe a pooling: "mean over the tokens of layers 1 + 12", "first token of layer 12"."""
    weights = f", weighted {' : '.join(f'{weight:.3g}' for weight in pooling.weights)}" if pooling.weights else ""
    return f"{_DESCRIPTIONS[pooling.tokens]} of {describe_layers(pooling)}{weights}"


def describe_layers(pooling: Pooling) -> str:
    """Describe the layers of a pooling: "layers 1 + 12", "layer 12", "the embeddings"."""
    if pooling.layers == (0,):
        return "the embeddings"
    return f"layer{'s' if len(pooling.layers) > 1 else ''} {' + '.join(map(str, pooling.layers))}"


def is_sentence_encoder(folder: Path) -> bool:
    """Return whether an encoder was trained for sentence vectors, as far as its files say.

    It has `modules.json`, or its configuration names a class without a language-modelling head (multilingual E5: BertModel; mBERT:
    BertForMaskedLM).
    """
    if (folder / MODULES).is_file():
        return True
    classes = _read(folder / "config.json", {}).get("architectures")
    names = [str(name) for name in classes] if isinstance(classes, list) else []
    return any(name.endswith(("Model", "Encoder")) and not name.endswith("LMHeadModel") for name in names)


def sentence_files(folder: Path) -> dict[str, Path]:
    """Return the files of sentence-transformers in an encoder's folder, by their path in it, sorted; empty without `modules.json`."""
    if not (folder / MODULES).is_file():
        return {}
    entries = _read(folder / MODULES, [])
    subfolders = [
        folder / str(entry.get("path")) for entry in entries if isinstance(entry, dict) and _is_subfolder(entry.get("path"))
    ]
    files = [folder / name for name in (MODULES, MODEL_CONFIG, TRANSFORMER_CONFIG, *_OLD_TRANSFORMER_CONFIGS)]
    files += [file for subfolder in subfolders for file in subfolder.glob("*")]
    return {file.relative_to(folder).as_posix(): file for file in sorted(files) if file.is_file()}


def _is_subfolder(path: object) -> bool:
    return isinstance(path, str) and path not in {"", ".", ".."} and Path(path).name == path


def _modules(folder: Path) -> dict[str, Path]:
    """Return the folder of each module by the name of its class, in order.

    Raises: as `read_sentence_config`.
    """
    entries = _read(folder / MODULES, [])
    modules: dict[str, Path] = {}
    if not entries:
        raise _damaged(folder / MODULES, "it lists no modules")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str) or not isinstance(entry.get("path"), str):
            raise _damaged(folder / MODULES, "a module has no `type` and `path`")
        kind, path = entry["type"].rpartition(".")[2], entry["path"]
        order = [_KINDS.index(name) for name in [*modules, kind] if name in _KINDS]
        if not entry["type"].startswith(_PACKAGE) or kind not in _KINDS or kind in modules or order != sorted(order):
            raise _unsupported(folder, f"the module {entry['type']}")
        if (path != "") if kind == "Transformer" else not _is_subfolder(path):
            raise _unsupported(folder, f"the module {entry['type']} in the folder {path!r}")
        modules[kind] = folder / path
    for kind in ("Transformer", "Pooling"):
        if kind not in modules:
            raise _unsupported(folder, f"a list of modules without {kind}")
    return modules


def _transformer_config(folder: Path) -> dict[str, Any]:
    names = (TRANSFORMER_CONFIG, *_OLD_TRANSFORMER_CONFIGS)
    return next((dict(_read(folder / name, {})) for name in names if (folder / name).is_file()), {})


def _check_transformer(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that the module Transformer returns the states of the tokens, and reads text as the tokenizer does."""
    task = config.get("transformer_task", "feature-extraction")
    modalities = config.get("modality_config") or {}
    text = modalities.get("text", {}) if isinstance(modalities, dict) else {}
    outputs = {text.get("method_output_name", "last_hidden_state"), config.get("module_output_name", "token_embeddings")}
    if task != "feature-extraction" or not outputs <= _TOKEN_OUTPUTS:
        raise _unsupported(
            folder, f"the module Transformer with the task {task} and the outputs {', '.join(sorted(map(str, outputs)))}"
        )
    if config.get("do_lower_case") and not _lower_cases(folder):
        raise UnsupportedModuleError(
            f"{folder}: {TRANSFORMER_CONFIG} asks for lower-cased text (do_lower_case), but the tokenizer keeps capitals",
            "add a Lowercase normalizer to its tokenizer.json, so that training reads text as the published model does",
        )


def _lower_cases(folder: Path) -> bool:
    normalizer = _read(folder / "tokenizer.json", {}).get("normalizer")
    parts = [normalizer, *(normalizer.get("normalizers") or ())] if isinstance(normalizer, dict) else []
    if any(isinstance(part, dict) and (part.get("type") == "Lowercase" or part.get("lowercase")) for part in parts):
        return True
    return not (folder / "tokenizer.json").is_file() and bool(_read(folder / "tokenizer_config.json", {}).get("do_lower_case"))


def _default_prompt(folder: Path, config: Mapping[str, Any]) -> str:
    name, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise _damaged(folder / MODEL_CONFIG, "prompts is no object")
    if name is not None and name not in prompts:
        raise _damaged(folder / MODEL_CONFIG, f"default_prompt_name is {name!r}, which is none of its prompts")
    return str(prompts[name] or "") if name is not None else ""


def _token_pooling(folder: Path, module: Path, prompt: str) -> TokenPooling:
    if not (module / "config.json").is_file():
        raise _damaged(module / "config.json", f"{MODULES} names it, but it is missing")
    config = _read(module / "config.json", {})
    unknown = [key for key, value in config.items() if key.startswith("pooling_mode_") and value and key not in _FLAGS]
    if unknown:
        raise _unsupported(folder, f"the pooling {', '.join(unknown)}")
    modes = config.get("pooling_mode")
    if not isinstance(modes, (str, list)) and modes is not None:
        raise _damaged(module / "config.json", f"pooling_mode is {modes!r}")
    modes = modes or [mode for flag, mode in _FLAGS.items() if config.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    names = [_SAME_DIRECTION.get(str(mode), mode) for mode in modes]
    if len(names) > 1 or names[0] not in get_args(TokenPooling):
        raise _unsupported(folder, f"the pooling {' + '.join(map(str, modes))}")
    if prompt and not config.get("include_prompt", True):
        raise _unsupported(folder, "a pooling that leaves the prompt out (include_prompt: false)")
    tokens: TokenPooling = names[0]
    return tokens


def _layer_pooling(folder: Path, module: Path | None) -> Pooling:
    """Return the pooling of the layers: the last one, or those that have a weight in WeightedLayerPooling."""
    depth = encoder_depth(folder)
    if module is None:
        return Pooling((depth,))
    first = _read(module / "config.json", {}).get("layer_start", 4)
    weights = _layer_weights(module)
    if not isinstance(first, int) or first < 0:
        raise _damaged(module / "config.json", f"layer_start is {first!r}")
    if first + len(weights) != depth + 1:
        raise _damaged(module, f"it has weights for layers {first} to {first + len(weights) - 1} of an encoder with {depth}")
    pooled = [(first + index, weight) for index, weight in enumerate(weights) if weight]
    if not pooled:
        raise _damaged(module, "all weights are 0")
    layers, values = zip(*pooled, strict=True)
    return Pooling(layers, weights=() if len(set(values)) == 1 else values)


def _layer_weights(module: Path) -> Sequence[float]:
    from safetensors import SafetensorError, safe_open

    file = module / "model.safetensors"
    try:
        with safe_open(file, framework="np") as tensors:
            return [float(value) for value in tensors.get_tensor("layer_weights")]
    except (OSError, SafetensorError) as error:
        raise _damaged(file, str(error).strip().partition("\n")[0]) from None


def encoder_depth(folder: Path) -> int:
    """Return the number of layers that an encoder's configuration states.

    Raises:
        InputError: it states none.
    """
    config = _read(folder / "config.json", {})
    for name in ("num_hidden_layers", "n_layers", "num_layers", "n_layer"):
        if isinstance(config.get(name), int) and config[name] > 0:
            return int(config[name])
    raise InputError(
        f"{folder / 'config.json'} states no number of layers", "name a folder of an encoder such as BERT or XLM-RoBERTa"
    )


def _read(file: Path, missing: Any) -> Any:
    """Return the content of a JSON file, of the type of `missing`, which is returned if there is no such file."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return missing
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, str(error)) from None
    if not isinstance(value, type(missing)):
        raise _damaged(file, f"it holds no JSON {'list' if isinstance(missing, list) else 'object'}")
    return value


def _damaged(file: Path, reason: str) -> InputError:
    return InputError(f"{file} cannot be used: {reason}", "download or save the model again")


def _unsupported(folder: Path, what: str) -> UnsupportedModuleError:
    kinds = ", ".join(kind for kind in _KINDS if kind != "Dropout")
    return UnsupportedModuleError(
        f"{folder}: mlctl cannot reproduce {what} of {MODULES}",
        f"use an encoder whose modules are {kinds}; or set train.layers (such as last): the encoder is then trained and exported without "
        "these modules, and is not compared with the model as published",
    )
