"""What each choice in training is worth: recipes by seeds, trained and judged alike.

    python benchmarks/ablations.py --data DIR --out OUT (--scratch | --encoder FOLDER) [--quick] [--list]

DIR has `parallel` (newstest, tico19, multi30k, bible) and perhaps `tatoeba`; or it is a store of mlctl, whose newest aligned text is
taken. The text is aligned, cut into subwords and parted into training rows and held-out pairs once, for all. Then each recipe is
trained with each seed by mlctl's own training, and judged: which sentence of the held-out pairs is nearest to its translation, which
word to its own, and the same on Tatoeba for sentences. A line a training goes to OUT/results.jsonl as soon as it is known; what is
there is not done again, and a training that was stopped goes on. The same command in several terminals shares the work out. The table
gives mean ± standard deviation over seeds; the last line is JSON.

    --variants base,cz-snt,separate   some of the recipes (--list shows them)
    --variant "mine:wiring=separate,couples=5"   one more
    --set learning_rate=5e-5          for all recipes, where they do not say otherwise
    --trim                            cut the encoder's vocabulary down to the subwords of these texts. Without masked-LM loss, which is
                                      switched off, that changes no figure: what has no gradient does not move. It spares the optimiser
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from filelock import FileLock, Timeout
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from mlctl.alignment import align
from mlctl.config import Align, EvaluationSet, Languages, Model, ScratchModel, Shard, Train
from mlctl.errors import InputError
from mlctl.evaluation.heldout import one_to_one, read_heldout
from mlctl.evaluation.retrieval import accuracy
from mlctl.modeling import sources
from mlctl.modeling.devices import device_of
from mlctl.modeling.encoders import load_encoder, load_tokenizer, save_model, scratch_model
from mlctl.modeling.pooling import layer_states, mean_spans, mean_tokens
from mlctl.schema import PAIR
from mlctl.sharding import shard
from mlctl.training import train
from mlctl.workspace import Workspace, discard

SEPARATE = {"wiring": "separate", "couples": 3}
#: Recipes: settings of `train`. The first five are the paper's, and the model before training.
VARIANTS: dict[str, dict[str, Any] | None] = {
    "base": None,
    "info-snt": {"wiring": "sentence", "loss": "info-nce"},
    "cz-snt": {"wiring": "sentence"},
    "ml-ctl-info": {"wiring": "joint", "loss": "info-nce"},
    "ml-ctl-cz": {"wiring": "joint"},
    "joint-3": {"wiring": "joint", "couples": 3},
    "separate": SEPARATE,
    "separate-1": {**SEPARATE, "couples": 1},
    "light-words": {**SEPARATE, "word_weight": 0.3},
    "info": {**SEPARATE, "loss": "info-nce"},
    "info-words": {**SEPARATE, "word_loss": "info-nce"},
    "info-sentences": {**SEPARATE, "loss": "info-nce", "word_loss": "cz-nce"},
    "warm-words": {**SEPARATE, "word_temperature": 0.1},
    "learned-temperature": {**SEPARATE, "temperature_mode": "learned"},
    "learned-temperature-info": {**SEPARATE, "loss": "info-nce", "temperature_mode": "learned"},
    "falling-temperature": {**SEPARATE, "temperature": 0.1, "temperature_mode": "linear", "final_temperature": 0.05},
    "cosine": {**SEPARATE, "decay": "cosine"},
    "languages-0.3": {**SEPARATE, "language_alpha": 0.3},
}
QUICK = ("base", "cz-snt", "ml-ctl-cz", "separate")
CORPORA = ("newstest", "tico19", "multi30k")
#: What Tatoeba calls languages that have another three-letter code in general.
TATOEBA = {"zh": "cmn", "sw": "swh", "fa": "pes", "no": "nob", "ms": "zsm", "et": "est", "lv": "lvs"}
SCORES = ("sentence", "word", "tatoeba")
POOLINGS = ("pooled", "last")
HELDOUT_PAIRS, EVALUATION_ROWS, CHECKPOINT_SECONDS = 500, 128, 600.0


@dataclass(frozen=True)
class Options:
    data: Path
    out: Path
    encoder: Path | None
    languages: tuple[str, ...]
    tatoeba: tuple[str, ...]
    corpora: tuple[str, ...]
    pairs: int
    variants: dict[str, dict[str, Any] | None]
    common: dict[str, Any]
    seeds: int
    max_length: int
    trim: bool
    device: str

    @property
    def model(self) -> Model:
        return Model(name=str(self.encoder)) if self.encoder else Model(scratch=ScratchModel())


# Preparing: once for all recipes.


def short(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def lines(file: Path) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") if file.suffix == ".gz" else file.open(encoding="utf-8") as stream:
        return stream.read().removesuffix("\n").split("\n")


def text_files(options: Options, corpus: str, language: str) -> tuple[Path, Path] | None:
    """Return the English file and the other of a corpus; None where it does not have the language."""
    stem = "train" if corpus == "multi30k" else f"{corpus}.en-{language}"
    files = tuple(options.data / "parallel" / corpus / f"{stem}.{side}.gz" for side in ("en", language))
    return (files[0], files[1]) if all(file.exists() for file in files) else None


def pairs_of(options: Options, language: str) -> Iterator[dict[str, str]]:
    left = options.pairs or sys.maxsize
    for corpus in options.corpora:
        files = text_files(options, corpus, language)
        both = zip(*map(lines, files), strict=True) if files else ()
        for number, (source, target) in enumerate(both, 1):
            if not left:
                return
            if source.strip() and target.strip():
                left -= 1
                row = {"source_language": "en", "target_language": language, "source": source, "target": target}
                yield {**row, "corpus": corpus, "version": "", "licence": "unknown", "origin": f"{number}", "synthetic": ""}


def is_store(folder: Path) -> bool:
    return (folder / "align").is_dir()


def aligned_of_store(store: Path) -> Path:
    found = sorted((store / "align").glob("*/manifest.json"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise SystemExit(f"{store} has no finished align result")
    return found[-1].parent


def languages_there(data: Path, corpora: Iterable[str]) -> tuple[str, ...]:
    if is_store(data):
        return tuple(sorted(file.stem for file in (aligned_of_store(data) / "pairs").glob("*.parquet")))
    found = {file.name.split(".")[-2] for corpus in corpora for file in (data / "parallel" / corpus).glob("*.gz")}
    return tuple(sorted(language for language in found if len(language) == 2 and language != "en"))


def aligned(options: Options) -> Path:
    """Return the aligned text: the store's, or made of the corpora."""
    if is_store(options.data):
        return aligned_of_store(options.data)
    name = short(options.languages, options.corpora, options.pairs)
    workspace = Workspace(options.out / f"aligned-{name}")
    if not workspace.has("done"):
        print(f"aligning {', '.join(options.languages)}", flush=True)
        for language in options.languages:
            with workspace.part(f"text/pairs/{language}.parquet") as path:
                pq.write_table(pa.Table.from_pylist(list(pairs_of(options, language)), schema=PAIR), path)
        align(Align(), Languages(source="en", targets=options.languages), 0, [workspace.path("text")], workspace)
        with workspace.part("done") as path:
            path.touch()
    return workspace.root


