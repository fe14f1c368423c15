"""The trained model: in memory, and its files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.alignment.eflomal.counts import Rows
from mlctl.errors import InputError

_WORDS = ("source.parquet", "target.parquet")
_DIRECTIONS = ("forward", "backward")


class ChainModel(NamedTuple):
    """The counts of one chain in one direction, with V source words and W target words. Field names are array names in the files.

    Attributes:
        rows: number of links of each word pair.
        totals: number of links of each source word (V,).
        nulls: number of null links of each target word (W,).
        fertile: number of occurrences of each source word with each fertility (V, FERTILITIES).
        jumps: number of jumps by width (2 MAX_JUMP + 1,).
    """

    rows: Rows
    totals: npt.NDArray[np.float64]
    nulls: npt.NDArray[np.float32]
    fertile: npt.NDArray[np.float32]
    jumps: npt.NDArray[np.float64]


class Model(NamedTuple):
    """The chains of both directions, and the stems of both languages by id: the words that they count."""

    source: pa.StringArray
    target: pa.StringArray
    forward: tuple[ChainModel, ...]
    backward: tuple[ChainModel, ...]


def write_model(model: Model, folder: Path) -> None:
    """Write a model into an empty folder: the same bytes for the same model."""
    for name, words in zip(_WORDS, (model.source, model.target), strict=True):
        pq.write_table(pa.table({"word": words}), folder / name, compression="zstd")
    for name, chain_models in zip(_DIRECTIONS, (model.forward, model.backward), strict=True):
        for number, chain_model in enumerate(chain_models):
            np.savez_compressed(folder / f"{name}-{number}.npz", **_flat_arrays(chain_model))


def _flat_arrays(chain_model: ChainModel) -> dict[str, Any]:
    return {**chain_model.rows._asdict(), **{name: value for name, value in chain_model._asdict().items() if name != "rows"}}


def read_model(folder: Path) -> Model:
    """Read the model that `write_model` wrote.

    Raises:
        InputError: the folder contains no model, or a damaged one.
    """
    try:
        source, target = (pq.read_table(folder / name)["word"].combine_chunks() for name in _WORDS)
        forward, backward = (tuple(_read_chain_model(file) for file in _chain_files(folder, name)) for name in _DIRECTIONS)
    except (OSError, KeyError, ValueError, pa.ArrowInvalid, zipfile.BadZipFile) as error:
        raise InputError(f"{folder}: no readable alignment model ({error})", "remove the folder and align again") from error
    return Model(source, target, forward, backward)


def _chain_files(folder: Path, name: str) -> list[Path]:
    files = sorted(folder.glob(f"{name}-*.npz"), key=lambda file: int(file.stem.rpartition("-")[2]))
    if not files:
        raise FileNotFoundError(f"{name}-0.npz is missing")
    return files


def _read_chain_model(file: Path) -> ChainModel:
    with np.load(file) as arrays:
        rows = Rows(*(arrays[name] for name in Rows._fields))
        return ChainModel(rows, *(arrays[name] for name in ChainModel._fields if name != "rows"))
