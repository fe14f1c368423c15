"""Training rows, evaluation items and encoder of ablations.py, prepared once for all recipes."""

from __future__ import annotations

import gzip
import hashlib
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from filelock import FileLock
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from mlctl.alignment import align
from mlctl.config import Align, EvaluationSet, Languages, Model, ScratchModel, Shard
from mlctl.core.files import discard
from mlctl.core.workspace import Workspace
from mlctl.evaluation.data.heldout import one_to_one, read_heldout
from mlctl.evaluation.metrics.retrieval import accuracy
from mlctl.modeling import model_sources
from mlctl.modeling.devices import resolve_device
from mlctl.modeling.encoders import load_encoder, load_tokenizer
from mlctl.modeling.model_export import save_model
from mlctl.modeling.pooling import mean_pool, pad_batch, pool_layers, span_pool
from mlctl.modeling.pooling_choice import published_pooling
from mlctl.modeling.sentence_config import Pooling, encoder_depth
from mlctl.schema import PAIR
from mlctl.sharding import shard

CORPORA = ("newstest", "tico19", "multi30k")
#: Tatoeba's language codes, where they differ from ISO 639-3.
TATOEBA = {"zh": "cmn", "sw": "swh", "fa": "pes", "no": "nob", "ms": "zsm", "et": "est", "lv": "lvs"}
POOLINGS = ("pooled", "last")
HELDOUT_PAIRS, EVALUATION_ROWS = 500, 128


@dataclass(frozen=True)
class Task:
    """Training data and evaluation settings: the same for all recipes."""

    data: Path
    out: Path
    encoder: Path | None
    languages: tuple[str, ...]
    tatoeba: tuple[str, ...]
    corpora: tuple[str, ...]
    pairs: int
    characters: int
    max_length: int
    trim: bool

    @property
    def model(self) -> Model:
        return Model(name=str(self.encoder)) if self.encoder else Model(scratch=ScratchModel())


# Preparation: once for all recipes.


def short_digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def lines(file: Path) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") if file.suffix == ".gz" else file.open(encoding="utf-8") as stream:
        return stream.read().removesuffix("\n").split("\n")


def text_files(task: Task, corpus: str, language: str) -> tuple[Path, Path] | None:
    """Return the English file and the other file of a corpus; None if the corpus lacks the language."""
    stem = "train" if corpus == "multi30k" else f"{corpus}.en-{language}"
    files = tuple(task.data / "parallel" / corpus / f"{stem}.{side}.gz" for side in ("en", language))
    return (files[0], files[1]) if all(file.exists() for file in files) else None


def pairs_of(task: Task, language: str) -> Iterator[dict[str, str]]:
    remaining, longest = task.pairs or sys.maxsize, task.characters or sys.maxsize
    for corpus in task.corpora:
        files = text_files(task, corpus, language)
        lines_of_sides = zip(*map(lines, files), strict=True) if files else ()
        for number, (source, target) in enumerate(lines_of_sides, 1):
            if not remaining:
                return
            if source.strip() and target.strip() and max(len(source), len(target)) <= longest:
                remaining -= 1
                row = {"source_language": "en", "target_language": language, "source": source, "target": target}
                yield {**row, "corpus": corpus, "version": "", "licence": "unknown", "origin": f"{number}", "synthetic": ""}


def is_store(folder: Path) -> bool:
    return (folder / "align").is_dir()


def aligned_of_store(store: Path) -> Path:
    manifests = sorted((store / "align").glob("*/manifest.json"), key=lambda file: file.stat().st_mtime)
    if not manifests:
        raise SystemExit(f"{store} has no finished align result")
    return manifests[-1].parent


def available_languages(data: Path, corpora: Iterable[str]) -> tuple[str, ...]:
    if is_store(data):
        return tuple(sorted(file.stem for file in (aligned_of_store(data) / "pairs").glob("*.parquet")))
    codes = {file.name.split(".")[-2] for corpus in corpora for file in (data / "parallel" / corpus).glob("*.gz")}
    return tuple(sorted(language for language in codes if len(language) == 2 and language != "en"))