def sharded(options: Options) -> Path:
    """Return training rows and held-out pairs, without the sentences of Tatoeba."""
    source = aligned(options)
    tatoeba = options.data / "tatoeba"
    sets = (EvaluationSet(name="tatoeba", path=str(tatoeba / "tatoeba.*")),) if tatoeba.is_dir() else ()
    settings = Shard(max_length=options.max_length, heldout_pairs=HELDOUT_PAIRS, decontaminate=sets)
    weights = sources.identity(options.model, "tokenizer")
    workspace = Workspace(options.out / f"sharded-{short(source, options.languages, options.max_length, weights)}")
    if not workspace.has("done"):
        print("cutting it into subwords", flush=True)
        figures = shard(settings, options.model, Languages(source="en", targets=options.languages), 0, source, workspace)
        discard(workspace.scratch)
        with workspace.part("done") as path:
            path.write_text(json.dumps(figures, indent=1))
    return workspace.root


# Judging: what is asked is tokenised once.

Ids = Sequence[Sequence[int]]


class Asked(NamedTuple):
    """Pairs to judge by: token ids and identities of both sides, and words (row, start, end), which may be none."""

    language: str
    ids: tuple[Ids, Ids]
    identities: torch.Tensor
    words: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]


class Questions(NamedTuple):
    heldout: list[Asked]
    tatoeba: list[Asked]

    def all_ids(self) -> set[int]:
        return {token for asked in (*self.heldout, *self.tatoeba) for side in asked.ids for ids in side for token in ids}


