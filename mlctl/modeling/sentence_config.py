"""What an encoder says about its sentence vectors: the files of sentence-transformers beside it. Imports no torch.

`modules.json` lists the modules, each with its own configuration (`sentence_modules`); `config_sentence_transformers.json` has the
prompts; `sentence_bert_config.json` the maximum length. The names of keys and classes of releases 2 to 6 are read. A module that mlctl
cannot reproduce is an error: another pooling would make other vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from mlctl.errors import InputError
from mlctl.modeling.sentence_module_weights import damaged, read_vector, weights_file
from mlctl.modeling.sentence_modules import (
    MODULES,
    SentenceModule,
    UnsupportedModuleError,
    check_module_weights,
    is_subfolder,
    read_json,
    read_module_config,
    read_modules,
    read_modules_behind_pooling,
    unsupported,
)

#: How a sentence vector is made of its tokens' states, by the names of sentence-transformers.
TokenPooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]

#: Where the pooling of a training comes from (`origin` in its pooling.json), as a message.
POOLING_REASONS = {
    "train.layers": "set by train.layers",
    "modules.json": "as the encoder's modules.json says",
    "last layer": "a sentence encoder without modules.json",
    "search": "the best before training on dev pairs",
    "scratch": "the default of a model from scratch",
}

MODEL_CONFIG = "config_sentence_transformers.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"

_OLD_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{kind}_config.json" for kind in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_DESCRIPTIONS: dict[TokenPooling, str] = {
    "mean": "mean over the tokens",
    "cls": "first token",
    "max": "maximum over the tokens",
    "lasttoken": "last token",
    "weightedmean": "mean over the tokens, weighted by position,",
    "mean_sqrt_len_tokens": "sum over the tokens by the root of their number",
}
_TOKEN_OUTPUTS = {"last_hidden_state", "token_embeddings"}


class Pooling(NamedTuple):
    """How sentence vectors are made of an encoder's hidden states: a sum of layers, then a pooling of the tokens, then modules.

    Attributes:
        layers: numbers of the layers whose states are added, ascending; 0: the embeddings.
        tokens: see `TokenPooling`; several are concatenated in this order.
        weights: of the layers; empty: all the same. With modules, whose output depends on the length of a vector, their sum is 1.
        modules: modules of sentence-transformers that the pooled vector goes through.
    """

    layers: tuple[int, ...]
    tokens: TokenPooling | tuple[TokenPooling, ...] = "mean"
    weights: tuple[float, ...] = ()
    modules: tuple[SentenceModule, ...] = ()

    @property
    def modes(self) -> tuple[TokenPooling, ...]:
        """The poolings of the tokens whose vectors are concatenated: mostly one."""
        return (self.tokens,) if isinstance(self.tokens, str) else self.tokens

    def vector_size(self, hidden: int) -> int:
        """Return the size of a sentence vector, of an encoder whose states have size `hidden`."""
        sizes = [module.out_features for module in self.modules if module.out_features]
        return sizes[-1] if sizes else hidden * len(self.modes)

    def as_json(self) -> dict[str, Any]:
        """Return the pooling as JSON values."""
        tokens = self.tokens if isinstance(self.tokens, str) else list(self.tokens)
        weights = {"weights": list(self.weights)} if self.weights else {}
        modules = {"modules": [module._asdict() for module in self.modules]} if self.modules else {}
        return {"layers": list(self.layers), "tokens": tokens, **weights, **modules}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Pooling:
        """Read what `as_json` returned."""
        tokens: Any = value["tokens"] if isinstance(value["tokens"], str) else tuple(value["tokens"])
        modules = tuple(SentenceModule(**module) for module in value.get("modules", ()))
        return cls(tuple(value["layers"]), tokens, tuple(value.get("weights", ())), modules)


@dataclass(frozen=True)
class SentenceConfig:
    """An encoder's own way to sentence vectors.

    Attributes:
        pooling: layers and tokens.
        prompt: text that is put before every sentence by default.
        max_length: tokens to which sentences are truncated, special ones counted; None: what encoder and tokenizer can take.
        normalize: whether vectors are scaled to length 1 (a cosine does not change).
        similarity: similarity function that the model is published with.
        folder: where the weights of its modules are; None: it has none.
    """

    pooling: Pooling
    prompt: str = ""
    max_length: int | None = None
    normalize: bool = False
    similarity: str = "cosine"
    folder: Path | None = field(default=None, compare=False)


def read_sentence_config(folder: Path, allow_pickle: bool = False, complete: bool = True) -> SentenceConfig | None:
    """Return what the encoder in a folder says about its sentence vectors; None: it has no `modules.json`.

    Args:
        folder: folder of the encoder.
        allow_pickle: whether the weights of modules may be pickles.
        complete: whether the folder has weights and tokenizer; if not, weighted layers and digests of modules are not those of the encoder.

    Raises:
        UnsupportedModuleError: mlctl cannot reproduce one of its modules.
        InputError: a file is missing or damaged.
    """
    if not (folder / MODULES).is_file():
        return None
    listed = read_modules(folder)
    modules = {module.kind: module.folder for module in listed}
    transformer, model = _transformer_config(folder), read_json(folder / MODEL_CONFIG, {})
    _check_transformer(folder, transformer, complete)
    prompt = _default_prompt(folder, model)
    behind, normalize = read_modules_behind_pooling(folder, listed, allow_pickle, complete)
    layers = _layer_pooling(folder, modules.get("WeightedLayerPooling") if complete else None, bool(behind), allow_pickle)
    tokens = _token_pooling(folder, modules["Pooling"], prompt, bool(behind))
    length = transformer.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise damaged(folder / TRANSFORMER_CONFIG, f"max_seq_length is {length!r}")
    return SentenceConfig(
        layers._replace(tokens=tokens, modules=behind),
        prompt,
        length,
        normalize,
        str(model.get("similarity_fn_name") or "cosine"),
        folder,
    )


def describe_pooling(pooling: Pooling) -> str:
    """Describe a pooling: "mean over the tokens of layers 1 + 12", "first token of layer 12"."""
    weights = f", weighted {' : '.join(f'{weight:.3g}' for weight in pooling.weights)}" if pooling.weights else ""
    modes = " + ".join(_DESCRIPTIONS[mode].rstrip(",") for mode in pooling.modes) if len(pooling.modes) > 1 else ""
    modules = "".join(f", then {module.describe()}" for module in pooling.modules)
    return f"{modes or _DESCRIPTIONS[pooling.modes[0]]} of {describe_layers(pooling)}{weights}{modules}"


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
    classes = read_json(folder / "config.json", {}).get("architectures")
    names = [str(name) for name in classes] if isinstance(classes, list) else []
    return any(name.endswith(("Model", "Encoder")) and not name.endswith("LMHeadModel") for name in names)


def sentence_files(folder: Path, allow_pickle: bool = False) -> dict[str, Path]:
    """Return the files of sentence-transformers in an encoder's folder, by their path in it, sorted; empty without `modules.json`.

    Pickled weights of a module are among them if they are allowed, and it has no others.
    """
    if not (folder / MODULES).is_file():
        return {}
    entries = read_json(folder / MODULES, [])
    subfolders = [folder / entry["path"] for entry in entries if isinstance(entry, dict) and is_subfolder(entry.get("path"))]
    files = [folder / name for name in (MODULES, MODEL_CONFIG, TRANSFORMER_CONFIG, *_OLD_TRANSFORMER_CONFIGS)]
    files += [file for subfolder in subfolders for file in _module_files(subfolder, allow_pickle)]
    return {file.relative_to(folder).as_posix(): file for file in sorted(files) if file.is_file()}


def _module_files(module: Path, allow_pickle: bool) -> list[Path]:
    files = [file for file in module.glob("*") if file.suffix in {".json", ".safetensors"}]
    has_pickle_alone = not any(file.suffix == ".safetensors" for file in files)
    return [*files, *(module.glob("pytorch_model.bin") if allow_pickle and has_pickle_alone else ())]


def _transformer_config(folder: Path) -> dict[str, Any]:
    names = (TRANSFORMER_CONFIG, *_OLD_TRANSFORMER_CONFIGS)
    return next((dict(read_json(folder / name, {})) for name in names if (folder / name).is_file()), {})


def _check_transformer(folder: Path, config: Mapping[str, Any], complete: bool) -> None:
    """Check that the module Transformer returns the states of the tokens, and reads text as the tokenizer does."""
    task = config.get("transformer_task", "feature-extraction")
    modalities = config.get("modality_config") or {}
    text = modalities.get("text", {}) if isinstance(modalities, dict) else {}
    outputs = {text.get("method_output_name", "last_hidden_state"), config.get("module_output_name", "token_embeddings")}
    if task != "feature-extraction" or not outputs <= _TOKEN_OUTPUTS:
        raise unsupported(
            folder, f"the module Transformer with the task {task} and the outputs {', '.join(sorted(map(str, outputs)))}"
        )
    if complete and config.get("do_lower_case") and not _lower_cases(folder):
        raise UnsupportedModuleError(
            f"{folder}: {TRANSFORMER_CONFIG} asks for lower-cased text (do_lower_case), but the tokenizer keeps capitals",
            "add a Lowercase normalizer to its tokenizer.json, so that training reads text as the published model does",
        )


def _lower_cases(folder: Path) -> bool:
    normalizer = read_json(folder / "tokenizer.json", {}).get("normalizer")
    parts = [normalizer, *(normalizer.get("normalizers") or ())] if isinstance(normalizer, dict) else []
    if any(isinstance(part, dict) and (part.get("type") == "Lowercase" or part.get("lowercase")) for part in parts):
        return True
    return not (folder / "tokenizer.json").is_file() and bool(
        read_json(folder / "tokenizer_config.json", {}).get("do_lower_case")
    )


def _default_prompt(folder: Path, config: Mapping[str, Any]) -> str:
    name, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise damaged(folder / MODEL_CONFIG, "prompts is no object")
    if name is not None and name not in prompts:
        raise damaged(folder / MODEL_CONFIG, f"default_prompt_name is {name!r}, which is none of its prompts")
    return str(prompts[name] or "") if name is not None else ""


def _token_pooling(folder: Path, module: Path, prompt: str, scaled: bool) -> TokenPooling | tuple[TokenPooling, ...]:
    """Return the poolings of the tokens; `scaled`: the length of the vector matters to modules behind it."""
    config = read_module_config(module)
    unknown = [key for key, value in config.items() if key.startswith("pooling_mode_") and value and key not in _FLAGS]
    if unknown:
        raise unsupported(folder, f"the pooling {', '.join(unknown)}")
    modes = config.get("pooling_mode")
    if not isinstance(modes, (str, list)) and modes is not None:
        raise damaged(module / "config.json", f"pooling_mode is {modes!r}")
    modes = modes or [mode for flag, mode in _FLAGS.items() if config.get(flag)] or ["mean"]
    names = [modes] if isinstance(modes, str) else modes
    if not set(map(str, names)) <= set(get_args(TokenPooling)):
        raise unsupported(folder, f"the pooling {' + '.join(map(str, names))}")
    if prompt and not config.get("include_prompt", True):
        raise unsupported(folder, "a pooling that leaves the prompt out (include_prompt: false)")
    if len(names) > 1:
        return tuple(names)
    mode: Any = names[0]
    return "mean" if mode == "mean_sqrt_len_tokens" and not scaled else mode  # another length, so the same cosines


def _layer_pooling(folder: Path, module: Path | None, scaled: bool, allow_pickle: bool) -> Pooling:
    """Return the pooling of the layers: the last one, or those that have a weight in WeightedLayerPooling.

    `scaled`: the length of the vector matters to modules behind it.
    """
    depth = encoder_depth(folder)
    if module is None:
        return Pooling((depth,))
    first = read_json(module / "config.json", {}).get("layer_start", 4)
    if not isinstance(first, int) or not 0 <= first <= depth:
        raise damaged(module / "config.json", f"layer_start is {first!r}, of an encoder with {depth} layers")
    weights = _layer_weights(module, first, depth, allow_pickle)
    pooled = [(first + index, weight) for index, weight in enumerate(weights) if weight]
    if not pooled:
        raise damaged(module, "all weights are 0")
    layers, values = zip(*pooled, strict=True)
    if scaled and not sum(values):
        raise damaged(module, "the weights add up to 0")
    if scaled and len(layers) > 1:
        return Pooling(layers, weights=tuple(value / sum(values) for value in values))
    return Pooling(layers, weights=() if len(set(values)) == 1 else values)


def _layer_weights(module: Path, first: int, depth: int, allow_pickle: bool) -> list[float]:
    expected = {"layer_weights": (depth + 1 - first,)}
    check_module_weights(module, expected, allow_pickle)
    return read_vector(weights_file(module), "layer_weights")


def encoder_depth(folder: Path) -> int:
    """Return the number of layers that an encoder's configuration states.

    Raises:
        InputError: it states none.
    """
    config = read_json(folder / "config.json", {})
    for name in ("num_hidden_layers", "n_layers", "num_layers", "n_layer"):
        if isinstance(config.get(name), int) and config[name] > 0:
            return int(config[name])
    raise InputError(
        f"{folder / 'config.json'} states no number of layers", "name a folder of an encoder such as BERT or XLM-RoBERTa"
    )
