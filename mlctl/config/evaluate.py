"""The recipe's section `evaluate`: benchmarks, their data, and how the models are compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mlctl.config.align import Extraction
from mlctl.config.base import Language, Section, digested_elsewhere, runtime_only

#: Protocols of fine-tuning besides XTREME's.
Protocol = Literal["layer-mixture", "checkpoint-average"]
Pooling = Literal["auto", "trained", "last", "cls", "search"] | Annotated[int, Field(ge=0)]


class BenchmarkFolder(Section):
    """A folder with the published files of a benchmark."""

    kind: Literal["folder"]
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Folder of the files, plain or .gz.",
    )


class BenchmarkDataset(Section):
    """A data set in the hub's format, on the hub or in a folder."""

    kind: Literal["huggingface"]
    dataset: str = Field(min_length=1, description="Name on the hub such as google/xtreme, or a folder in the hub's format.")
    revision: str = Field("main", description="Branch, tag or commit; a commit needs no network after the first download.")


BenchmarkSource = Annotated[BenchmarkFolder | BenchmarkDataset, Field(discriminator="kind")]


class Benchmark(Section):
    """Settings of every benchmark."""

    source: BenchmarkSource = Field(description="Location of its data.")
    languages: tuple[Language, ...] = Field(
        (), description="Languages to evaluate; empty: all of the protocol that the data have and the encoder's tokenizer covers."
    )


class Tatoeba(Benchmark):
    """Sentence retrieval in 36 languages (XTREME)."""

    name: Literal["tatoeba"] = Field(description="Name of the benchmark.")
    direction: Literal["to-english", "from-english", "both"] = Field(
        "to-english", description="Direction of retrieval; XTREME's paper retrieves the English translation of each sentence."
    )


class Bucc(Benchmark):
    """Bitext mining (BUCC 2018)."""

    name: Literal["bucc"] = Field(description="Name of the benchmark.")
    score: Literal["margin", "cosine"] = Field(
        "margin",
        description="Score of a pair: margin divides the cosine by the mean cosine of both sentences with their nearest neighbours.",
    )
    neighbours: int = Field(
        4, ge=1, le=64, description="Nearest neighbours that are candidates, and that the margin averages over."
    )


class Ntrex(Benchmark):
    """Sentence retrieval in news (NTREX-128)."""

    name: Literal["ntrex"] = Field(description="Name of the benchmark.")
    pivot: Language = Field("en", description="Language that every other language is paired with.")


class WordAlignment(Benchmark):
    """Word alignment by the encoder's states, against gold alignments."""

    name: Literal["word-alignment"] = Field(description="Name of the benchmark.")
    layer: int = Field(
        -1, ge=-1, description="Layer whose token states are compared; 0: the embeddings; -1: at three fifths of the depth."
    )
    extraction: Extraction = Field("softmax", description="How links are extracted from similarities, as in align.extraction.")
    threshold: float = Field(0.3, gt=0, lt=1, description="Minimum softmax probability of a link, in both directions.")
    index_base: Literal["published", 0, 1] = Field(
        "published", description="Number of a sentence's first word in the gold files; published: that of each published format."
    )


class Flores(Benchmark):
    """Sentence retrieval and bitext mining among the same sentences in over 200 languages (FLORES+, xSIM, xSIM++)."""

    name: Literal["flores"] = Field(description="Name of the benchmark.")
    pivot: Language = Field("en", description="Language that every other language is paired with.")
    split: Literal["devtest", "dev"] = Field("devtest", description="Set of sentences.")
    neighbours: int = Field(4, ge=1, le=64, description="Nearest neighbours that the margin of xSIM averages over.")


class Lareqa(Benchmark):
    """Retrieval of answers from a pool of 11 languages (LAReQA on XQuAD-R, XTREME-R)."""

    name: Literal["lareqa"] = Field(description="Name of the benchmark.")
    context: bool = Field(
        True,
        description="Whether a candidate's text is its sentence and then its whole paragraph, as in XTREME-R; false: the sentence.",
    )


class Mewslix(Benchmark):
    """Retrieval of the entity that a mention in one of 11 languages refers to (Mewsli-X, XTREME-R)."""

    name: Literal["mewslix"] = Field(description="Name of the benchmark.")
    split: Literal["test", "dev"] = Field("test", description="Set of mentions.")
    candidates: int = Field(
        0, ge=0, description="Number of entities to retrieve from: those of the mentions, then the first of the file; 0: all."
    )


class Sts17(Benchmark):
    """Semantic similarity of sentences in two languages (STS 2017)."""

    name: Literal["sts17"] = Field(description="Name of the benchmark.")


class Sts22(Benchmark):
    """Similarity of news articles in two languages (SemEval 2022, task 8)."""

    name: Literal["sts22"] = Field(description="Name of the benchmark.")


