"""Tatoeba by XTREME's script and by mteb, for `judging.py`: `PYTHON judging_peers.py {xtreme,mteb} JSON`.

Runs in an interpreter with mteb, sentence-transformers and faiss-cpu, and imports nothing of mlctl. The last line of its output is JSON: accuracy by
language, number of sentences of both sides, and seconds; encoder loading time is excluded.

XTREME's `third_party/evaluate_retrieval.py` was written for transformers 2. It runs unchanged, language after language with the
command line of `scripts/run_tatoeba.sh`, with three exceptions: names that it imports for other models and tasks are empty classes, the
encoder is loaded by the current transformers, and once in all instead of twice for each language.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

Arguments = dict[str, Any]


def main() -> None:
    name, text = sys.argv[1:]
    arguments = json.loads(text)
    torch.set_num_threads(arguments["threads"])
    print(json.dumps({"xtreme": xtreme, "mteb": mteb}[name](arguments)))


def xtreme(arguments: Arguments) -> dict[str, Any]:
    """Run the script on all languages; it retrieves from English."""
    run, encoder = _script(Path(arguments["xtreme"]) / "third_party", arguments["encoder"])
    geometry = [
        "--num_layers",
        str(encoder.depth),
        "--embed_size",
        str(encoder.width),
        "--specific_layer",
        str(encoder.depth - 1),
    ]
    fixed = ["--task_name", "tatoeba", "--model_type", "bert", "--model_name_or_path", arguments["encoder"], "--dist", "cosine"]
    out = Path(arguments["data"]) / "xtreme"
    out.mkdir()
    started = time.perf_counter()
    for code in arguments["codes"]:
        folders = ["--data_dir", arguments["data"], "--output_dir", str(out), "--max_seq_length", "512", "--batch_size", "100"]
        sys.argv = [
            "evaluate_retrieval.py",
            *fixed,
            *geometry,
            *folders,
            "--src_language",
            code,
            "--tgt_language",
            "en",
            "--no_cuda",
        ]
        run()
    seconds = time.perf_counter() - started
    accuracy = {code: _accuracy(out / f"test_{code}_predictions.txt") for code in arguments["codes"]}
    return {"accuracy": accuracy, "sentences": _sentences(arguments), "seconds": seconds}


def mteb(arguments: Arguments) -> dict[str, Any]:
    """Evaluate the files by mteb, and return its accuracy (not its F1)."""
    import datasets
    import mteb as library
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(arguments["encoder"])
    encoder = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension())], device="cpu")
    pairs = {f"{code}-eng": [_lines(arguments, code, side) for side in (code, "eng")] for code in arguments["codes"]}
    task = library.get_task("Tatoeba", hf_subsets=list(pairs))
    columns = {name: {"sentence1": a, "sentence2": b} for name, (a, b) in pairs.items()}
    task.dataset = {name: {"test": datasets.Dataset.from_dict(both)} for name, both in columns.items()}
    task.data_loaded = True
    model = library.models.SentenceTransformerEncoderWrapper(encoder)
    encoder.encode(["warm up"])
    started = time.perf_counter()
    scores = task.evaluate(model, "test", encode_kwargs={"batch_size": 32})
    seconds = time.perf_counter() - started
    accuracy = {name.removesuffix("-eng"): values["accuracy"] for name, values in scores.items()}
    return {"accuracy": accuracy, "sentences": _sentences(arguments), "seconds": seconds}


class _Encoder:
    """An encoder with the output of transformers 2: last states, the first token's state, all layers' states."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.model, self.tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        self.depth, self.width = self.model.config.num_hidden_layers, self.model.config.hidden_size

    def __call__(self, **batch: torch.Tensor) -> tuple[Any, Any, Any]:
        output = self.model(**batch, output_hidden_states=True)
        return output.last_hidden_state, output.last_hidden_state[:, 0], output.hidden_states


def _script(folder: Path, encoder_folder: str) -> tuple[Callable[[], None], _Encoder]:
    """Return the script's `main`, and the encoder that it uses."""
    encoder = _Encoder(encoder_folder)
    with torch.no_grad():
        encoder(**encoder.tokenizer("warm up", return_tensors="pt"))
    sys.path.insert(0, str(folder))
    members = {"pretrained_config_archive_map": {}}
    models = "BertConfig BertModel BertTokenizer XLMConfig XLMModel XLMRobertaTokenizer XLMTokenizer".split()
    _stub_module("transformers", models, members)
    _stub_module("bert", ["BertForRetrieval"], {})
    _stub_module("processors", [], {})
    _stub_module("processors.utils", ["InputFeatures"], {})
    _stub_module("xlm_roberta", ["XLMRobertaConfig", "XLMRobertaForRetrieval", "XLMRobertaModel"], members)
    _stub_module("utils_lareqa", [], {})
    _stub_module("utils_mewslix", [], {})
    text = (folder / "evaluate_retrieval.py").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "evaluate_retrieval"}
    exec(compile(text[: text.rindex("\nmain()")], "evaluate_retrieval.py", "exec"), namespace)  # noqa: S102
    namespace["load_model"] = lambda *_, **__: (None, encoder, encoder.tokenizer, 0)
    namespace["tqdm"] = lambda rows, **_: rows
    run: Callable[[], None] = namespace["main"]
    return run, encoder


def _stub_module(name: str, classes: Sequence[str], members: dict[str, Any]) -> None:
    sys.modules[name] = module = ModuleType(name)
    for class_name in classes:
        setattr(module, class_name, type(class_name, (), members))


def _accuracy(file: Path) -> float:
    predictions = [int(line.strip(" []\n")) for line in file.open(encoding="utf-8")]
    return sum(row == predicted for row, predicted in enumerate(predictions)) / len(predictions)


def _lines(arguments: Arguments, code: str, side: str) -> list[str]:
    return Path(arguments["data"], f"tatoeba.{code}-eng.{side}").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _sentences(arguments: Arguments) -> int:
    return sum(len(_lines(arguments, code, side)) for code in arguments["codes"] for side in (code, "eng"))


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    main()
