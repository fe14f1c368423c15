"""Tatoeba with XTREME's script and with mteb, for `judging.py`: `PYTHON judging_peers.py {xtreme,mteb} JSON`.

Runs in an interpreter with mteb, sentence-transformers and faiss-cpu, and does not import mlctl. The last output line is JSON: accuracy by
language, number of sentences of both sides, and seconds without encoder loading.

XTREME's `third_party/evaluate_retrieval.py` was written for transformers 2. Its text is executed unchanged, language by language with the
command line of `scripts/run_tatoeba.sh`, with three exceptions: names that it imports for other models and tasks are empty classes, the
encoder is loaded by the installed transformers, and it is loaded once instead of twice per language.
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

Job = dict[str, Any]


def main() -> None:
    name, argument = sys.argv[1:]
    job = json.loads(argument)
    torch.set_num_threads(job["threads"])
    print(json.dumps({"xtreme": xtreme, "mteb": mteb}[name](job)))


def xtreme(job: Job) -> Job:
    """Run the script on all languages; it queries from English, and so does its accuracy."""
    run, encoder = _script(Path(job["xtreme"]) / "third_party", job["encoder"])
    geometry = [
        "--num_layers",
        str(encoder.depth),
        "--embed_size",
        str(encoder.width),
        "--specific_layer",
        str(encoder.depth - 1),
    ]
    fixed = ["--task_name", "tatoeba", "--model_type", "bert", "--model_name_or_path", job["encoder"], "--dist", "cosine"]
    out = Path(job["data"]) / "xtreme"
    out.mkdir()
    started = time.perf_counter()
    for code in job["codes"]:
        paths = ["--data_dir", job["data"], "--output_dir", str(out), "--max_seq_length", "512", "--batch_size", "100"]
        sys.argv = [
            "evaluate_retrieval.py",
            *fixed,
            *geometry,
            *paths,
            "--src_language",
            code,
            "--tgt_language",
            "en",
            "--no_cuda",
        ]
        run()
    seconds = time.perf_counter() - started
    accuracy = {code: _accuracy(out / f"test_{code}_predictions.txt") for code in job["codes"]}
    return {"accuracy": accuracy, "sentences": _sentences(job), "seconds": seconds}


def mteb(job: Job) -> Job:
    """Score the files with mteb; its accuracy is used, not its F1."""
    import datasets
    import mteb as library
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(job["encoder"])
    encoder = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension())], device="cpu")
    pairs = {f"{code}-eng": [_lines(job, code, side) for side in (code, "eng")] for code in job["codes"]}
    task = library.get_task("Tatoeba", hf_subsets=list(pairs))
    columns = {name: {"sentence1": a, "sentence2": b} for name, (a, b) in pairs.items()}
    task.dataset = {name: {"test": datasets.Dataset.from_dict(values)} for name, values in columns.items()}
    task.data_loaded = True
    model = library.models.SentenceTransformerEncoderWrapper(encoder)
    encoder.encode(["warm"])
    started = time.perf_counter()
    scores = task.evaluate(model, "test", encode_kwargs={"batch_size": 32})
    seconds = time.perf_counter() - started
    accuracy = {name.removesuffix("-eng"): score["accuracy"] for name, score in scores.items()}
    return {"accuracy": accuracy, "sentences": _sentences(job), "seconds": seconds}


class _Encoder:
    """An encoder with the outputs of transformers 2: last states, those of the first token, those of all layers."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.model, self.tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        self.depth, self.width = self.model.config.num_hidden_layers, self.model.config.hidden_size

    def __call__(self, **batch: torch.Tensor) -> tuple[Any, Any, Any]:
        outputs = self.model(**batch, output_hidden_states=True)
        return outputs.last_hidden_state, outputs.last_hidden_state[:, 0], outputs.hidden_states


def _script(folder: Path, encoder_folder: str) -> tuple[Callable[[], None], _Encoder]:
    """Return the script's `main` and the encoder that it uses."""
    encoder = _Encoder(encoder_folder)
    with torch.no_grad():
        encoder(**encoder.tokenizer("warm", return_tensors="pt"))
    sys.path.insert(0, str(folder))
    old = {"pretrained_config_archive_map": {}}
    models = "BertConfig BertModel BertTokenizer XLMConfig XLMModel XLMRobertaTokenizer XLMTokenizer".split()
    _stand_in("transformers", models, old)
    _stand_in("bert", ["BertForRetrieval"], {})
    _stand_in("processors", [], {})
    _stand_in("processors.utils", ["InputFeatures"], {})
    _stand_in("xlm_roberta", ["XLMRobertaConfig", "XLMRobertaForRetrieval", "XLMRobertaModel"], old)
    _stand_in("utils_lareqa", [], {})
    _stand_in("utils_mewslix", [], {})
    text = (folder / "evaluate_retrieval.py").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "evaluate_retrieval"}
    exec(compile(text[: text.rindex("\nmain()")], "evaluate_retrieval.py", "exec"), namespace)  # noqa: S102
    namespace["load_model"] = lambda *_, **__: (None, encoder, encoder.tokenizer, 0)
    namespace["tqdm"] = lambda rows, **_: rows
    run: Callable[[], None] = namespace["main"]
    return run, encoder


def _stand_in(name: str, classes: Sequence[str], members: dict[str, Any]) -> None:
    sys.modules[name] = module = ModuleType(name)
    for class_name in classes:
        setattr(module, class_name, type(class_name, (), members))


def _accuracy(file: Path) -> float:
    predictions = [int(line.strip(" []\n")) for line in file.open(encoding="utf-8")]
    return sum(row == predicted for row, predicted in enumerate(predictions)) / len(predictions)


def _lines(job: Job, code: str, side: str) -> list[str]:
    return Path(job["data"], f"tatoeba.{code}-eng.{side}").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _sentences(job: Job) -> int:
    return sum(len(_lines(job, code, side)) for code in job["codes"] for side in (code, "eng"))


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    main()
