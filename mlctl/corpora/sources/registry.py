"""The source kinds by the class of their settings."""

from __future__ import annotations

from typing import Any

from mlctl import config
from mlctl.config import Download, Languages, Source
from mlctl.corpora.sources.documents import DocumentsKind
from mlctl.corpora.sources.files import FilesKind
from mlctl.corpora.sources.huggingface import HuggingfaceKind
from mlctl.corpora.sources.locales import LocalesKind
from mlctl.corpora.sources.mine import MineKind
from mlctl.corpora.sources.mtdata import MtdataKind
from mlctl.corpora.sources.opus import OpusKind
from mlctl.corpora.sources.source_kind import SourceKind
from mlctl.corpora.sources.url import UrlKind

SOURCE_KINDS: dict[type[Any], type[SourceKind[Any]]] = {
    config.DocumentsSource: DocumentsKind,
    config.FilesSource: FilesKind,
    config.HuggingfaceSource: HuggingfaceKind,
    config.LocalesSource: LocalesKind,
    config.MineSource: MineKind,
    config.MtdataSource: MtdataKind,
    config.OpusSource: OpusKind,
    config.UrlSource: UrlKind,
}


def source_kind(source: Source, settings: Download, languages: Languages) -> SourceKind[Any]:
    """Return the implementation of a source."""
    return SOURCE_KINDS[type(source)](source, settings, languages)


def source_kinds(settings: Download, languages: Languages) -> list[SourceKind[Any]]:
    """Return the implementations of all sources of a recipe, in its order."""
    return [source_kind(source, settings, languages) for source in settings.sources]
