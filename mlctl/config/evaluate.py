"""The recipe's section `evaluate`: what base and trained model are asked, where the questions lie, how the answers are compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlctl.config.align import Extraction
from mlctl.config.base import Language, Section, digested_elsewhere, runtime_only

Pooling = Literal["trained", "last", "cls", "search"] | Annotated[int, Field(ge=0)]


class BenchmarkFolder(Section):
    """A folder with the files of a benchmark as they were published."""

    kind: Literal["folder"]
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Folder of the files, plain or .gz.",
    )


class BenchmarkDataset(Section):
    """A data set in the hub's format, from the hub or from a folder."""

    kind: Literal["huggingface"]
    dataset: str = Field(min_length=1, description="Name on the hub such as google/xtreme, or a folder in the same format.")
    revision: str = Field("main", description="Branch, tag or commit; a commit needs no network once it was fetched.")


BenchmarkSource = Annotated[BenchmarkFolder | BenchmarkDataset, Field(discriminator="kind")]


class Benchmark(Section):
    """What every benchmark has."""

    source: BenchmarkSource = Field(description="Where its data lie.")
    languages: tuple[Language, ...] = Field(
        (), description="Languages judged; empty: all of the protocol that are there and that the encoder's tokenizer can read."
    )


class Tatoeba(Benchmark):
    """Sentence retrieval in 36 languages (XTREME)."""

    name: Literal["tatoeba"] = Field(description="Which benchmark this is.")
    direction: Literal["to-english", "from-english", "both"] = Field(
        "to-english", description="Which side asks: XTREME's paper looks for the English translation of each sentence."
    )


class Bucc(Benchmark):
    """Bitext mining (BUCC 2018)."""

    name: Literal["bucc"] = Field(description="Which benchmark this is.")
    score: Literal["margin", "cosine"] = Field(
        "margin", description="margin: cosine over the mean cosine of both sides' nearest neighbours. cosine: as it is."
    )
    neighbours: int = Field(4, ge=1, le=64, description="Nearest neighbours that are candidates and that the margin is over.")


class Ntrex(Benchmark):
    """Sentence retrieval in news (NTREX-128)."""

    name: Literal["ntrex"] = Field(description="Which benchmark this is.")
    pivot: Language = Field("en", description="Language that every other one is paired with.")


class WordAlignment(Benchmark):
    """Word alignments that people made against those that the encoder's states give."""

    name: Literal["word-alignment"] = Field(description="Which benchmark this is.")
    layer: int = Field(
        -1, ge=-1, description="Layer whose token states are compared; 0: the embeddings; -1: at three fifths of the depth."
    )
    extraction: Extraction = Field("softmax", description="How links are read from similarities, as in align.extraction.")
    threshold: float = Field(0.3, gt=0, lt=1, description="Least share of softmax for a link, in both directions.")
    index_base: Literal["published", 0, 1] = Field(
        "published", description="Number of a sentence's first word in the gold files; published: as each format was published."
    )


class FineTuned(Benchmark):
    """What every benchmark has that learns from English examples first. The defaults are XTREME's for mBERT."""

    train: str = Field(
        "",
        description="English examples that are learned: a file in the folder (plain or .gz; empty: train-en.tsv), or for kind "
        "huggingface another data set, whose split train is taken (empty: the English one's own; XTREME's XNLI has none: nyu-mll/multi_nli).",
    )
    examples: int = Field(0, ge=0, description="How many of them, from the first on; 0: all.")
    epochs: int = Field(5, ge=1, description="Passes over them; the one that does best on English dev is judged.")
    batch_size: int = Field(32, ge=1, description="Examples a step.")
    learning_rate: float = Field(2e-5, gt=0, description="Learning rate of Adam at the first step; it falls to 0.")
    max_length: int = Field(128, ge=8, description="Subwords of an example; longer sentences of words are read in pieces.")


class Xnli(FineTuned):
    """Natural language inference in 15 languages (XTREME)."""

    name: Literal["xnli"] = Field(description="Which benchmark this is.")


class Pawsx(FineTuned):
    """Paraphrase or not in 7 languages (XTREME)."""

    name: Literal["pawsx"] = Field(description="Which benchmark this is.")


class Udpos(FineTuned):
    """Part-of-speech tagging in 33 languages (XTREME)."""

    name: Literal["udpos"] = Field(description="Which benchmark this is.")
    epochs: int = Field(10, ge=1, description="Passes over the examples; the one that does best on English dev is judged.")


class Panx(FineTuned):
    """Named entities in 40 languages (XTREME)."""

    name: Literal["panx"] = Field(description="Which benchmark this is.")
    epochs: int = Field(10, ge=1, description="Passes over the examples; the one that does best on English dev is judged.")


AnyBenchmark = Annotated[Tatoeba | Bucc | Ntrex | WordAlignment | Xnli | Pawsx | Udpos | Panx, Field(discriminator="name")]


class Evaluate(Section):
    """How the base model and the trained one are compared."""

    tasks: tuple[Literal["sentence-retrieval", "word-retrieval"], ...] = Field(
        ("sentence-retrieval", "word-retrieval"),
        min_length=1,
        description="Benchmarks, each on the held-out pairs of every language.",
    )
    benchmarks: tuple[AnyBenchmark, ...] = Field((), description="Published benchmarks, besides the held-out pairs.")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        (0, 1, 2), min_length=1, description="Seeds of the benchmarks that fine-tune; the others draw nothing."
    )
    pooling: Pooling = Field(
        "search",
        description="Sentence vectors of the published benchmarks: what does best on a dev pair (search), for each model by itself, or mean over "
        "tokens of the layers of train.layers (trained), of the last or of layer N (0: the embeddings), or the last layer's first token (cls).",
    )
    pooling_dev: Language | None = Field(
        None, description="Target language whose held-out pairs `pooling: search` chooses by; null: the first that has any."
    )
    prefix: str = Field("", description="Text put before every sentence of the published benchmarks, as some encoders want it.")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Arithmetic of the encoders (fine-tuning on a GPU is always bf16 autocast); similarities are fp32."
    )
    resamples: int = Field(
        2000, ge=100, le=100_000, description="Draws of the bootstrap and of the randomisation test of each difference."
    )
    embedding_map_sentences: int = Field(
        8, ge=0, le=20, description="Sentences whose tokens are drawn in the map of the embedding space."
    )
    batch_rows: int = runtime_only(128, "Sentences encoded at once.", ge=1)
    device: str = runtime_only("auto", "auto, cpu, cuda or cuda:N.")

    @model_validator(mode="after")
    def _each_once(self) -> Evaluate:
        names = [benchmark.name for benchmark in self.benchmarks]
        if len(set(names)) != len(names):
            raise ValueError(f"benchmarks: each may be named once, given {names}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: each may be named once, given {list(self.seeds)}")
        return self
