"""The recipe and its sections, one module each."""

from mlctl.config.align import Align
from mlctl.config.base import Language, Section, key_settings, runtime_only
from mlctl.config.clean import Clean
from mlctl.config.download import Download
from mlctl.config.evaluate import Evaluate
from mlctl.config.languages import Languages
from mlctl.config.licences import Licences
from mlctl.config.mining_sources import DocumentsSource, MineSource
from mlctl.config.model import Model, ScratchModel
from mlctl.config.recipe import Recipe, load, parse, resolve
from mlctl.config.report import Report
from mlctl.config.retrain import Retrain
from mlctl.config.shard import EvaluationSet, Shard
from mlctl.config.sources import (
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
    source_name,
)
from mlctl.config.train import Train
from mlctl.config.train_defaults import MAX_DEV_PAIRS, ModelKind, ResolvedTrain, resolve_train
from mlctl.config.translate import DevSet, Translate

# fmt: off
__all__ = [
    "MAX_DEV_PAIRS",
    "Align",
    "Clean",
    "Column",
    "DevSet",
    "DocumentsSource",
    "Download",
    "Evaluate",
    "EvaluationSet",
    "FileFormat",
    "FilesSource",
    "HuggingfaceSource",
    "Language",
    "Languages",
    "Licences",
    "LocalesSource",
    "MineSource",
    "Model",
    "ModelKind",
    "MtdataSource",
    "OpusSource",
    "Recipe",
    "Report",
    "ResolvedTrain",
    "Retrain",
    "ScratchModel",
    "Section",
    "Shard",
    "Side",
    "Source",
    "Train",
    "Translate",
    "UrlSource",
    "WebAddress",
    "key_settings",
    "load",
    "parse",
    "resolve",
    "resolve_train",
    "runtime_only",
    "source_name",
]
# fmt: on
