"""Which transformers classes mlctl can train and evaluate: encoders, and the encoders of T5; all others are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mlctl.errors import InputError
from mlctl.modeling.model_files import CONFIG, read_config

#: Heads of fine-tuning: a label for each token, one for the sequence, the first and last token of a span, or one of several sequences.
Head = Literal["tagger", "classifier", "span", "choice"]
#: What a model is loaded as.
Use = Literal["encoder", "masked-lm"] | Head

_T5 = ("t5", "mt5", "umt5")  # encoder-decoders whose encoder transformers loads alone
#: Uses that no T5 model has a class for: what they are for, and the benchmarks.
_WITHOUT_T5: dict[Use, tuple[str, str]] = {
    "classifier": ("sentence pairs and topics", "xnli, pawsx and sib200"),
    "span": ("answers", "xquad, mlqa and tydiqa"),
    "choice": ("choices", "belebele"),
}
_BOTH_WAYS = ("bert-generation", "xlnet")  # in transformers' list of causal models, but their attention sees both sides
_REMEDY = "name an encoder such as BERT, XLM-RoBERTa, ModernBERT, multilingual E5 or mT5"


def auto_class(folder: Path, use: Use) -> Any:
    """Return the auto class of transformers that loads the model in a folder for a use.

    Raises:
        InputError: the folder's configuration is damaged, or its class cannot be used so.
    """
    import transformers

    config = read_config(folder)
    _check(config, folder)
    if config.get("model_type") in _T5:
        return _t5_class(config, folder, use)
    names: dict[Use, str] = {
        "encoder": "Model",
        "masked-lm": "ModelForMaskedLM",
        "tagger": "ModelForTokenClassification",
        "classifier": "ModelForSequenceClassification",
        "span": "ModelForQuestionAnswering",
        "choice": "ModelForMultipleChoice",
    }
    return getattr(transformers, f"Auto{names[use]}")


def is_encoder_of_t5(model: Any) -> bool:
    """Return whether a model is the encoder of an encoder-decoder, which is published without its decoder."""
    return model.config.model_type in _T5


def _t5_class(config: Mapping[str, Any], folder: Path, use: Use) -> Any:
    from transformers import AutoModelForTextEncoding, AutoModelForTokenClassification

    if use == "masked-lm":
        raise InputError(
            f"{folder}: {_class_name(config)} has no masked-LM head: of T5 models the encoder alone is trained",
            "set train.mlm_weight=0 and train.contrast_on_masked=false",
        )
    if use in _WITHOUT_T5:
        kind, benchmarks = _WITHOUT_T5[use]
        raise InputError(
            f"{folder}: {_class_name(config)} has no encoder with a head for {kind}",
            f"remove the benchmarks {benchmarks} from evaluate.benchmarks",
        )
    return AutoModelForTextEncoding if use == "encoder" else AutoModelForTokenClassification


def _check(config: Mapping[str, Any], folder: Path) -> None:
    """Raise an InputError for a model that is no encoder, or one with language adapters."""
    from transformers.models.auto import modeling_auto

    kind = config.get("model_type")
    if kind is None:
        raise InputError(f"{folder / CONFIG} states no model_type", "download or save the model again")
    if kind in _T5:
        return
    _refuse_language_weights(config, folder)
    if config.get("is_encoder_decoder"):
        raise InputError(f"{folder}: {_class_name(config)} is an encoder-decoder, which mlctl cannot train", _REMEDY)
    causal = kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if config.get("is_decoder") or (causal and not masked and kind not in _BOTH_WAYS and not _sees_both_sides(config)):
        raise InputError(
            f"{folder}: {_class_name(config)} is a decoder: its states see only the text before them, and mlctl trains encoders",
            _REMEDY,
        )


def _refuse_language_weights(config: Mapping[str, Any], folder: Path) -> None:
    """Raise an InputError for a model that has weights of its own for each language, chosen by an input that mlctl does not give."""
    if config.get("model_type") == "xmod":
        languages = config.get("languages")
        listed = ", ".join(map(str, languages)) if isinstance(languages, list) else "unknown"
        raise InputError(
            f"{folder}: {_class_name(config)} has an adapter for each of its languages ({listed}): mlctl gives a model no languages, so "
            "the text of all languages would go through one adapter",
            _REMEDY,
        )
    if config.get("model_type") == "xlm" and config.get("use_lang_emb", True) and int(config.get("n_langs", 1)) > 1:
        raise InputError(
            f"{folder}: {_class_name(config)} has embeddings of {config['n_langs']} languages: mlctl gives a model no languages, so they "
            "would be missing from its input",
            _REMEDY,
        )


def _sees_both_sides(config: Mapping[str, Any]) -> bool:
    return bool(config.get("use_bidirectional_attention"))  # EmbeddingGemma


def _class_name(config: Mapping[str, Any]) -> str:
    classes = config.get("architectures")
    return str(classes[0]) if isinstance(classes, list) and classes else f"the model of type {config.get('model_type')}"