class FineTuned(Benchmark):
    """Settings of every benchmark that fine-tunes on English examples. The defaults are XTREME's for mBERT."""

    train: str = Field(
        "",
        description="English training examples: a file in the folder (plain or .gz; empty: train-en.tsv), or for kind huggingface "
        "the name of another data set with a split train (empty: the benchmark's own split, or nyu-mll/multi_nli for XTREME's XNLI, which has none).",
    )
    examples: int = Field(0, ge=0, description="Number of training examples, from the first on; 0: all.")
    test_examples: int = Field(
        0, ge=0, description="Number of examples of every dev and test set, evenly spaced over the set; 0: all."
    )
    epochs: int = Field(
        5, ge=1, description="Passes over the examples; the epoch with the best score on English dev is evaluated."
    )
    batch_size: int = Field(32, ge=1, description="Examples a step.")
    learning_rate: float = Field(2e-5, gt=0, description="Learning rate of Adam at the first step; it decays linearly to 0.")
    max_length: int = Field(128, ge=8, description="Maximum number of subwords of an example; longer tagged sentences are split.")
    protocols: tuple[Protocol, ...] = Field(
        (),
        description="Also evaluate models that are fine-tuned otherwise, each as a task of its own: layer-mixture (the head reads a learned "
        "mixture of all layers, arXiv 2205.08497), checkpoint-average (mean of the weights after each epoch, arXiv 2305.16834).",
    )

    @field_validator("protocols")
    @classmethod
    def _check_protocols(cls, value: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"each may occur once, given {list(value)}")
        return value


class Xnli(FineTuned):
    """Natural language inference in 15 languages (XTREME)."""

    name: Literal["xnli"] = Field(description="Name of the benchmark.")


class Pawsx(FineTuned):
    """Paraphrase identification in 7 languages (XTREME)."""

    name: Literal["pawsx"] = Field(description="Name of the benchmark.")


class TranslateTrain(Section):
    """Training examples in the target languages: aligned training pairs whose English side is tagged, the tags carried over the links."""

    sentences: int = Field(1000, ge=1, description="Most examples of each language.")
    min_confidence: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Least confidence of a tag: link times tag for parts of speech; of each tag and link of an entity.",
    )
    min_coverage: float = Field(0.8, ge=0, le=1, description="Least share of an example's words that have a tag.")


class Tagging(FineTuned):
    """Settings of the benchmarks that tag words."""

    epochs: int = Field(
        10, ge=1, description="Passes over the examples; the epoch with the best score on English dev is evaluated."
    )
    translate_train: TranslateTrain | None = Field(
        None,
        description="Also evaluate models that are fine-tuned on examples in the target languages with projected labels; null: zero-shot alone.",
    )


class Udpos(Tagging):
    """Part-of-speech tagging in 33 languages (XTREME)."""

    name: Literal["udpos"] = Field(description="Name of the benchmark.")


class Panx(Tagging):
    """Named entity recognition in 40 languages (XTREME)."""

    name: Literal["panx"] = Field(description="Name of the benchmark.")


class QuestionAnswering(FineTuned):
    """Settings of the benchmarks that find the answer to a question in a text. The defaults are XTREME's."""

    train: str = Field(
        "",
        description="English training questions: a file in the folder (plain or .gz; empty: train-v1.1.json, TyDiQA: its own English part), or "
        "for kind huggingface the name of another data set with a split train (empty: SQuAD or the English part, as in XTREME).",
    )
    epochs: int = Field(3, ge=1, description="Passes over the examples; the last epoch is evaluated.")
    learning_rate: float = Field(3e-5, gt=0, description="Learning rate of Adam at the first step; it decays linearly to 0.")
    max_length: int = Field(
        384, ge=80, description="Maximum number of subwords of a row; a longer context is read in overlapping windows."
    )
    stride: int = Field(128, ge=1, description="Subwords of the context from the beginning of a window to that of the next one.")
    max_answer_length: int = Field(30, ge=1, description="Maximum number of subwords of an answer.")


class Xquad(QuestionAnswering):
    """Question answering in 11 languages (XTREME)."""

    name: Literal["xquad"] = Field(description="Name of the benchmark.")


class Mlqa(QuestionAnswering):
    """Question answering in 7 languages (XTREME)."""

    name: Literal["mlqa"] = Field(description="Name of the benchmark.")


class Tydiqa(QuestionAnswering):
    """Question answering in 9 languages, the gold passage task (XTREME)."""

    name: Literal["tydiqa"] = Field(description="Name of the benchmark.")


class Sib200(FineTuned):
    """Topic classification in over 200 languages (SIB-200). The defaults are those of its authors."""

    name: Literal["sib200"] = Field(description="Name of the benchmark.")
    train: str = Field(
        "",
        description="English training examples: a file in the folder (plain or .gz; empty: eng_Latn/train.tsv), or for kind huggingface "
        "the name of another data set with a split train (empty: the benchmark's own split).",
    )
    epochs: int = Field(
        20, ge=1, description="Passes over the examples; the epoch with the best score on English dev is evaluated."
    )
    learning_rate: float = Field(1e-5, gt=0, description="Learning rate of Adam at the first step; it decays linearly to 0.")
    max_length: int = Field(164, ge=8, description="Maximum number of subwords of a sentence.")


