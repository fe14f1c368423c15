"""An exported graph takes batches of any size and length, also of an encoder whose last token stands for the sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_encoders
from tiny_encoders import GERMAN

from mlctl.errors import InputError
from mlctl.modeling.onnx_export import INT8, export_onnx
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules


def test_a_modern_bert_that_is_pooled_by_its_last_token(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("torch", minversion="2.13")
    folder = tiny_encoders.save(tmp_path / "model", tiny_encoders.bpe_with_bytes)
    for module in ("1_WeightedLayerPooling", "2_Pooling"):
        shutil.rmtree(folder / module)
    write_modules(folder, 24, 2, 32, Pooling((2,), "lasttoken"))
    [file] = export_onnx(folder, [*GERMAN[:20], "a"], fp32=False, int8=True)
    assert file.name == INT8
    assert file.sentences == 21
    assert 0.95 < file.least < 1.0
    assert [path.name for path in (folder / "onnx").iterdir()] == ["model_int8.onnx"], "fp32 was not asked for"


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(InputError, match=r"need the libraries onnxruntime") as caught:
        export_onnx(tmp_path, ["a"], fp32=True, int8=False)
    assert "onnx]" in caught.value.remedy