def questions(options: Options, folder: Path) -> Questions:
    tokenizer = load_tokenizer(folder / "tokenizer")

    def word(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids))).strip().casefold()

    held = []
    for pairs in read_heldout(folder, options.languages):
        couples = one_to_one(pairs, word, 0)
        words = [(c.row, *c.source) for c in couples], [(c.row, *c.target) for c in couples]
        identities = torch.tensor([pairs.source.identities, pairs.target.identities]).T
        held.append(Asked(pairs.language, (pairs.source.ids, pairs.target.ids), identities, words))
    return Questions(held, [asked for language in options.tatoeba for asked in tatoeba_of(options, tokenizer, language)])


def tatoeba_of(options: Options, tokenizer: Any, language: str) -> Iterator[Asked]:
    from langcodes import Language

    code = TATOEBA.get(language) or Language.get(language).to_alpha3()
    files = [options.data / "tatoeba" / f"tatoeba.{code}-eng.{side}" for side in (code, "eng")]
    if all(file.exists() for file in files):
        texts = [lines(file) for file in files]
        same = torch.tensor([[numbers[text] for text in side] for side in texts for numbers in [number_of(side)]]).T
        encoded = [tokenizer(side, truncation=True, max_length=options.max_length)["input_ids"] for side in texts]
        yield Asked(language, (encoded[0], encoded[1]), same, ([], []))


def number_of(texts: Sequence[str]) -> dict[str, int]:
    return {text: number for number, text in enumerate(dict.fromkeys(texts))}


