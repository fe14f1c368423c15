"""The plan of a corpus: which pairs are held out of training, and so which text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mlctl.config import Shard
from mlctl.sharding.decontamination import DecontaminationIndex, EvaluationText
from mlctl.sharding.excluded_text import DEV_PASSAGE, HELD_OUT_PASSAGE, ExcludedText
from mlctl.sharding.heldout import HeldoutPairs, choose_dev, choose_heldout


@dataclass(frozen=True)
class HeldoutPlan:
    """The held-out pairs, the dev pairs, and all text that is not trained on."""

    heldout: HeldoutPairs
    dev: HeldoutPairs
    excluded: ExcludedText

    @classmethod
    def choose(
        cls, settings: Shard, candidates: Mapping[str, pa.Table], pairs: Mapping[str, int], sets: Iterable[EvaluationText]
    ) -> HeldoutPlan:
        """Choose the pairs that are held out among the candidates of each language, which has so many `pairs`."""
        index = DecontaminationIndex.build(sets)
        heldout = choose_heldout(settings, candidates, pairs)
        index = index.with_set(0, HELD_OUT_PASSAGE, heldout.texts())
        dev = choose_dev(settings, candidates, pairs, index.have_text)
        index = index.with_set(1, DEV_PASSAGE, dev.texts())
        return cls(heldout, dev, ExcludedText(heldout.identities, dev.identities, index))