class Belebele(FineTuned):
    """Reading comprehension with four choices in 122 languages (Belebele). The defaults are RoBERTa's for RACE."""

    name: Literal["belebele"] = Field(description="Name of the benchmark.")
    train: str = Field(
        "",
        description="English training questions: a file in the folder (plain or .gz; empty: belebele_training_set.tsv), or for kind "
        "huggingface the name of a data set with splits train and validation (empty: ehovy/race).",
    )
    epochs: int = Field(
        4, ge=1, description="Passes over the questions; the epoch with the best score on English dev is evaluated."
    )
    batch_size: int = Field(16, ge=1, description="Questions a step.")
    learning_rate: float = Field(1e-5, gt=0, description="Learning rate of Adam at the first step; it decays linearly to 0.")
    max_length: int = Field(512, ge=16, description="Maximum number of subwords of passage, question and one choice together.")


AnyBenchmark = Annotated[
    Tatoeba
    | Bucc
    | Ntrex
    | Flores
    | Lareqa
    | Mewslix
    | Sts17
    | Sts22
    | WordAlignment
    | Xnli
    | Pawsx
    | Udpos
    | Panx
    | Xquad
    | Mlqa
    | Tydiqa
    | Sib200
    | Belebele,
    Field(discriminator="name"),
]


class Evaluate(Section):
    """Evaluation of the base and the trained model, and its statistics."""

    tasks: tuple[Literal["sentence-retrieval", "word-retrieval"], ...] = Field(
        ("sentence-retrieval", "word-retrieval"),
        min_length=1,
        description="Tasks on the held-out pairs of every language.",
    )
    benchmarks: tuple[AnyBenchmark, ...] = Field((), description="Published benchmarks, in addition to the held-out pairs.")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        (0, 1, 2), min_length=1, description="Seeds of fine-tuning; benchmarks that do not fine-tune are evaluated once."
    )
    pooling: Pooling = Field(
        "auto",
        description="Pooling of sentence embeddings in the published benchmarks: auto or trained (that of the trained model, as it is exported), "
        "search (the best on held-out dev pairs, for each model), the mean over tokens of the last layer (last) or of layer N (0: the "
        "embeddings), or the last layer's first token (cls). The base model as published always has its own.",
    )
    pooling_dev: Language | None = Field(
        None,
        description="Target language whose held-out pairs `pooling: search` selects on; null: the first one with held-out pairs.",
    )
    prefix: str | None = Field(
        None,
        description="Text added before every sentence in sentence retrieval; null: each model's own default prompt "
        "(config_sentence_transformers.json), if it has one.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Precision of the encoders (fine-tuning on a GPU always uses bf16 autocast); similarities are fp32."
    )
    resamples: int = Field(
        2000, ge=100, le=100_000, description="Resamples of the bootstrap and of the randomisation test of each difference."
    )
    embedding_map_sentences: int = Field(
        8, ge=0, le=20, description="Sentences whose tokens are shown in the map of the embedding space."
    )
    gradient_examples: int = Field(
        0,
        ge=0,
        description="English training examples of each benchmark that fine-tunes whose gradient is compared, layer by layer, with that of "
        "alignment on the held-out pairs (arXiv 2603.18863); 0: off.",
    )
    mteb: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Tasks and benchmarks that mteb's own runner evaluates both models on, by mteb's names, such as BelebeleRetrieval or "
        "MTEB(Multilingual, v2).",
    )
    changed_items: int = Field(
        10,
        ge=0,
        le=1000,
        description="Items of each task that training gained, and that it lost, whose text is stored: so many at random, and the surest. With "
        "them scores by length, and the geometry of the sentence vectors; 0: none of these.",
    )
    batch_rows: int = runtime_only(128, "Sentences in one batch of the encoder.", ge=1)
    device: str = runtime_only("auto", "Device: auto, cpu, cuda or cuda:N.")
    workers: int = runtime_only(
        0, "Processes that evaluate at the same time; 0: one for each GPU, or core as far as memory allows.", ge=0
    )

    @model_validator(mode="after")
    def _check_gradients(self) -> Evaluate:
        if self.gradient_examples and not any(isinstance(benchmark, FineTuned) for benchmark in self.benchmarks):
            raise ValueError(
                "gradient_examples needs a benchmark that fine-tunes: add udpos, panx, xnli, pawsx or sib200 to benchmarks, or set it to 0"
            )
        return self

    @property
    def projects_labels(self) -> bool:
        """Whether a benchmark is also evaluated in the mode translate-train, which reads the word alignment."""
        return any(isinstance(benchmark, Tagging) and benchmark.translate_train for benchmark in self.benchmarks)

    @model_validator(mode="after")
    def _check_unique(self) -> Evaluate:
        names = [benchmark.name for benchmark in self.benchmarks]
        if len(set(names)) != len(names):
            raise ValueError(f"benchmarks: each may occur once, given {names}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: each may occur once, given {list(self.seeds)}")
        return self
