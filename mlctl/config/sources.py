"""The sources of text that a recipe can name, one model a kind."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from mlctl.config.base import Language, Section, digested_elsewhere
from mlctl.core.url_redaction import redact_url


class LocalesSource(Section):
    """Human translations published in Python packages: gettext catalogues of wheels from the package index."""

    kind: Literal["locales"] = "locales"
    packages: tuple[str, ...] = Field(
        min_length=1, description="Packages as pip names them; pin versions (`Django==5.2.8`) to keep a result the same."
    )
    licence: str = Field("", description="Licence of the text of all these packages (SPDX id); empty: what each package states.")


FileFormat = Literal["moses", "tsv", "lines", "jsonl", "parquet", "tmx", "xliff", "po"]
# YAML reads a column's number as a number.
Column = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value), Field(min_length=1)]
Side = Literal["source", "target"]
_BACK = "side 'target' is for text that stands alone"
_WITH_COLUMNS = ("tsv", "jsonl", "parquet")


class FilesSource(Section):
    """Text on disk in one of the usual formats, plain, .gz, .xz, .zst or .zip; with both sides or with one."""

    kind: Literal["files"] = "files"
    name: str = Field(min_length=1, description="Name of the corpus, shown in reports.")
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="File pattern: {language} stands for a side's language (Moses: one file a side), {target} for the target "
        "language. `data/x.{language}` reads x.en and x.fr; `x.en-{target}.tsv` reads x.en-fr.tsv.",
    )
    format: FileFormat = Field(
        "moses",
        description="moses: a line a sentence, one file a side. tsv: source TAB target. lines: one side only, to be translated. "
        "jsonl: an object a line. parquet. tmx, xliff, po: translation memories and catalogues.",
    )
    columns: tuple[Column, ...] = Field(
        (),
        max_length=2,
        description="Columns of source and target: names (jsonl, parquet; {language} and {target} are replaced by codes) or numbers "
        "from 1 (tsv). One name: a column of translations by language, or text without translation. Empty: `translation`, else "
        "columns named by language codes (tsv: the first two).",
    )
    side: Side = Field(
        "source",
        description="Language of text that stands alone (`lines`, one column). source: it is translated into each target language. "
        "target: people wrote it in the target language, and it is translated back.",
    )
    member: str = Field(
        "", description="File to read in a .zip that holds several; {language} and {target} stand for codes as in `path`."
    )
    targets: tuple[Language, ...] = Field((), description="Target languages that this corpus has; empty: all of the recipe.")
    version: str = Field("", description="Version of the corpus, for the record.")
    licence: str = Field("unknown", description="Licence of the text (SPDX id), carried with every pair.")

    @model_validator(mode="after")
    def _settings_fit(self) -> FilesSource:
        if self.columns and self.format not in _WITH_COLUMNS:
            raise ValueError(f"format {self.format!r} has no columns: `columns` goes with {', '.join(_WITH_COLUMNS)}")
        if self.format == "tsv" and not all(column.isdecimal() and int(column) for column in self.columns):
            raise ValueError(f"columns of a tsv are numbers from 1, given {list(self.columns)}")
        if self.side == "target" and self.format != "lines" and len(self.columns) != 1:
            raise ValueError(f"{_BACK}: set `format: lines`, or name one column in `columns`")
        return self


def plain_url(address: str) -> str:
    """Let through addresses of the web that show no password: they are written into records."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{redact_url(address)!r} is no http or https address")
    if "@" in parts.netloc:
        raise ValueError("an address may hold no user name or password: it is written into records")
    return address


WebAddress = Annotated[str, AfterValidator(plain_url)]
Codes = dict[Language, str]


