"""A model under judgement: what every benchmark asks it through, the same for the base and the trained one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.config import Evaluate, Model
from mlctl.evaluation.metrics.item_scores import Outcome, of_hits
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.modeling import model_sources

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mlctl.evaluation.data.heldout import Heldout
    from mlctl.evaluation.embedding.sentence_embeddings import Pool
    from mlctl.modeling.word_encoder import WordEncoder

_REVISION = 1  # of the search, see Card.revision
_log = logging.getLogger(__name__)


class ModelUnderTest:
    """A model under judgement.

    Args:
        name: "base" or "trained".
        folder: a Hugging Face folder with the encoder.
        tokenizer: the folder of its tokenizer, the shards' own.
        settings: how to compute and pool.
        parts: where what is found out about it is kept.
        dev: held-out pairs of the language that `pooling: search` chooses by.
        places: of the layers that the trained model is pooled from, as `pooling.layer_indices` returns them: both are judged alike.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        tokenizer: Path,
        settings: Evaluate,
        parts: ScoreCache,
        dev: Heldout,
        places: Sequence[int],
    ) -> None:
        self.name, self.folder, self.settings, self.parts = name, folder, settings, parts
        self._words, self._dev = tokenizer, dev
        self._places = tuple(places)
        #: Told what it is learning, while it does: `f(text)`.
        self.say: Callable[[str], object] = str
        self._known: dict[str, Tensor] = {}
        self._loaded: PreTrainedModel | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What of the model can change a score: the digests of its weights and tokenizer, and the arithmetic."""
        weights = model_sources.identity(Model(name=str(self.folder)), "weights")
        tokenizer = model_sources.files_digest(model_sources.tokenizer_files(self._words))
        return {"weights": weights, "tokenizer": tokenizer, "layers": self._places, "precision": self.settings.precision}

    @property
    def encoder(self) -> PreTrainedModel:
        """The encoder, in evaluation mode."""
        return self.encoder_for(0)

    def encoder_for(self, largest_id: int) -> PreTrainedModel:
        """Return the encoder, loaded when it is first asked for.

        Raises:
            InputError: it has no embedding for a token `largest_id`, or the device is not there.
        """
        from mlctl.evaluation.embedding import token_embeddings

        if self._loaded is None:
            self._loaded = token_embeddings.open_encoder(self.folder, self.settings.device, self.settings.precision)
            self._loaded.pooled_layers = self._places
        token_embeddings.check_vocabulary(self._loaded, self.folder, largest_id)
        return self._loaded

    @property
    def device(self) -> torch.device:
        """What it is computed on.

        Raises:
            InputError: it is not there.
        """
        from mlctl.modeling.devices import resolve_device

        return resolve_device(self.settings.device, "evaluate.device")

    def word_encoder(self, layer: int) -> WordEncoder:
        """Return what gives the states of words at a layer; it is an encoder of its own, cut off above that layer."""
        from mlctl.evaluation.embedding.token_embeddings import DTYPES
        from mlctl.modeling.word_encoder import WordEncoder

        return WordEncoder(self.folder, layer, self.device, DTYPES[self.settings.precision])

    def release(self) -> None:
        """Forget the encoder and what was remembered of texts."""
        self._loaded = None
        self._known.clear()

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's own tokenizer."""
        from mlctl.modeling.encoders import load_tokenizer

        tokenizer: PreTrainedTokenizerBase = load_tokenizer(self._words)
        return tokenizer

    @cached_property
    def pooling(self) -> Pool:
        """How its sentence vectors are made: as the recipe says, or what `tried` is best with (of equals the first)."""
        if self.settings.pooling != "search":
            return self.settings.pooling
        accuracy = dict(self.tried)
        best = max(accuracy, key=lambda pool: accuracy[pool])
        _log.info(
            "%s: pooling %s is best on the dev pairs en–%s (%.1f%%)", self.name, best, self._dev.language, 100 * accuracy[best]
        )
        return best

    @cached_property
    def tried(self) -> list[tuple[Pool, float]]:
        """Accuracy of every pooling on the dev pairs, both directions."""
        identity = {"task": "pooling", "revision": _REVISION, "model": self.identity, "dev": self._dev_digest(), **self.asked}
        found = self.parts.outcomes(identity, self._search)
        return [(outcome.notes["pooling"], outcome.figures["accuracy"]) for outcome in found]

    def longest(self, wanted: int) -> int:
        """Return how many tokens a sequence may have where `wanted` are asked for: as many as the encoder has positions, at most."""
        from mlctl.modeling.encoders import max_positions

        return min(wanted, max_positions(self.encoder))

    @property
    def bf16(self) -> bool:
        """Whether the recipe asks for bf16."""
        return self.settings.precision == "bf16"

    @property
    def asked(self) -> dict[str, Any]:
        """What of the settings changes the vector of a text."""
        return {"prefix": self.settings.prefix}

    def described(self, pooled: bool) -> dict[str, Any]:
        """Return what is said of the model: its digests and, where vectors of texts were `pooled`, how, and what was tried."""
        said: dict[str, Any] = {**self.identity, **self.asked}
        if pooled:
            said["pooling"] = self.pooling
        if pooled and self.settings.pooling == "search":
            said["tried"] = {"language": self._dev.language, "accuracy": {str(pool): figure for pool, figure in self.tried}}
        return said

    def vectors(self, texts: Sequence[str], remember: bool = False) -> Tensor:
        """Return sentence vectors (N, H), fp32, on the encoder's device.

        `remember` those texts: benchmarks of many languages ask for the same English sentences again and again.
        """
        if not remember:
            return self._embed(texts, [self.pooling])[0]
        import torch

        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._embed(new, [self.pooling])[0], strict=True))
        return torch.stack([self._known[text] for text in texts])

    def _embed(self, texts: Sequence[str], wanted: Sequence[Pool]) -> list[Tensor]:
        from mlctl.evaluation.embedding.sentence_embeddings import embed

        prefixed = [self.settings.prefix + text for text in texts]
        return embed(self.encoder, self.tokenizer, prefixed, wanted, self.settings.batch_rows)

    def _search(self) -> list[Outcome]:
        """Ask for the translation of every dev sentence, both ways, with every pooling."""
        import torch

        from mlctl.evaluation.embedding.sentence_embeddings import poolings
        from mlctl.evaluation.metrics.retrieval import hits

        pools, dev = poolings(self.encoder), self._dev
        both = torch.tensor([dev.source.identities, dev.target.identities]).T
        sides = zip(self._embed(dev.source.texts, pools), self._embed(dev.target.texts, pools), strict=True)
        names = [f"{way}{row}" for way in "<>" for row in range(len(dev))]
        found = []
        for pool, (left, right) in zip(pools, sides, strict=True):
            right_ones = torch.cat([hits(right, left, both), hits(left, right, both)]).cpu().numpy()
            outcome = of_hits("pooling", f"{dev.language}↔", right_ones, names)
            found.append(Outcome(**{**vars(outcome), "notes": {"pooling": pool}}))
        return found

    def _dev_digest(self) -> str:
        text = "\0".join((self._dev.language, *self._dev.source.texts, "\1", *self._dev.target.texts))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