@torch.inference_mode()
def vectors(encoder: Any, ids: Ids, words: Sequence[tuple[int, int, int]]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return sentence (N, H) and word vectors (M, H) for each pooling, from one encoding."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    found: dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]] = {name: ([], []) for name in POOLINGS}
    words_order: list[int] = []
    of_row: dict[int, list[int]] = {}
    for index, (row, *_) in enumerate(words):
        of_row.setdefault(row, []).append(index)
    for first in range(0, len(order), EVALUATION_ROWS):
        rows = order[first : first + EVALUATION_ROWS]
        width = max(len(ids[row]) for row in rows)
        padded = torch.zeros(len(rows), width, dtype=torch.int64)
        mask = torch.zeros(len(rows), width, dtype=torch.int64)
        for place, row in enumerate(rows):
            padded[place, : len(ids[row])] = torch.tensor(ids[row])
            mask[place, : len(ids[row])] = 1
        mask = mask.to(encoder.device)
        states = layer_states(encoder, padded.to(encoder.device), mask)
        here = [(place, index) for place, row in enumerate(rows) for index in of_row.get(row, ())]
        words_order += [index for _, index in here]
        spans = torch.tensor([(place, *words[index][1:]) for place, index in here], dtype=torch.int64, device=mask.device).reshape(-1, 3)
        for name, layer in zip(POOLINGS, states, strict=True):
            found[name][0].append(mean_tokens(layer.float(), mask))
            found[name][1].append(mean_spans(layer.float(), *spans.unbind(1)))
    back = [torch.tensor(np.argsort(places), dtype=torch.int64, device=encoder.device) for places in (order, words_order)]
    return {name: (torch.cat(both[0])[back[0]], torch.cat(both[1])[back[1]]) for name, both in found.items()}


def judged(folder: Path, asked: Questions, device: str) -> dict[str, Any]:
    """Return accuracies in percent: for each pooling the means over languages (and, of held-out pairs, directions), and each language's."""
    encoder = load_encoder(folder).to(device_of(device, "--device"))
    found: dict[str, dict[str, float]] = {}
    for one in asked.heldout:
        sides = [vectors(encoder, ids, words) for ids, words in zip(one.ids, one.words, strict=True)]
        for pooling in POOLINGS:
            (left, left_words), (right, right_words) = (side[pooling] for side in sides)
            found.setdefault(f"sentence.{pooling}", {})[one.language] = both_ways(left, right, one.identities)
            if len(left_words) > 1:
                itself = torch.arange(len(left_words))[:, None]
                found.setdefault(f"word.{pooling}", {})[one.language] = both_ways(left_words, right_words, itself)
    for one in asked.tatoeba:
        sides = [vectors(encoder, ids, []) for ids in one.ids]
        for pooling in POOLINGS:
            near = accuracy(sides[0][pooling][0], sides[1][pooling][0], one.identities[:, 1:])
            found.setdefault(f"tatoeba.{pooling}", {})[one.language] = 100 * near
    return {**{name: statistics.mean(values.values()) for name, values in found.items()}, "languages": found}


def both_ways(left: torch.Tensor, right: torch.Tensor, identities: torch.Tensor) -> float:
    return 50 * (accuracy(left, right, identities) + accuracy(right, left, identities))


# Training.


@dataclass(frozen=True)
class Ready:
    """All that trainings share: rows, the model they start from, what is asked."""

    rows: Path
    model: Model
    asked: Questions
    digest: str


def prepared(options: Options) -> Ready:
    options.out.mkdir(parents=True, exist_ok=True)
    with FileLock(options.out / "preparing.lock"):
        rows = sharded(options)
        asked, model = questions(options, rows), options.model
        if options.trim and options.encoder:
            rows, model, asked = trimmed(options, rows, asked)
    return Ready(rows, model, asked, short(rows.name, sources.identity(model, "weights"), options.tatoeba))


def trimmed(options: Options, rows: Path, asked: Questions) -> tuple[Path, Model, Questions]:
    """Cut everything down to the token ids that occur; ids keep their order."""
    whole = load_tokenizer(rows / "tokenizer")
    used = (
        asked.all_ids() | set(whole.all_special_ids) | set(range(whole.pad_token_id + 1))
    )  # RoBERTa's positions depend on the pad id
    for file in (rows / "train").glob("*.parquet"):
        table = pq.read_table(file, columns=["source_ids", "target_ids"])
        used.update(*(np.unique(table[side].combine_chunks().flatten().to_numpy()).tolist() for side in table.column_names))
    kept = np.array(sorted(used))
    assert options.encoder is not None
    workspace = Workspace(
        options.out / f"trimmed-{short(rows.name, options.tatoeba, sources.identity(options.model, 'weights'))}"
    )
    if not workspace.has("done"):
        print(f"cutting the vocabulary down from {len(whole):,} subwords to {len(kept):,}", flush=True)
        for file in sorted((rows / "train").glob("*.parquet")):
            with workspace.part(f"train/{file.name}") as path:
                pq.write_table(renumbered(pq.read_table(file), kept), path, compression="zstd")
        write_trimmed(options.encoder, whole, kept, workspace)
        with workspace.part("done") as path:
            path.touch()
    new = {old: number for number, old in enumerate(kept.tolist())}
    less = [[replace_ids(one, new) for one in part] for part in asked]
    return workspace.root, Model(name=str(workspace.path("encoder"))), Questions(*less)


def renumbered(table: pa.Table, kept: np.ndarray[Any, Any]) -> pa.Table:
    for side in ("source_ids", "target_ids"):
        lists = table[side].combine_chunks()
        ids = pa.array(np.searchsorted(kept, lists.flatten().to_numpy()), pa.int32())
        column = pa.ListArray.from_arrays(lists.offsets, ids)
        table = table.set_column(table.schema.get_field_index(side), table.schema.field(side), pa.chunked_array([column]))
    return table


def replace_ids(asked: Asked, new: dict[int, int]) -> Asked:
    sides = [[[new[token] for token in ids] for ids in side] for side in asked.ids]
    return asked._replace(ids=(sides[0], sides[1]))


def write_trimmed(encoder: Path, whole: Any, kept: np.ndarray[Any, Any], workspace: Workspace) -> None:
    """Write the encoder with the kept embeddings, and a tokenizer that has their ids and nothing else of the old one."""
    special = {number: token for token, number in zip(whole.all_special_tokens, whole.all_special_ids, strict=True)}
    names = {special.get(old, f"token-{old}"): number for number, old in enumerate(kept.tolist())}
    words = Tokenizer(models.WordLevel(names, unk_token=whole.unk_token))
    roles = {name: token for name, token in whole.special_tokens_map.items() if isinstance(token, str)}
    with workspace.part("tokenizer") as folder:
        PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=whole.model_max_length, **roles).save_pretrained(folder)
    model = load_encoder(encoder)
    table = model.get_input_embeddings().weight.detach()[torch.from_numpy(kept)].clone()
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(table, freeze=False))
    model.config.vocab_size = len(kept)
    with workspace.part("encoder") as folder:
        save_model(model, workspace.path("tokenizer"), folder)