def align_corpora(task: Task) -> Path:
    """Return the align result: that of the store, or one computed from the corpora."""
    if is_store(task.data):
        return aligned_of_store(task.data)
    name = short_digest(task.languages, task.corpora, task.pairs, *([task.characters] * (task.characters > 0)))
    workspace = Workspace(task.out / f"aligned-{name}")
    if not workspace.has("done"):
        print(f"aligning {', '.join(task.languages)}", flush=True)
        for language in task.languages:
            with workspace.part(f"text/pairs/{language}.parquet") as path:
                pq.write_table(pa.Table.from_pylist(list(pairs_of(task, language)), schema=PAIR), path)
        align(Align(), Languages(source="en", targets=task.languages), 0, [workspace.path("text")], workspace)
        with workspace.part("done") as path:
            path.touch()
    return workspace.root


def shard_corpora(task: Task) -> Path:
    """Return the folder of training rows and held-out pairs, decontaminated against Tatoeba."""
    source = align_corpora(task)
    tatoeba = task.data / "tatoeba"
    sets = (EvaluationSet(name="tatoeba", path=str(tatoeba / "tatoeba.*")),) if tatoeba.is_dir() else ()
    settings = Shard(max_length=task.max_length, heldout_pairs=HELDOUT_PAIRS, decontaminate=sets)
    weights = model_sources.identity(task.model, "tokenizer")
    workspace = Workspace(task.out / f"sharded-{short_digest(source, task.languages, task.max_length, weights)}")
    if not workspace.has("done"):
        print("tokenising into training rows", flush=True)
        figures = shard(settings, task.model, Languages(source="en", targets=task.languages), 0, source, workspace)
        discard(workspace.scratch)
        with workspace.part("done") as path:
            path.write_text(json.dumps(figures, indent=1))
    return workspace.root


# Evaluation: the items are tokenised once.

Ids = Sequence[Sequence[int]]


class RetrievalSet(NamedTuple):
    """Evaluation pairs of a language: token ids and text identities of both sides, and word spans (row, start, end), possibly none."""

    language: str
    ids: tuple[Ids, Ids]
    identities: torch.Tensor
    words: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]


class EvaluationItems(NamedTuple):
    heldout: list[RetrievalSet]
    tatoeba: list[RetrievalSet]

    def all_ids(self) -> set[int]:
        return {
            token
            for language_items in (*self.heldout, *self.tatoeba)
            for side in language_items.ids
            for ids in side
            for token in ids
        }


def evaluation_items(task: Task, folder: Path) -> EvaluationItems:
    tokenizer = load_tokenizer(folder / "tokenizer")

    def word(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids))).strip().casefold()

    heldout = []
    for pairs in read_heldout(folder, task.languages):
        word_pairs = one_to_one(pairs, word, 0)
        words = [(c.row, *c.source) for c in word_pairs], [(c.row, *c.target) for c in word_pairs]
        identities = torch.tensor([pairs.source.identities, pairs.target.identities]).T
        heldout.append(RetrievalSet(pairs.language, (pairs.source.ids, pairs.target.ids), identities, words))
    return EvaluationItems(
        heldout, [language_items for language in task.tatoeba for language_items in tatoeba_of(task, tokenizer, language)]
    )


def tatoeba_of(task: Task, tokenizer: Any, language: str) -> Iterator[RetrievalSet]:
    from langcodes import Language

    code = TATOEBA.get(language) or Language.get(language).to_alpha3()
    files = [task.data / "tatoeba" / f"tatoeba.{code}-eng.{side}" for side in (code, "eng")]
    if all(file.exists() for file in files):
        texts = [lines(file) for file in files]
        identities = torch.tensor([[numbers[text] for text in side] for side in texts for numbers in [text_numbers(side)]]).T
        encoded = [tokenizer(side, truncation=True, max_length=task.max_length)["input_ids"] for side in texts]
        yield RetrievalSet(language, (encoded[0], encoded[1]), identities, ([], []))


