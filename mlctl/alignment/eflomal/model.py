"""What a sampler has learned, at rest: in memory and in a folder."""

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
_SIDES = ("forward", "backward")


class ChainModel(NamedTuple):
    """What one chain learned of one direction, V source words and W target words.

    Attributes:
        rows: links of each pair of words.
        totals: links of each source word (V,).
        nulls: times that each target word was linked to nothing (W,).
        fertile: times that each source word had each number of links (V, FERTILITIES).
        jumps: jumps by width (2 MAX_JUMP + 1,).
    """

    rows: Rows
    totals: npt.NDArray[np.float64]
    nulls: npt.NDArray[np.float32]
    fertile: npt.NDArray[np.float32]
    jumps: npt.NDArray[np.float64]


class Model(NamedTuple):
    """Both directions, as each of the chains has them, and the stems of both languages by number: the words that they count."""

    source: pa.StringArray
    target: pa.StringArray
    forward: tuple[ChainModel, ...]
    backward: tuple[ChainModel, ...]


def write_model(model: Model, folder: Path) -> None:
    """Write a model into an empty folder: the same bytes for the same model."""
    for name, words in zip(_WORDS, (model.source, model.target), strict=True):
        pq.write_table(pa.table({"word": words}), folder / name, compression="zstd")
    for name, sides in zip(_SIDES, (model.forward, model.backward), strict=True):
        for number, side in enumerate(sides):
            np.savez_compressed(folder / f"{name}-{number}.npz", **_flat_arrays(side))


def _flat_arrays(side: ChainModel) -> dict[str, Any]:
    return {**side.rows._asdict(), **{name: value for name, value in side._asdict().items() if name != "rows"}}


def read_model(folder: Path) -> Model:
    """Read what `write` wrote.

    Raises:
        InputError: the folder has no model, or a damaged one.
    """
    try:
        source, target = (pq.read_table(folder / name)["word"].combine_chunks() for name in _WORDS)
        forward, backward = (tuple(_side(file) for file in _numbered(folder, name)) for name in _SIDES)
    except (OSError, KeyError, ValueError, pa.ArrowInvalid, zipfile.BadZipFile) as error:
        raise InputError(
            f"{folder}: no alignment model that can be read ({error})", "remove the folder and align again"
        ) from error
    return Model(source, target, forward, backward)


def _numbered(folder: Path, name: str) -> list[Path]:
    files = sorted(folder.glob(f"{name}-*.npz"), key=lambda file: int(file.stem.rpartition("-")[2]))
    if not files:
        raise FileNotFoundError(f"{name}-0.npz is missing")
    return files


def _side(file: Path) -> ChainModel:
    with np.load(file) as arrays:
        rows = Rows(*(arrays[name] for name in Rows._fields))
        return ChainModel(rows, *(arrays[name] for name in ChainModel._fields if name != "rows"))
