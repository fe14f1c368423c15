"""Loading encoders from a folder, and creating a small one from scratch."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mlctl.config import ScratchModel
from mlctl.errors import InputError
from mlctl.modeling.architectures import Head, auto_class
from mlctl.modeling.model_files import (
    check_tokenizer_files,
    check_weights,
    is_pickle,
    tensor_files,
    weight_files,
)
from mlctl.modeling.model_sources import tokenizer_files

_log = logging.getLogger(__name__)

_DEFAULT_POSITIONS, _MAX_POSITIONS = 512, 8192  # of a model from scratch: if the tokenizer has no limit, and at most


def load_encoder(folder: Path) -> Any:
    """Return the encoder of a Hugging Face folder (AutoModel, fp32) in evaluation mode.

    Raises:
        InputError: the folder holds no encoder that transformers can load.
    """
    return _load(auto_class(folder, "encoder"), folder, seed=0, optional="pooler.").eval()


def load_masked_lm(folder: Path, seed: int) -> Any:
    """Return the masked-language model of a Hugging Face folder, fp32. A missing head is initialised from `seed`.

    Raises:
        InputError: the folder holds no masked-language model that transformers can load.
    """
    return _load(auto_class(folder, "masked-lm"), folder, seed, optional="")


def load_classifier(folder: Path, labels: int, head: Head, seed: int) -> Any:
    """Return the encoder of a Hugging Face folder, fp32, with a new head initialised from `seed`.

    Args:
        folder: a folder that `load_encoder` can load.
        labels: number of classes.
        head: tagger (AutoModelForTokenClassification), classifier (AutoModelForSequenceClassification), span
            (AutoModelForQuestionAnswering) or choice (AutoModelForMultipleChoice).
        seed: seed of the head and, if the folder has none, of the pooler below it.

    Raises:
        InputError: the folder holds no encoder for which transformers has such a head.
    """
    return _load(auto_class(folder, head), folder, seed, optional="pooler.", num_labels=labels)


def scratch_model(geometry: ScratchModel, tokenizer: Path, max_length: int, seed: int) -> Any:
    """Return a BertForMaskedLM of the given geometry, initialised from `seed`.

    Args:
        geometry: layers and sizes; its `vocabulary` is not read: the model has as many types as the tokenizer.
        tokenizer: folder of the tokenizer.
        max_length: number of positions; 0: the limit of the tokenizer, or 512.
        seed: seed of the weights; the caller's random state does not change.
    """
    from transformers import BertConfig, BertForMaskedLM

    loaded_tokenizer = load_tokenizer(tokenizer)
    config = BertConfig(
        vocab_size=len(loaded_tokenizer),
        hidden_size=geometry.hidden,
        num_hidden_layers=geometry.layers,
        num_attention_heads=geometry.heads,
        intermediate_size=geometry.feed_forward,
        hidden_dropout_prob=geometry.dropout,
        attention_probs_dropout_prob=geometry.dropout,
        max_position_embeddings=max_length or _positions(loaded_tokenizer.model_max_length),
        pad_token_id=loaded_tokenizer.pad_token_id,
    )
    with seeded(seed):
        return BertForMaskedLM(config)


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a Hugging Face folder.

    Raises:
        InputError: the folder has no tokenizer, or the tokenizer has no padding token.
    """
    from transformers import AutoTokenizer

    check_tokenizer_files(tokenizer_files(folder))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers' own, and whatever the classes of all models raise on files that do not fit
        raise InputError(
            f"{folder} holds no tokenizer that transformers can load: {_first_line(error)}", "download or save the model again"
        ) from None
    if tokenizer.pad_token_id is None:
        raise InputError(f"the tokenizer in {folder} has no padding token", "add pad_token to its tokenizer_config.json")
    return tokenizer


def same_vocabulary(first: Path, second: Path) -> bool:
    """Return whether the tokenizers of two Hugging Face folders give the same ids to the same tokens."""
    return bool(load_tokenizer(first).get_vocab() == load_tokenizer(second).get_vocab())


def max_positions(model: Any) -> int:
    """Return the longest input, in tokens with special tokens, for which a Hugging Face model has positions."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    reserved = getattr(table, "padding_idx", None)  # RoBERTa's positions begin after that of the padding
    return int(getattr(model.config, "max_position_embeddings", 10**9)) - (0 if reserved is None else reserved + 1)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator inside the block, and restore the caller's random state after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _load(loader: Any, folder: Path, seed: int, optional: str, **options: int) -> Any:
    check_weights(folder)
    try:
        with quiet(), seeded(seed):
            model, loading_info = loader.from_pretrained(
                folder,
                dtype=torch.float32,  # without it the weights keep the type of the file, which may be half precision
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
                use_safetensors=not any(map(is_pickle, weight_files(folder))),
                weights_only=True,  # of a pickle nothing but tensors is read: its code is not run
                ignore_mismatched_sizes=True,  # `_check_shapes` names them
                **options,
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the classes of all models raise on files that do not fit
        raise InputError(
            f"{folder} holds no model that transformers can load as {loader.__name__}: {_first_line(error)}",
            "name a folder or hub model of an encoder such as BERT or XLM-RoBERTa",
        ) from None
    _check_shapes(sorted(loading_info["mismatched_keys"]), folder)
    _check_complete(model, sorted(loading_info["missing_keys"]), optional, folder)
    _check_finite(model, folder)
    return model


def _check_shapes(mismatched: list[tuple[str, Any, Any]], folder: Path) -> None:
    """Raise an InputError if weights have another shape than the configuration says."""
    if not mismatched:
        return
    name, in_file, in_config = mismatched[0]
    raise InputError(
        f"{_file_of(name, folder)}: {name} has the shape {list(in_file)}, but config.json describes {list(in_config)}",
        "weights and config.json belong to different models: download or save the model again",
    )


def _check_finite(model: Any, folder: Path) -> None:
    """Raise an InputError if a weight is NaN or infinite: every score and loss would be."""
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            kind = "NaN" if torch.isnan(weight).any() else "infinite"
            raise InputError(
                f"{_file_of(name, folder)}: {name} has {kind} values",
                "the model is damaged or was saved after its training diverged: name another one",
            )


def _file_of(tensor: str, folder: Path) -> Path:
    """Return the file that holds a tensor, whose name in it may lack the prefix of the base model or have one more."""
    files = dict(tensor_files(folder))
    names = (name for name in files if name == tensor or tensor.endswith(f".{name}") or name.endswith(f".{tensor}"))
    found = next(names, None)
    return files[found] if found else weight_files(folder)[-1]


def _check_complete(model: Any, missing: list[str], optional: str, folder: Path) -> None:
    """Raise an InputError if weights of the encoder are missing; warn if only the masked-LM head is."""
    prefix = f"{model.base_model_prefix}." if model.base_model is not model else ""
    missing_encoder = [
        name for name in missing if name.startswith(prefix) and not (optional and name.removeprefix(prefix).startswith(optional))
    ]
    if missing_encoder:
        raise InputError(
            f"{folder} lacks weights of its encoder: {', '.join(missing_encoder[:3])}", "download or save the model again"
        )
    if missing and not optional:
        _log.warning(
            "%s has no masked-LM head: it starts from random weights, which matters only with train.mlm_weight above 0",
            folder,
        )


def _positions(tokenizer_limit: float) -> int:
    return min(int(tokenizer_limit), _MAX_POSITIONS) if tokenizer_limit < 10**6 else _DEFAULT_POSITIONS


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load reports and progress bars out of the log."""
    from transformers.utils import logging as chatter

    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()
