"""Download: parallel text from published catalogues and from files, each pair with version and licence.

`download` is the stage. Every corpus (a package, a set of files) is an object that knows where it came from and yields rows; one
module a kind. Nothing is dropped or changed here: cleaning does that, by name.
"""

from mlctl.corpora.catalog.changes import SourceState, look, news, settled
from mlctl.corpora.corpus_cache import CorpusCache
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.stage import download, local_files

__all__ = ["CorpusCache", "Lockfile", "SourceState", "download", "local_files", "look", "news", "settled"]
