"""Makes the pairs of mined and aligned corpora; what they need is imported only if there are some."""

from __future__ import annotations

from collections.abc import Sequence

from mlctl.core.workspace import Progress
from mlctl.corpora.corpus import Corpus
from mlctl.corpora.encoded_corpus import EncodedCorpus
from mlctl.execution.backend import ExecutionBackend


def make_pairs(corpora: Sequence[Corpus], workers: int, backend: ExecutionBackend, progress: Progress) -> None:
    """Run the unfinished steps of those corpora that are made with an encoder; see `mlctl.mining.runner.make_pairs`."""
    encoded = [corpus for corpus in corpora if isinstance(corpus, EncodedCorpus)]
    if not encoded:
        return
    from mlctl.corpora.aligned_corpus import AlignedCorpus
    from mlctl.corpora.mined_corpus import MinedCorpus
    from mlctl.mining import runner

    mining = [corpus.job for corpus in encoded if isinstance(corpus, MinedCorpus)]
    documents = [job for corpus in encoded if isinstance(corpus, AlignedCorpus) for job in corpus.jobs]
    runner.make_pairs(mining, documents, workers, backend, progress)
    for corpus in encoded:
        corpus.log()
