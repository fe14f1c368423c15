"""Settings of the sources that make pairs with a sentence encoder: mined from monolingual text, and from aligned documents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mlctl.config.base import Language, Section, digested_elsewhere, runtime_only

_MODEL = (
    "Folder or hub name of a sentence encoder (sentence-transformers, or any encoder: mean of its last layer); champion: the "
    "champion of the recipe, before there is one `model.name`."
)
_PROMPT = (
    "Text that is put before each sentence, as some encoders need it (`query: `); empty: that which the encoder's folder states."
)
_SPLIT = "sentences: a line is a paragraph, and is split into sentences. lines: a line is a sentence."


class MineSource(Section):
    """Pairs mined from monolingual text of both languages: sentences whose vectors are mutual nearest neighbours by margin."""

    kind: Literal["mine"] = "mine"
    name: str = Field(min_length=1, description="Name of the corpus, shown in reports.")
    source: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Text in the source language: a folder (all files in it), or a file pattern with *; {target} stands for the "
        "target language. Files are plain, .gz, .xz or .zst.",
    )
    target: str = digested_elsewhere(
        ..., min_length=1, description="Text in the target language, as `source`; {target} stands for the target language."
    )
    split: Literal["sentences", "lines"] = Field("sentences", description=_SPLIT)
    max_sentence_characters: int = Field(600, ge=1, description="Maximum characters of a sentence; longer ones are left out.")
    min_sentence_letters: int = Field(2, ge=1, description="Minimum letters of a sentence; others (numbers, rules) are left out.")
    model: str = digested_elsewhere(..., min_length=1, description=_MODEL)
    revision: str = Field("main", min_length=1, description="Revision of an encoder from the hub.")
    prompt: str = Field("", description=_PROMPT)
    neighbours: int = Field(4, ge=1, le=64, description="Nearest neighbours k of each sentence, which the margin is relative to.")
    min_margin: float | None = Field(None, gt=0, description="Minimum margin of a pair.")
    min_percentile: float | None = Field(
        None,
        ge=0,
        lt=100,
        description="Percentile of the margins of all mutual nearest neighbours below which pairs are left out.",
    )
    dev: str = digested_elsewhere(
        "",
        description="Parallel text whose sentences are planted in the text: the minimum margin is the one with the best F1 on them. A "
        "file for each side, with {language} (and {target}) as in kind `files`, one sentence per line.",
    )
    max_pairs: int = Field(0, ge=0, description="Maximum pairs of each target language, the best; 0: no limit.")
    index: Literal["auto", "exact", "ivf"] = Field(
        "auto",
        description="Search. exact: all vectors are compared. ivf: those in the nearest clusters (extra `mine`). auto: exact up to "
        "10^11 comparisons.",
    )
    nlist: int = Field(0, ge=0, description="Clusters of the index (ivf); 0: twice the square root of the number of sentences.")
    nprobe: int = Field(64, ge=1, description="Clusters that are searched (ivf).")
    device: str = runtime_only("auto", "Device of the encoder: auto (a GPU where there is one), cpu, cuda or cuda:N.")
    targets: tuple[Language, ...] = Field((), description="Target languages of this corpus; empty: all of the recipe.")
    version: str = Field("", description="Version of the corpus, stored with every pair.")
    licence: str = Field("unknown", description="Licence of the text (SPDX id), stored with every pair.")

    @model_validator(mode="after")
    def _has_one_threshold(self) -> MineSource:
        given = [name for name in ("min_margin", "min_percentile", "dev") if getattr(self, name) not in (None, "")]
        if len(given) != 1:
            raise ValueError(f"set one of min_margin, min_percentile and dev, given {' and '.join(given) or 'none'}")
        if self.index != "ivf" and self.nlist:
            raise ValueError("nlist is only for `index: ivf`")
        return self


class DocumentsSource(Section):
    """Pairs from documents and their translations: their sentences are aligned in order, by vectors and lengths."""

    kind: Literal["documents"] = "documents"
    name: str = Field(min_length=1, description="Name of the corpus, shown in reports.")
    source: str = digested_elsewhere(
        "",
        description="Documents in the source language: a folder, or a file pattern with one *; {target} stands for the target "
        "language. The document of the other side has the same name in its folder, or the same text for *.",
    )
    target: str = digested_elsewhere("", description="Documents in the target language, as `source`.")
    table: str = digested_elsewhere(
        "",
        description="Instead of both: a TSV file with a document and its translation a line; {target} stands for the target language.",
    )
    cells: Literal["paths", "texts", "urls"] = Field(
        "paths",
        description="What the table has. paths: files, relative to the table's folder. texts: the text, `\\n` for a line end. urls: "
        "URLs of plain text, fetched and pinned as in kind `url`.",
    )
    split: Literal["sentences", "lines"] = Field("sentences", description=_SPLIT)
    model: str = digested_elsewhere(..., min_length=1, description=_MODEL)
    revision: str = Field("main", min_length=1, description="Revision of an encoder from the hub.")
    prompt: str = Field("", description=_PROMPT)
    max_merge: int = Field(4, ge=1, le=8, description="Maximum sentences of one side that are aligned with one of the other.")
    min_score: float = Field(
        0.3, ge=-1, le=1, description="Minimum score of a pair: 0 is as similar as two sentences at random, 1 is equal vectors."
    )
    device: str = runtime_only("auto", "Device of the encoder: auto (a GPU where there is one), cpu, cuda or cuda:N.")
    targets: tuple[Language, ...] = Field((), description="Target languages of this corpus; empty: all of the recipe.")
    version: str = Field("", description="Version of the corpus, stored with every pair.")
    licence: str = Field("unknown", description="Licence of the text (SPDX id), stored with every pair.")

    @model_validator(mode="after")
    def _names_documents(self) -> DocumentsSource:
        if bool(self.table) == bool(self.source or self.target) or bool(self.source) != bool(self.target):
            raise ValueError("set source and target, or table")
        if self.cells != "paths" and not self.table:
            raise ValueError("cells is only for a table")
        return self
