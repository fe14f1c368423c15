"""A tokenizer with part of its vocabulary: SentencePiece-Unigram, WordPiece and BPE, in the JSON format of the library `tokenizers`.

A text whose tokens are all kept is split as before: Unigram's best path, WordPiece's longest matches and the merges of BPE that lead to
its tokens are still there, and nothing was added that could take their place. Other text falls back to characters or bytes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlctl.errors import InputError

#: Content of a `tokenizer.json`.
TokenizerJson = dict[str, Any]

_KINDS = ("Unigram", "WordPiece", "BPE")
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")  # byte fallback of SentencePiece


def check_kind(content: TokenizerJson) -> None:
    """Raise an InputError if the vocabulary of this kind of tokenizer cannot be trimmed."""
    kind = content["model"].get("type")
    if kind not in _KINDS:
        raise InputError(
            f"a tokenizer of the kind {kind} cannot be trimmed", f"leave out --languages: it takes {', '.join(_KINDS)}"
        )


def kept_tokens(content: TokenizerJson, used: Collection[int]) -> list[int]:
    """Return the ids of the tokens to keep, ascending: the used ones, special ones, characters and bytes, and what BPE merges them from.

    Args:
        content: the tokenizer.
        used: ids of the tokens of the text, and of those that the encoder's configuration names.
    """
    model = content["model"]
    vocabulary = _vocabulary(model)
    kept = {number for number in used if number in vocabulary} | _special_ids(content)
    kept |= {number for number, token in vocabulary.items() if _is_basic(token, model)}
    if model["type"] == "Unigram":
        kept.add(min(vocabulary, key=lambda number: model["vocab"][number][1]))  # an unknown character costs a bit more
    if model["type"] == "BPE":
        kept = _with_parts(model, vocabulary, kept)
    return sorted(kept)


def trim(content: TokenizerJson, kept: Sequence[int]) -> TokenizerJson:
    """Return the tokenizer with the kept tokens alone: number n is the token that had the id `kept[n]`."""
    new_ids = {old: new for new, old in enumerate(kept)}
    trimmed = copy.deepcopy(content)
    model = trimmed["model"]
    if model["type"] == "Unigram":
        pieces = dict(enumerate(model["vocab"]))
        model["vocab"] = [pieces[old] for old in kept if old in pieces]
        if model.get("unk_id") is not None:
            model["unk_id"] = new_ids[model["unk_id"]]
    else:
        model["vocab"] = {token: new_ids[old] for token, old in model["vocab"].items() if old in new_ids}
    if model["type"] == "BPE":
        model["merges"] = [merge for merge in model["merges"] if all(token in model["vocab"] for token in _merge(model, merge))]
    trimmed["added_tokens"] = [{**token, "id": new_ids[token["id"]]} for token in content["added_tokens"]]
    if trimmed.get("padding"):
        trimmed["padding"]["pad_id"] = new_ids[trimmed["padding"]["pad_id"]]
    _renumber_post_processor(trimmed.get("post_processor"), new_ids)
    return trimmed


def _vocabulary(model: Mapping[str, Any]) -> dict[int, str]:
    """Return the tokens by id, without those that were added behind the vocabulary."""
    if model["type"] == "Unigram":
        return {number: piece for number, (piece, _) in enumerate(model["vocab"])}
    return {number: token for token, number in model["vocab"].items()}


def _special_ids(content: TokenizerJson) -> set[int]:
    """Return the ids of added tokens, of the unknown token, and of those that the post-processor adds."""
    model = content["model"]
    ids = {token["id"] for token in content["added_tokens"]} | set(_post_processor_ids(content.get("post_processor")))
    if content.get("padding"):
        ids.add(content["padding"]["pad_id"])
    if model["type"] == "Unigram":
        return ids | ({model["unk_id"]} if model.get("unk_id") is not None else set())
    return ids | {model["vocab"][token] for token in [model.get("unk_token")] if token in model["vocab"]}


def _is_basic(token: str, model: Mapping[str, Any]) -> bool:
    """Return whether a token is one character, at the beginning of a word or inside it, or a byte."""
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    bare = token.removeprefix(prefix) if token != prefix else token
    bare = bare.removesuffix(suffix) if bare != suffix else bare
    return len(bare) <= 1 or bool(_BYTE.fullmatch(token))


def _with_parts(model: Mapping[str, Any], vocabulary: Mapping[int, str], kept: Iterable[int]) -> set[int]:
    """Return tokens with all tokens from which some merges make them, and so on: whichever merges a text takes are kept."""
    parts: dict[str, set[str]] = {}
    for merge in model["merges"]:
        first, second, merged = _merge(model, merge)
        parts.setdefault(merged, set()).update((first, second))
    found, pending = set(kept), [vocabulary[number] for number in kept if number in vocabulary]
    while pending:
        for part in parts.get(pending.pop(), ()):
            if (number := model["vocab"][part]) not in found:
                found.add(number)
                pending.append(part)
    return found


def _merge(model: Mapping[str, Any], merge: str | Sequence[str]) -> tuple[str, str, str]:
    """Return both sides of a merge, in either of the library's notations, and what they make."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second, first + second.removeprefix(model.get("continuing_subword_prefix") or "")


def _processors(processor: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield a post-processor, or those of a sequence."""
    if processor and processor["type"] == "Sequence":
        for one in processor["processors"]:
            yield from _processors(one)
    elif processor:
        yield processor


def _post_processor_ids(processor: dict[str, Any] | None) -> Iterator[int]:
    for one in _processors(processor):
        for token in (one.get("special_tokens") or {}).values():  # TemplateProcessing
            yield from token["ids"]
        yield from (one[name][1] for name in ("sep", "cls") if name in one)  # BertProcessing, RobertaProcessing


def _renumber_post_processor(processor: dict[str, Any] | None, new_ids: Mapping[int, int]) -> None:
    for one in _processors(processor):
        for token in (one.get("special_tokens") or {}).values():
            token["ids"] = [new_ids[number] for number in token["ids"]]
        for name in ("sep", "cls"):
            if name in one:
                one[name] = [one[name][0], new_ids[one[name][1]]]
