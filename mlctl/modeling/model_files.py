"""Checks of a model folder's files before anything is loaded: JSON, custom code, kinds of weights, damage. Imports no torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlctl.errors import InputError

CONFIG = "config.json"
_SAFETENSORS, _PICKLE = "model.safetensors", "pytorch_model.bin"  # the names that transformers loads
_HEADER_SIZE = struct.Struct("<Q")  # a safetensors file: size of the header, header as JSON, tensors
_MAX_HEADER = 100_000_000  # bytes, the limit of the format's reference implementation
_DOWNLOAD_AGAIN = "download or save the model again"


def read_json(file: Path) -> dict[str, Any]:
    """Return the content of a JSON file of a model folder.

    Raises:
        InputError: the file is missing, unreadable, truncated or no JSON object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", _DOWNLOAD_AGAIN) from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise InputError(f"{file} is damaged or truncated: {error}", _DOWNLOAD_AGAIN) from None
    if not isinstance(content, dict):
        raise InputError(f"{file} is no JSON object", _DOWNLOAD_AGAIN)
    return content


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a model folder.

    Raises:
        InputError: it is missing or damaged, or the model needs code of its own, which is never run.
    """
    config = read_json(folder / CONFIG)
    refuse_custom_code(folder / CONFIG, config)
    return config


def refuse_custom_code(file: Path, content: Mapping[str, Any]) -> None:
    """Raise an InputError if a configuration names classes that only code from the folder or the hub defines (`auto_map`)."""
    if not content.get("auto_map"):
        return
    model_type = content.get("model_type")
    if file.name == CONFIG and model_type and _is_known(str(model_type)):
        return  # transformers has its own implementation, and uses it
    if file.name != CONFIG and "AutoTokenizer" not in content["auto_map"]:
        return
    named = json.dumps(content["auto_map"], ensure_ascii=False)
    raise InputError(
        f"{file}: the model needs custom code (auto_map: {named[:200]}), which mlctl never runs",
        "use a model whose classes are part of transformers, or convert this one to such a class",
    )


def _is_known(model_type: str) -> bool:
    """Return whether the installed transformers implements a type of model."""
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a folder that its weights are loaded from: safetensors, or else pickles; an index before its shards."""
    return next((files for name in (_SAFETENSORS, _PICKLE) if (files := _weight_files(folder, name))), [])


def is_pickle(file: Path) -> bool:
    """Return whether a weight file is a pickle, or the index of pickles."""
    return file.name.startswith("pytorch_model")


def _weight_files(folder: Path, name: str) -> list[Path]:
    if (folder / name).is_file():
        return [folder / name]
    index = folder / f"{name}.index.json"
    return [index, *_shards(index)] if index.is_file() else []


def _shards(index: Path) -> list[Path]:
    """Return the shards that an index names.

    Raises:
        InputError: the index is damaged, or a shard is missing.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise InputError(f"{index} has no weight_map from tensors to files", _DOWNLOAD_AGAIN)
    shards = [index.parent / name for name in sorted(set(weight_map.values()))]
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise InputError(f"{index} names {missing[0]}, which is missing ({len(missing)} of {len(shards)} files)", _DOWNLOAD_AGAIN)
    return shards


def check_weights(folder: Path) -> None:
    """Check that the safetensors files of a folder are complete; the tensors themselves are not read.

    Raises:
        InputError: a file is truncated or damaged.
    """
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            _read_header(file)


def tensor_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of each tensor in the safetensors files of a folder."""
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            yield from ((name, file) for name in _read_header(file))


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a safetensors file.

    Raises:
        InputError: the file is truncated or damaged.
    """
    return {name: tuple(entry.get("shape") or ()) for name, entry in _read_header(file).items()}


def _read_header(file: Path) -> dict[str, Any]:
    """Return the entries of a safetensors file's header by the names of its tensors."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        prefix = stream.read(_HEADER_SIZE.size)
        length = _HEADER_SIZE.unpack(prefix)[0] if len(prefix) == _HEADER_SIZE.size else size + 1
        if length > min(_MAX_HEADER, size):
            raise InputError(f"{file} is damaged or truncated: {size:,} bytes without a header", _DOWNLOAD_AGAIN)
        try:
            header = json.loads(stream.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError, IndexError):
            raise InputError(f"{file} is damaged or truncated: its header is no list of tensors", _DOWNLOAD_AGAIN) from None
    if (expected := _HEADER_SIZE.size + length + end) != size:
        raise InputError(f"{file} is damaged or truncated: {size:,} bytes instead of {expected:,}", _DOWNLOAD_AGAIN)
    return tensors


def check_tokenizer_files(files: Iterable[Path]) -> None:
    """Check the JSON files of a tokenizer.

    Raises:
        InputError: one is damaged or truncated, or the tokenizer needs code of its own, which is never run.
    """
    for file in files:
        if file.suffix == ".json":
            refuse_custom_code(file, read_json(file))