class UrlSource(Section):
    """Text at an address of the web: a file, or a member of an archive (.zip, .tar, .tar.gz, .tar.xz, .tar.zst, .gz, .xz, .zst)."""

    kind: Literal["url"] = "url"
    name: str = Field(min_length=1, description="Name of the corpus, shown in reports.")
    urls: tuple[WebAddress, ...] = Field(
        min_length=1,
        description="Address of the file and its mirrors (the same bytes), tried in this order; {language} stands for a side's "
        "language, {target} for the target language.",
    )
    member: str = Field(
        "", description="Member of the archive, with {language} and {target}; empty: the only one, or the file is no archive."
    )
    format: FileFormat = Field("moses", description="Format of the text, as for kind `files`.")
    columns: tuple[Column, ...] = Field((), max_length=2, description="Columns of source and target, as for kind `files`.")
    side: Side = Field("source", description="Language of text that stands alone, as for kind `files`.")
    codes: Codes = Field({}, description="What addresses and members call a language where it is not its tag: {zh: zh_CN}.")
    sha256: str = Field(
        "", pattern="^([0-9a-f]{64})?$", description="Digest that the file must have; empty: what download.lock says."
    )
    targets: tuple[Language, ...] = Field((), description="Target languages that this corpus has; empty: all of the recipe.")
    version: str = Field("", description="Version of the corpus, for the record.")
    licence: str = Field("unknown", description="Licence of the text (SPDX id), carried with every pair.")

    @model_validator(mode="after")
    def _url_settings_fit(self) -> UrlSource:
        text = " ".join((*self.urls, self.member))
        if unknown := sorted(set(re.findall(r"\{(.*?)\}", text)) - {"language", "target"}):
            raise ValueError(f"unknown placeholder {{{unknown[0]}}}: use {{language}} or {{target}}")
        if self.format == "moses" and "{language}" not in text:
            raise ValueError("moses text has one file a side: write {language} in urls or member where the side's code is")
        if self.sha256 and "{" in "".join(self.urls):
            raise ValueError("sha256 is of one file, and urls with {language} or {target} name several: leave it empty")
        try:
            FilesSource(name=self.name, path="-", format=self.format, columns=self.columns, side=self.side)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return self


class OpusSource(Section):
    """A corpus of OPUS (opus.nlpl.eu): its Moses archives, its translation memories or its text in one language."""

    kind: Literal["opus"] = "opus"
    corpus: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", description="Name of the corpus as OPUS writes it: Tatoeba.")
    version: str = Field(
        "latest",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Release, such as v2023-04-12; latest: the newest at the first run, kept by download.lock afterwards.",
    )
    format: Literal["moses", "tmx", "mono"] = Field(
        "moses",
        description="What is read of a release. moses: pairs, a file a side. tmx: pairs in a translation memory, where there is no "
        "Moses archive. mono: all that it has in one language, to be translated.",
    )
    side: Side = Field("source", description="Language of `mono` text, as for kind `files`: the source language or the targets.")
    codes: Codes = Field({}, description="What OPUS calls a language where it is not its tag: {zh: zh_CN}.")
    targets: tuple[Language, ...] = Field((), description="Target languages wanted; empty: those of the recipe that it has.")
    licence: str = Field("", description="Licence of the text (SPDX id); empty: what a Moses archive names, else unknown.")

    @model_validator(mode="after")
    def _opus_settings_fit(self) -> OpusSource:
        if self.side == "target" and self.format != "mono":
            raise ValueError(f"{_BACK}: set `format: mono`")
        return self


class HuggingfaceSource(Section):
    """A data set in the format of the Hugging Face hub, with a column of translations or with two columns of text."""

    kind: Literal["huggingface"] = "huggingface"
    dataset: str = Field(min_length=1, description="Folder, or name on the hub such as Helsinki-NLP/opus-100.")
    name: str = Field("", description="Name of the corpus, shown in reports; empty: the data set's.")
    subset: str = Field(
        "",
        description="Subset (configuration); {target} stands for the target language, {pair} for both in alphabetical order (de-en).",
    )
    split: str = Field("train", min_length=1, description="Split that is read.")
    revision: str = Field(
        "main", min_length=1, description="Commit, branch or tag on the hub; a commit keeps the result the same."
    )
    columns: tuple[Column, ...] = Field((), max_length=2, description="Columns of source and target, as for kind `files`.")
    side: Side = Field("source", description="Language of text that stands alone, as for kind `files`.")
    targets: tuple[Language, ...] = Field((), description="Target languages that this corpus has; empty: all of the recipe.")
    licence: str = Field("", description="Licence of the text (SPDX id); empty: what the data set's card says.")

    @model_validator(mode="after")
    def _hub_settings_fit(self) -> HuggingfaceSource:
        if self.side == "target" and len(self.columns) != 1:
            raise ValueError(f"{_BACK}: name its column in `columns`")
        return self


class MtdataSource(Section):
    """A corpus of the index of mtdata (github.com/thammegowda/mtdata): it knows where the text lies, mlctl fetches and reads it."""

    kind: Literal["mtdata"] = "mtdata"
    id: str = Field(
        pattern=r"^[^\s-]+-[^\s-]+-[^\s-]+-[^\s-]+(-[^\s-]+)?$",
        description="Id in the index, group-name-version-language-language: Statmt-europarl-9-deu-eng. The languages may be in either "
        "order; with one language it is text without translation.",
    )
    targets: tuple[Language, ...] = Field((), description="Target languages that this corpus has; empty: all of the recipe.")
    licence: str = Field(
        "", description="Licence of the text (SPDX id); empty: what the index or an archive of OPUS names, else unknown."
    )


Source = Annotated[
    LocalesSource | FilesSource | UrlSource | OpusSource | HuggingfaceSource | MtdataSource, Field(discriminator="kind")
]
