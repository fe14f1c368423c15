"""Download stage: parallel text from published corpora and local files, each sentence pair with its version and licence.

`download` is the entry point. A recipe's source is handled by its kind (`sources/`, one module for each), which yields corpora:
objects that have provenance and yield rows. Text is stored unchanged; the clean stage normalises and filters it.
"""

from mlctl.corpora.catalog.changes import diff_sources, inspect_sources, settled_state
from mlctl.corpora.corpus_cache import CorpusCache
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.source_checks import find_problems
from mlctl.corpora.sources.source_state import SourceState
from mlctl.corpora.stage import download, local_files

__all__ = [
    "CorpusCache",
    "Lockfile",
    "SourceState",
    "diff_sources",
    "download",
    "find_problems",
    "inspect_sources",
    "local_files",
    "settled_state",
]