def settings_of(options: Options, changes: dict[str, Any]) -> Train:
    own = {"checkpoint_seconds": CHECKPOINT_SECONDS, "keep_checkpoints": 1, "trackers": (), "devices": options.device}
    forced = {"mlm_weight": 0.0} if options.trim else {}
    return Train.model_validate({**own, **options.common, **changes, **forced})


def one_training(options: Options, ready: Ready, name: str, changes: dict[str, Any] | None, seed: int) -> dict[str, Any]:
    """Train (unless it is the base model) and judge; the folder of the training is removed."""
    folder = options.out / "runs" / f"{name}-{seed}-{key_of(options, ready, changes)}"
    began = time.perf_counter(), time.process_time()
    figures: dict[str, Any] = {}
    if changes is None:
        model = base_model(ready, seed, folder)
    else:
        figures = train(settings_of(options, changes), ready.model, seed, ready.rows, Workspace(folder), show(name, seed))
        model = folder / "model"
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    scores = judged(model, ready.asked, options.device)
    return {**scores, "loss": figures.get("loss"), "seconds": round(took[0], 1), "cpu_seconds": round(took[1], 1)}


def base_model(ready: Ready, seed: int, folder: Path) -> Path:
    if ready.model.name:
        return Path(ready.model.name)
    network = scratch_model(ready.model.scratch, ready.rows / "tokenizer", 0, seed)
    discard(folder / "model")
    save_model(network, ready.rows / "tokenizer", folder / "model")
    return folder / "model"


def show(name: str, seed: int) -> Any:
    begun, said = time.monotonic(), [time.monotonic()]

    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if time.monotonic() - said[0] > 60:
            said[0] = time.monotonic()
            print(
                f"    {name}, seed {seed}: {done} of {total} {unit}, {said[0] - begun:.0f} s, loss {figures.get('loss')}",
                flush=True,
            )

    return progress


def key_of(options: Options, ready: Ready, changes: dict[str, Any] | None) -> str:
    """Return what tells trainings apart that bear one name: all settings that can change a result, the rows and the model."""
    if changes is None:
        return short(ready.digest, "base")
    from mlctl.config import key_settings

    return short(ready.digest, key_settings(settings_of(options, changes)))


