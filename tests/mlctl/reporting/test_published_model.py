"""A published model as mteb finds it on a hub: loaded as it is exported, with metadata from its card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import COMMIT, serve
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, BertTokenizer

from mlctl import config
from mlctl.core.workspace import Workspace
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules
from mlctl.reporting import report

from .conftest import LANGUAGES, records

TEXTS = ["a b c", "b", "c c a b"]
LOAD = """
import json, sys
import mteb
model = mteb.get_model("lab/tiny", device="cpu")
meta = model.mteb_model_meta
names = ("name", "revision", "languages", "embed_dim", "max_tokens", "adapted_from", "framework")
print(json.dumps([{name: getattr(meta, name) for name in names}, model.model.encode(json.loads(sys.argv[1])).tolist()]))
"""


@pytest.mark.slow
def test_mteb_loads_a_published_model_with_its_metadata(folders: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("mteb")
    model, card = tmp_path / "model", tmp_path / "report"
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=8, max_position_embeddings=32, **sizes)).save_pretrained(model)
    vocabulary = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c")
    BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)}).save_pretrained(model)
    write_modules(model, 16, 2, 32, Pooling((1, 2)))
    values = {"name": "tiny", "languages": {"targets": [*LANGUAGES, "sw"]}, "model": {"name": "intfloat/multilingual-e5-small"}}
    recipe = config.parse(values)
    report(recipe.report, recipe, records(), folders, Workspace(card))
    (model / "README.md").write_bytes((card / "README.md").read_bytes())
    with serve(model) as hub:
        settings = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        environment = {**os.environ, **settings}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-c", LOAD, json.dumps(TEXTS)]
        loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    meta, vectors = json.loads(loaded.stdout.splitlines()[-1])
    assert meta == {
        "name": "lab/tiny",
        "revision": COMMIT,
        "languages": ["ara-Arab", "eng-Latn", "fra-Latn", "swa-Latn"],
        "embed_dim": 16,
        "max_tokens": 32,
        "adapted_from": "intfloat/multilingual-e5-small",
        "framework": ["Sentence Transformers"],
    }
    expected = SentenceTransformer(str(model), device="cpu").encode(TEXTS)
    assert torch.allclose(torch.tensor(vectors), torch.tensor(expected), atol=1e-6)
