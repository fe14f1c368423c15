"""UDPOS: part-of-speech tagging."""

from __future__ import annotations

from mlctl import languages as codes
from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.tagging import TaggingTask

_XTREME_CODES = "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh".split()


class UdposTask(TaggingTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="udpos",
        title="UDPOS",
        citation="Nivre et al. 2018 (Universal Dependencies 2.5); Hu et al. 2020 (XTREME, arXiv 2003.11080)",
        licence="CC BY-SA and CC BY-NC-SA, by treebank",
        languages=tuple(map(codes.canonical, _XTREME_CODES)),
        metric="f1",
        revision=3,
        protocol="Fine-tuned on English; the tag of a word is that of its first subword. The epoch with the best score on English "
        "dev is evaluated on each language's test set. The main metric is the F1 of runs of equal tags, as in XTREME's "
        "script; accuracy is reported, too.",
        fine_tuned=True,
    )
    labels = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _".split())
    xtreme_codes = _XTREME_CODES
    tags_entities = False

    @staticmethod
    def xtreme_subset(language: str, code: str) -> str:
        """Return e.g. "udpos.German"."""
        return f"udpos.{'Tagalog' if code == 'tl' else codes.name(language)}"