def known(options: Options) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the results so far; a line that was cut off by a crash is left out."""
    file, found = options.out / "results.jsonl", {}
    for line in lines(file) if file.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["key"], row["seed"]] = row
    return found


def run_all(options: Options, ready: Ready) -> None:
    (options.out / "runs").mkdir(exist_ok=True)
    for seed in range(options.seeds):
        for name, changes in options.variants.items():
            key = key_of(options, ready, changes)
            folder = options.out / "runs" / f"{name}-{seed}-{key}"
            if (key, seed) in known(options) or (changes is None and ready.model.name and seed):
                continue
            try:
                with FileLock(f"{folder}.lock", timeout=0):
                    if (key, seed) not in known(options):
                        tell(
                            options,
                            {
                                "variant": name,
                                "seed": seed,
                                "key": key,
                                "settings": changes,
                                **tried(options, ready, name, changes, seed),
                            },
                        )
                    shutil.rmtree(folder, ignore_errors=True)
            except Timeout:
                print(f"    {name}, seed {seed}: another process is at it", flush=True)


def tried(options: Options, ready: Ready, name: str, changes: dict[str, Any] | None, seed: int) -> dict[str, Any]:
    try:
        return one_training(options, ready, name, changes, seed)
    except InputError as error:
        if "came off the rails" not in error.problem:
            raise
        return {"failed": error.problem}


def tell(options: Options, row: dict[str, Any]) -> None:
    row = {**row, "common": options.common, "encoder": str(options.encoder or "scratch")}
    with (options.out / "results.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n" * needs_end(options.out / "results.jsonl") + json.dumps(row) + "\n")
    scores = "  ".join(
        f"{name} {row[name]:.1f}" for score in SCORES for name in (f"{score}.pooled", f"{score}.last") if name in row
    )
    print(f"    {row['variant']}, seed {row['seed']}: {row.get('failed') or scores}  ({row.get('seconds', 0)} s)", flush=True)


def needs_end(file: Path) -> bool:
    """Tell whether a crash has left a line without an end."""
    content = file.read_bytes() if file.exists() else b""
    return bool(content) and not content.endswith(b"\n")


# The table.


def table(options: Options, ready: Ready) -> dict[str, Any]:
    """Print mean ± standard deviation over seeds of each recipe; return the means."""
    results, summary = known(options), {}
    columns = [f"{score}.{pooling}" for pooling in POOLINGS for score in SCORES]
    print(
        "\naccuracy in %, mean ± standard deviation over seeds; pooled: first and last layer (or what the recipe pools), last: last layer"
    )
    print(f"{'':26}{'n':>3}" + "".join(f"{column:>17}" for column in columns) + f"{'CPU s':>9}")
    for name, changes in options.variants.items():
        key = key_of(options, ready, changes)
        rows = [row for (found, seed), row in results.items() if found == key and seed < options.seeds]
        good = [row for row in rows if "failed" not in row]
        summary[name] = {column: spread([row[column] for row in good if column in row]) for column in columns}
        cells = "".join(f"{in_words(summary[name][column]):>17}" for column in columns)
        seconds = statistics.mean(row["cpu_seconds"] for row in good) if good else 0
        print(
            f"{name:26}{len(good):3}{cells}{seconds:9.0f}"
            + (f"  {len(rows) - len(good)} diverged" if len(good) < len(rows) else "")
        )
    return summary


def spread(values: Sequence[float]) -> tuple[float, float] | None:
    return (statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0) if values else None


def in_words(cell: tuple[float, float] | None) -> str:
    return f"{cell[0]:.2f} ± {cell[1]:.2f}" if cell else "–"


# The command line.


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel and tatoeba, or a store of mlctl")
    parser.add_argument("--out", type=Path, default=Path("ablations"), help="where everything goes (ablations)")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--encoder", type=Path, help="folder of a Hugging Face encoder or masked-language model")
    given.add_argument("--scratch", action="store_true", help="a BERT of 2 layers of 192 with random weights (the default)")
    parser.add_argument("--languages", default="", help="beside English, e.g. de,fr (all that the corpora have)")
    parser.add_argument("--tatoeba", default="", help="languages judged on Tatoeba (the same)")
    parser.add_argument("--corpora", default=",".join(CORPORA), help=f"in this order ({','.join(CORPORA)})")
    parser.add_argument("--pairs", type=int, default=20_000, help="of each language at most, 0: all (20000)")
    parser.add_argument("--variants", default="", help="names, e.g. base,cz-snt (all)")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME:K=V,K=V", help="one more recipe")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="a setting of train for all recipes")
    parser.add_argument("--seeds", type=int, default=5, help="(5)")
    parser.add_argument("--steps", type=int, default=250, help="(250)")
    parser.add_argument("--batch", type=int, default=64, help="pairs a step (64)")
    parser.add_argument("--max-length", type=int, default=96, help="subwords of a sentence (96)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--trim", action="store_true", help="cut the encoder's vocabulary down; no masked-LM loss")
    parser.add_argument("--quick", action="store_true", help="a few recipes, one seed, 60 steps, little text")
    parser.add_argument("--list", action="store_true", help="show the recipes and end")
    return options_of(parser, parser.parse_args())


def options_of(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Options:
    variants = {**VARIANTS, **dict(map(variant_of, given.variant))}
    if given.list:
        print("\n".join(f"{name:26}{changes or 'the model before training'}" for name, changes in variants.items()))
        raise SystemExit(0)
    names = [name for name in given.variants.split(",") if name] or list(QUICK if given.quick else variants)
    names += [variant_of(text)[0] for text in given.variant if variant_of(text)[0] not in names]
    if unknown := [name for name in names if name not in variants]:
        parser.error(f"no recipe {', '.join(unknown)}; there are {', '.join(variants)}")
    corpora = tuple(filter(None, given.corpora.split(",")))
    languages = tuple(filter(None, given.languages.split(","))) or languages_there(given.data, corpora)
    options = Options(
        given.data.resolve(),
        given.out.resolve(),
        given.encoder and given.encoder.resolve(),
        languages,
        tuple(filter(None, given.tatoeba.split(","))) or languages,
        corpora,
        given.pairs,
        {name: variants[name] for name in names},
        {**common_of(given, given.steps), **dict(map(setting_of, given.set))},
        given.seeds,
        given.max_length,
        given.trim,
        given.device,
    )
    return quick(options, given) if given.quick else options


def quick(options: Options, given: argparse.Namespace) -> Options:
    languages = (
        options.languages
        if given.languages
        else tuple(x for x in ("de", "fr") if x in options.languages) or options.languages[:2]
    )
    common = {**options.common, **common_of(given, 60), **dict(map(setting_of, given.set))}
    return replace(options, languages=languages, tatoeba=languages, pairs=4000, seeds=1, common=common)


def common_of(given: argparse.Namespace, steps: int) -> dict[str, Any]:
    rate = 3e-5 if given.encoder else 1e-3
    common = {"steps": steps, "batch_size": given.batch, "threads": given.threads}
    return {**common, "learning_rate": rate, "warmup_steps": steps // 10, "decay": "linear"}


def variant_of(text: str) -> tuple[str, dict[str, Any]]:
    name, _, settings = text.partition(":")
    return name, dict(map(setting_of, settings.split(",")))


def setting_of(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    parsed = yaml.safe_load(value)
    return name, float(value) if isinstance(parsed, str) and is_number(value) else parsed  # YAML 1.1 reads 5e-5 as a text


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def main() -> None:
    options = arguments()
    for changes in options.variants.values():
        settings_of(options, changes or {})  # wrong settings are known before anything is done
    ready = prepared(options)
    sets = f"{len(ready.asked.tatoeba)} languages on Tatoeba" if ready.asked.tatoeba else "no Tatoeba"
    print(f"{len(options.variants)} recipes × {options.seeds} seeds, {', '.join(options.languages)}, {sets}", flush=True)
    run_all(options, ready)
    print(json.dumps(table(options, ready)))


if __name__ == "__main__":
    main()
