"""Loading encoders from a folder, making a small one from scratch, and saving one."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from mlctl.config import ScratchModel
from mlctl.errors import InputError
from mlctl.modeling.model_sources import tokenizer_files
from mlctl.modeling.pooling import FIRST_AND_LAST
from mlctl.modeling.sentence_transformers_export import read_places, write_modules

_log = logging.getLogger(__name__)

_POSITIONS, _MOST_POSITIONS = 512, 8192  # of a model from scratch: where the tokenizer names no limit, and at most


def load_encoder(folder: Path) -> Any:
    """Return the encoder of a Hugging Face folder (AutoModel, fp32, no dropout), ready to encode.

    `pooled_places` says which of its layers make vectors, as `pooling.pooled_states` wants to know.

    Raises:
        InputError: the folder holds no encoder that transformers can load.
    """
    from transformers import AutoModel

    encoder = _load(AutoModel, folder, seed=0, optional="pooler.").eval()
    encoder.pooled_places = read_places(folder)
    return encoder


def load_masked_lm(folder: Path, seed: int) -> Any:
    """Return the masked-language model of a Hugging Face folder, fp32. A head that the folder lacks is drawn from `seed`.

    Raises:
        InputError: the folder holds no masked-language model that transformers can load.
    """
    from transformers import AutoModelForMaskedLM

    return _load(AutoModelForMaskedLM, folder, seed, optional="")


def load_classifier(folder: Path, labels: int, tagged: bool, seed: int) -> Any:
    """Return the encoder of a Hugging Face folder, fp32, with a new head drawn from `seed`.

    Args:
        folder: what `load_encoder` can load.
        labels: how many the head tells apart.
        tagged: a label for each token (AutoModelForTokenClassification), or one for the whole (AutoModelForSequenceClassification).
        seed: of the head and, where the folder has none, of the pooler below it.

    Raises:
        InputError: the folder holds no encoder that transformers can put such a head on.
    """
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    loader = AutoModelForTokenClassification if tagged else AutoModelForSequenceClassification
    return _load(loader, folder, seed, optional="pooler.", num_labels=labels)


def scratch_model(geometry: ScratchModel, tokenizer: Path, max_length: int, seed: int) -> Any:
    """Return a BertForMaskedLM of the given geometry with weights drawn from `seed`.

    Args:
        geometry: layers and sizes; its `vocabulary` is not read: the model has as many types as the tokenizer.
        tokenizer: folder of the tokenizer.
        max_length: subwords of the longest sentence; 0: what the tokenizer says, or 512.
        seed: seed of the weights; the caller's random state stays as it was.
    """
    from transformers import BertConfig, BertForMaskedLM

    words = load_tokenizer(tokenizer)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=geometry.hidden,
        num_hidden_layers=geometry.layers,
        num_attention_heads=geometry.heads,
        intermediate_size=geometry.feed_forward,
        hidden_dropout_prob=geometry.dropout,
        attention_probs_dropout_prob=geometry.dropout,
        max_position_embeddings=max_length or _positions(words.model_max_length),
        pad_token_id=words.pad_token_id,
    )
    with seeded(seed):
        return BertForMaskedLM(config)


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a Hugging Face folder.

    Raises:
        InputError: there is none, or it has no padding token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no tokenizer that transformers can load: {_first_line(error)}") from None
    if tokenizer.pad_token_id is None:
        raise InputError(f"the tokenizer in {folder} has no padding token", "add pad_token to its tokenizer_config.json")
    return tokenizer


def same_vocabulary(one: Path, other: Path) -> bool:
    """Tell whether the tokenizers of two Hugging Face folders give the same numbers to the same pieces."""
    return bool(load_tokenizer(one).get_vocab() == load_tokenizer(other).get_vocab())


def longest_input(model: Any) -> int:
    """Return how many tokens, special ones counted, a Hugging Face model has positions for."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    reserved = getattr(table, "padding_idx", None)  # RoBERTa's positions begin behind that of the padding
    return int(getattr(model.config, "max_position_embeddings", 10**9)) - (0 if reserved is None else reserved + 1)


def save_model(model: Any, tokenizer: Path, folder: Path, places: Sequence[int] = FIRST_AND_LAST) -> None:
    """Write a Hugging Face folder: weights (safetensors), configuration, the tokenizer's files, modules for sentence-transformers.

    The bytes depend on the weights, the pooled layers and the library's version alone.

    Args:
        model: an encoder, or a masked-language model.
        tokenizer: folder of its tokenizer.
        folder: where it goes.
        places: of the layers that are pooled, as `pooling.places_of` returns them.
    """
    folder.mkdir(parents=True)
    with _quiet():
        model.save_pretrained(folder)
    for file in tokenizer_files(tokenizer):
        shutil.copyfile(file, folder / file.name)
    room = min(longest_input(model), _tokenizer_limit(tokenizer))
    write_modules(folder, model.config.hidden_size, model.config.num_hidden_layers, room, places)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside the block and give the caller's CPU random state back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _load(loader: Any, folder: Path, seed: int, optional: str, **options: int) -> Any:
    from safetensors import SafetensorError

    try:
        with _quiet(), seeded(seed):
            model, found = loader.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True, **options
            )  # without dtype the weights would keep the file's, which may be half precision
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{folder} holds no model that transformers can load as {loader.__name__}: {_first_line(error)}",
            "name a folder or hub model of an encoder such as BERT or XLM-RoBERTa",
        ) from None
    _check_complete(model, sorted(found["missing_keys"]), optional, folder)
    return model


def _check_complete(model: Any, missing: list[str], optional: str, folder: Path) -> None:
    """Refuse an encoder with missing weights; say so when only the head on top of it is new."""
    prefix = f"{model.base_model_prefix}." if model.base_model is not model else ""
    lacking = [
        name for name in missing if name.startswith(prefix) and not (optional and name.removeprefix(prefix).startswith(optional))
    ]
    if lacking:
        raise InputError(f"{folder} lacks weights of its encoder: {', '.join(lacking[:3])}", "fetch or save the model again")
    if missing and not optional:
        _log.warning(
            "%s has no masked-LM head: that starts from random weights, which counts only where train.mlm_weight is above 0",
            folder,
        )


def _tokenizer_limit(folder: Path) -> int:
    """Return how many tokens the tokenizer says that its encoder reads; a huge number where it says nothing."""
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return int(settings.get("model_max_length") or 10**9)


def _positions(tokenizer_limit: float) -> int:
    return min(int(tokenizer_limit), _MOST_POSITIONS) if tokenizer_limit < 10**6 else _POSITIONS


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