def text_numbers(texts: Sequence[str]) -> dict[str, int]:
    return {text: number for number, text in enumerate(dict.fromkeys(texts))}


@torch.inference_mode()
def vectors(
    encoder: Any, layers: Sequence[int], ids: Ids, words: Sequence[tuple[int, int, int]], bf16: bool
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return sentence vectors (N, H) and word vectors (M, H) for each pooling, from one encoder pass; fp32 except for the encoder."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    results: dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]] = {name: ([], []) for name in POOLINGS}
    words_order: list[int] = []
    words_of_row: dict[int, list[int]] = {}
    for index, (row, *_) in enumerate(words):
        words_of_row.setdefault(row, []).append(index)
    for first in range(0, len(order), EVALUATION_ROWS):
        rows = order[first : first + EVALUATION_ROWS]
        input_ids, mask = pad_batch([ids[row] for row in rows], 0, encoder.device)
        with torch.autocast(mask.device.type, torch.bfloat16, enabled=bf16):
            hidden_states = encoder(input_ids=input_ids, attention_mask=mask, output_hidden_states=True).hidden_states
            states = (pool_layers(hidden_states, layers), hidden_states[-1])
        batch_words = [(position, index) for position, row in enumerate(rows) for index in words_of_row.get(row, ())]
        words_order += [index for _, index in batch_words]
        spans = torch.tensor(
            [(position, *words[index][1:]) for position, index in batch_words], dtype=torch.int64, device=mask.device
        ).reshape(-1, 3)
        for name, layer in zip(POOLINGS, states, strict=True):
            results[name][0].append(mean_pool(layer.float(), mask))
            results[name][1].append(span_pool(layer.float(), *spans.unbind(1)))
    restore_order = [
        torch.tensor(np.argsort(batch_order), dtype=torch.int64, device=encoder.device) for batch_order in (order, words_order)
    ]
    return {
        name: (torch.cat(parts[0])[restore_order[0]], torch.cat(parts[1])[restore_order[1]]) for name, parts in results.items()
    }


def own_pooling(folder: Path) -> Pooling:
    """Return the pooling that an encoder says itself; else the mean of the first and the last layer."""
    published = published_pooling(folder)
    return published.pooling if published else Pooling((1, encoder_depth(folder)))


def evaluate_encoder(folder: Path, items: EvaluationItems, device: str, bf16: bool) -> dict[str, Any]:
    """Return accuracies in percent per pooling: means over languages (and, for held-out pairs, directions), and those of each language."""
    encoder, layers = load_encoder(folder).to(resolve_device(device, "--device")), own_pooling(folder).layers
    results: dict[str, dict[str, float]] = {}
    for retrieval_set in items.heldout:
        sides = [
            vectors(encoder, layers, ids, words, bf16) for ids, words in zip(retrieval_set.ids, retrieval_set.words, strict=True)
        ]
        for pooling in POOLINGS:
            (source, source_words), (target, target_words) = (side[pooling] for side in sides)
            results.setdefault(f"sentence.{pooling}", {})[retrieval_set.language] = both_ways(
                source, target, retrieval_set.identities
            )
            if len(source_words) > 1:
                own_index = torch.arange(len(source_words))[:, None]
                results.setdefault(f"word.{pooling}", {})[retrieval_set.language] = both_ways(
                    source_words, target_words, own_index
                )
    for retrieval_set in items.tatoeba:
        sides = [vectors(encoder, layers, ids, [], bf16) for ids in retrieval_set.ids]
        for pooling in POOLINGS:
            near = accuracy(sides[0][pooling][0], sides[1][pooling][0], retrieval_set.identities[:, 1:])
            results.setdefault(f"tatoeba.{pooling}", {})[retrieval_set.language] = 100 * near
    return {**{name: statistics.mean(values.values()) for name, values in results.items()}, "languages": results}


def both_ways(source: torch.Tensor, target: torch.Tensor, identities: torch.Tensor) -> float:
    return 50 * (accuracy(source, target, identities) + accuracy(target, source, identities))


# Everything that a training needs.


@dataclass(frozen=True)
class Prepared:
    """What all trainings share: training rows, base model, evaluation items."""

    rows: Path
    model: Model
    items: EvaluationItems
    digest: str


def prepare(task: Task) -> Prepared:
    task.out.mkdir(parents=True, exist_ok=True)
    with FileLock(task.out / "preparing.lock"):
        rows = shard_corpora(task)
        items, model = evaluation_items(task, rows), task.model
        if task.trim and task.encoder:
            rows, model, items = trim_vocabulary(task, rows, items)
    return Prepared(rows, model, items, short_digest(rows.name, model_sources.identity(model, "weights"), task.tatoeba))


def trim_vocabulary(task: Task, rows: Path, items: EvaluationItems) -> tuple[Path, Model, EvaluationItems]:
    """Reduce the vocabulary of rows, encoder and evaluation items to the token ids that occur; the ids keep their order."""
    tokenizer = load_tokenizer(rows / "tokenizer")
    used = (
        items.all_ids() | set(tokenizer.all_special_ids) | set(range(tokenizer.pad_token_id + 1))
    )  # RoBERTa's position ids depend on the pad id
    for file in (rows / "train").glob("*.parquet"):
        table = pq.read_table(file, columns=["source_ids", "target_ids"])
        used.update(*(np.unique(table[side].combine_chunks().flatten().to_numpy()).tolist() for side in table.column_names))
    kept_ids = np.array(sorted(used))
    assert task.encoder is not None
    workspace = Workspace(
        task.out / f"trimmed-{short_digest(rows.name, task.tatoeba, model_sources.identity(task.model, 'weights'))}"
    )
    if not workspace.has("done"):
        print(f"reducing the vocabulary from {len(tokenizer):,} subwords to {len(kept_ids):,}", flush=True)
        for file in sorted((rows / "train").glob("*.parquet")):
            with workspace.part(f"train/{file.name}") as path:
                pq.write_table(renumbered(pq.read_table(file), kept_ids), path, compression="zstd")
        write_trimmed(task.encoder, tokenizer, kept_ids, workspace)
        with workspace.part("done") as path:
            path.touch()
    new = {old: number for number, old in enumerate(kept_ids.tolist())}
    reduced = [[replace_ids(language_items, new) for language_items in items_of_set] for items_of_set in items]
    return workspace.root, Model(name=str(workspace.path("encoder"))), EvaluationItems(*reduced)


def renumbered(table: pa.Table, kept_ids: np.ndarray[Any, Any]) -> pa.Table:
    for side in ("source_ids", "target_ids"):
        lists = table[side].combine_chunks()
        ids = pa.array(np.searchsorted(kept_ids, lists.flatten().to_numpy()), pa.int32())
        column = pa.ListArray.from_arrays(lists.offsets, ids)
        table = table.set_column(table.schema.get_field_index(side), table.schema.field(side), pa.chunked_array([column]))
    return table


def replace_ids(items: RetrievalSet, new: dict[int, int]) -> RetrievalSet:
    sides = [[[new[token] for token in ids] for ids in side] for side in items.ids]
    return items._replace(ids=(sides[0], sides[1]))


def write_trimmed(encoder: Path, tokenizer: Any, kept_ids: np.ndarray[Any, Any], workspace: Workspace) -> None:
    """Write the encoder with the kept embeddings, and a tokenizer that contains only their ids and the special tokens."""
    special = {number: token for token, number in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)}
    names = {special.get(old, f"token-{old}"): number for number, old in enumerate(kept_ids.tolist())}
    words = Tokenizer(models.WordLevel(names, unk_token=tokenizer.unk_token))
    roles = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    with workspace.part("tokenizer") as folder:
        PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=tokenizer.model_max_length, **roles).save_pretrained(
            folder
        )
    model = load_encoder(encoder)
    table = model.get_input_embeddings().weight.detach()[torch.from_numpy(kept_ids)].clone()
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(table, freeze=False))
    model.config.vocab_size = len(kept_ids)
    with workspace.part("encoder") as folder:
        save_model(model, workspace.path("tokenizer"), folder, own_pooling(encoder))
