"""An encoder as ONNX files beside its weights, from tokens to sentence vectors, also with weights of eight bits."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlctl.core.distribution import install_extras
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder, load_tokenizer, max_positions
from mlctl.modeling.pooling import pad_batch, pool_layers, pool_states
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth, read_sentence_config
from mlctl.modeling.sentence_embeddings import tokenise
from mlctl.modeling.sentence_encoder import Vectors
from mlctl.modeling.sentence_module_layers import load_sentence_modules

#: Names of the files in an encoder's folder: fp32, and weights of eight bits.
FP32, INT8 = "onnx/model.onnx", "onnx/model_int8.onnx"
#: The graph's output with sentence vectors of length 1; the other one has the states of the last layer.
SENTENCES, TOKENS = "sentence_embedding", "token_embeddings"

_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
_LARGEST_FILE = 1_800_000_000  # bytes of weights: the format's files have less than 2 GB, more is stored beside
_LEAST_COSINE = 0.999  # of fp32: less is another model
_BATCH = 16
_LONGEST = 2**16  # tokens, of an encoder without a limit
_WITHOUT = "leave out --onnx and --int8 for this encoder"


class OnnxFile(NamedTuple):
    """An ONNX file, and the cosines of its sentence vectors to the encoder's own.

    Attributes:
        name: of the file in the folder.
        bytes: size, with the weights that are stored beside it.
        mean: mean cosine.
        least: least cosine.
        sentences: number of sentences.
    """

    name: str
    bytes: int
    mean: float
    least: float
    sentences: int


@dataclass(frozen=True)
class _Loaded:
    encoder: Any
    tokenizer: Any
    config: SentenceConfig
    modules: nn.Module

    @classmethod
    def read(cls, folder: Path) -> _Loaded:
        config = read_sentence_config(folder) or SentenceConfig(Pooling((encoder_depth(folder),)))
        encoder = load_encoder(folder)
        modules = load_sentence_modules(config.folder, config.pooling, encoder.config.hidden_size)
        return cls(encoder, load_tokenizer(folder), config, modules)

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts with the encoder's prompt, sorted by length."""
        prompted = [self.config.prompt + text for text in texts]
        return sorted(tokenise(self.encoder, self.tokenizer, prompted, self.config.max_length), key=len)


class _SentenceGraph(nn.Module):
    """What is exported: token ids and mask, both (B, T), to the states of the last layer (B, T, H) and sentence vectors (B, O)."""

    def __init__(self, loaded: _Loaded) -> None:
        super().__init__()
        self.encoder, self.modules_behind, self.pooling = loaded.encoder, loaded.modules, loaded.config.pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        summed = pool_layers(states, self.pooling.layers, self.pooling.weights)
        vectors = pool_states(summed, attention_mask, self.pooling, self.modules_behind)
        return states[-1], functional.normalize(vectors, dim=1)


def check_libraries() -> None:
    """Raise an InputError if a library of the extra `onnx` is missing."""
    if missing := [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]:
        raise InputError(f"--onnx and --int8 need the libraries {', '.join(missing)}", f"run `{install_extras('onnx')}`")


def export_onnx(folder: Path, texts: Sequence[str], fp32: bool, int8: bool) -> list[OnnxFile]:
    """Write ONNX files into an encoder's folder and compare their sentence vectors with the encoder's own.

    Args:
        folder: a Hugging Face folder.
        texts: sentences that are compared.
        fp32: write the file with full precision.
        int8: write the file whose matrices and embeddings have eight bits (dynamic quantisation, a scale for each channel).

    Raises:
        InputError: a library is missing, or the encoder cannot be exported.
    """
    check_libraries()
    loaded = _Loaded.read(folder)
    graph, rows = _SentenceGraph(loaded).eval(), loaded.tokenise(texts)
    expected = _run_torch(graph, rows, loaded)
    (folder / FP32).parent.mkdir(exist_ok=True)
    _export(graph, loaded, folder / FP32)
    files = [_compare(folder, FP32, rows, expected, loaded)]
    if not files[0].least >= _LEAST_COSINE:
        raise InputError(f"the ONNX graph makes other vectors than the encoder (least cosine {files[0].least:.4f})", _WITHOUT)
    if int8:
        _quantise(folder)
        files.append(_compare(folder, INT8, rows, expected, loaded))
    if not fp32:
        for file in _parts(folder / FP32):
            file.unlink()
    return files if fp32 else files[1:]


def _export(graph: _SentenceGraph, loaded: _Loaded, file: Path) -> None:
    example = torch.zeros(2, 4, dtype=torch.int64)  # other sizes than 1, which would be taken for constants
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=min(max_positions(loaded.encoder), _LONGEST))}
    weights = sum(value.numel() * value.element_size() for value in graph.state_dict().values())
    try:
        with _silent():
            program: Any = torch.onnx.export(
                graph,
                (example, torch.ones_like(example)),
                input_names=["input_ids", "attention_mask"],
                output_names=[TOKENS, SENTENCES],
                dynamic_shapes=(sizes, sizes),
                dynamo=True,
                verbose=False,
            )
            _remove_traces(program)
            program.save(file, external_data=weights > _LARGEST_FILE)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # whatever tracing and translation of any encoder raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"torch cannot export this encoder to ONNX: {reason}", _WITHOUT) from error


def _remove_traces(program: Any) -> None:
    """Remove what the exporter notes for developers: stack traces with paths of this machine."""
    model = program.model
    for one in (model, model.graph, *model.functions.values()):
        one.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _quantise(folder: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options: dict[str, Any] = {"weight_type": QuantType.QInt8, "per_channel": True}
    with _silent():
        quantize_dynamic(folder / FP32, folder / INT8, use_external_data_format=len(_parts(folder / FP32)) > 1, **options)


def _compare(folder: Path, name: str, rows: Sequence[Sequence[int]], expected: Vectors, loaded: _Loaded) -> OnnxFile:
    cosines = (_run_onnx(folder / name, rows, loaded) * expected).sum(1)
    size = sum(file.stat().st_size for file in _parts(folder / name))
    return OnnxFile(name, size, float(cosines.mean()), float(cosines.min()), len(cosines))


@torch.inference_mode()
def _run_torch(graph: _SentenceGraph, rows: Sequence[Sequence[int]], loaded: _Loaded) -> Vectors:
    vectors = [graph(ids, mask)[1].numpy() for ids, mask in _batches(rows, loaded)]
    return np.concatenate(vectors)


def _run_onnx(file: Path, rows: Sequence[Sequence[int]], loaded: _Loaded) -> Vectors:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    inputs = ({"input_ids": ids.numpy(), "attention_mask": mask.numpy()} for ids, mask in _batches(rows, loaded))
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return np.concatenate([session.run([SENTENCES], given)[0] for given in inputs])
    except Exception as error:  # the runtime's own classes, one for each of its error codes
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"onnxruntime cannot run {file.name} of this encoder: {reason}", _WITHOUT) from error


def _batches(rows: Sequence[Sequence[int]], loaded: _Loaded) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(rows), _BATCH):
        ids, mask = pad_batch(rows[start : start + _BATCH], loaded.encoder.config.pad_token_id or 0)
        yield ids, mask.to(torch.int64)


def _parts(file: Path) -> list[Path]:
    """Return a file and those with its weights."""
    return sorted(file.parent.glob(f"{file.name}*"))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter's and the quantiser's advice to developers off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
