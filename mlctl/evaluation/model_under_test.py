"""Encoder under evaluation: loads it on first use and caches its sentence embeddings. All models use the same code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.modeling import model_sources
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, describe_pooling

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mlctl.evaluation.data.heldout import Heldout
    from mlctl.modeling.word_encoder import WordEncoder

_log = logging.getLogger(__name__)


class ModelDigests(NamedTuple):
    """Digests of a model's weights and of its tokenizer."""

    weights: str
    tokenizer: str

    @classmethod
    def read(cls, folder: Path, tokenizer: Path) -> ModelDigests:
        """Compute the digests of the files in the model's and the tokenizer's folder."""
        return cls(model_sources.weights_digest(folder), model_sources.files_digest(model_sources.tokenizer_files(tokenizer)))


class ModelUnderTest:
    """Encoder under evaluation.

    Args:
        name: of the model in the tables.
        folder: Hugging Face folder of the encoder.
        tokenizer: folder of its tokenizer, the one that the shards were made with.
        settings: arithmetic, device and batch size.
        cache: stores its scores and fine-tuned models.
        dev: held-out pairs of the language that `pooling: search` selects the pooling on; None: there are none.
        sentences: how it makes sentence vectors: pooling, prompt, maximum length; the modules of the pooling are read from its folder.
        pooling: as `evaluate.pooling`, of its sentence embeddings in the published benchmarks.
        digests: of its weights and its tokenizer, where they are known; None: they are computed when they are needed.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        tokenizer: Path,
        settings: Evaluate,
        cache: ScoreCache,
        dev: Heldout | None,
        sentences: SentenceConfig,
        pooling: str | int = "auto",
        digests: ModelDigests | None = None,
    ) -> None:
        self.name, self.folder, self.settings, self.cache = name, folder, settings, cache
        self._tokenizer_folder, self._dev = tokenizer, dev
        self.sentences, self._pooling_setting, self._digests = sentences, pooling, digests
        #: Progress callback during fine-tuning, called with a text.
        self.on_progress: Callable[[str], object] = str
        self._embedding_cache: tuple[Sequence[str], Tensor] | None = None
        self._encoder: PreTrainedModel | None = None
        self._sentence_modules: nn.Module | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What can change its states: the digests of weights and tokenizer, and the arithmetic."""
        digests = self._digests or ModelDigests.read(self.folder, self._tokenizer_folder)
        return {**digests._asdict(), "precision": self.settings.precision}

    @property
    def encoder(self) -> PreTrainedModel:
        """The encoder, in evaluation mode."""
        return self.encoder_for(0)

    def encoder_for(self, largest_id: int) -> PreTrainedModel:
        """Return the encoder, loaded on first use.

        Raises:
            InputError: it has no embedding for the token `largest_id`, or the device is not available.
        """
        from mlctl.evaluation.embedding import token_embeddings

        if self._encoder is None:
            self._encoder = token_embeddings.open_encoder(self.folder, self.settings.device, self.settings.precision)
        token_embeddings.check_vocabulary(self._encoder, self.folder, largest_id)
        return self._encoder

    @property
    def sentence_modules(self) -> nn.Module:
        """The modules of its own pooling, loaded on first use.

        Raises:
            InputError: they do not fit the encoder, or are damaged.
        """
        from mlctl.modeling.sentence_module_layers import load_sentence_modules

        if self._sentence_modules is None:
            hidden, own = self.encoder.config.hidden_size, self.sentences
            self._sentence_modules = load_sentence_modules(own.folder, own.pooling, hidden).to(self.encoder.device)
        return self._sentence_modules

    @property
    def device(self) -> torch.device:
        """Device that the model runs on.

        Raises:
            InputError: it is not available.
        """
        from mlctl.modeling.devices import resolve_device

        return resolve_device(self.settings.device, "evaluate.device")

    def word_encoder(self, layer: int) -> WordEncoder:
        """Return an encoder of words by their states at a layer; it is loaded separately, without the layers above."""
        from mlctl.evaluation.embedding.token_embeddings import DTYPES
        from mlctl.modeling.word_encoder import WordEncoder

        return WordEncoder(self.folder, layer, self.device, DTYPES[self.settings.precision])

    def release(self) -> None:
        """Free the encoder and the cached embeddings."""
        self._encoder = self._sentence_modules = None
        self._embedding_cache = None

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        from mlctl.modeling.encoders import load_tokenizer

        tokenizer: PreTrainedTokenizerBase = load_tokenizer(self._tokenizer_folder)
        return tokenizer

    @cached_property
    def pooling(self) -> Pooling:
        """Pooling of its sentence embeddings in the published benchmarks: as set, or that with the best dev accuracy (the first of equals)."""
        from mlctl.evaluation.embedding.poolings import pooling_of

        if not self.searches_pooling:
            return pooling_of(self._pooling_setting, self.sentences.pooling, self._depth)
        accuracies = self.pooling_accuracies
        best = max(accuracies, key=lambda pooling: accuracies[pooling])
        _log.info(
            "%s: %s has the best accuracy on the dev pairs en–%s (%.1f%%)",
            self.name,
            describe_pooling(best),
            self._dev_pairs.language,
            100 * accuracies[best],
        )
        return best

    @property
    def searches_pooling(self) -> bool:
        """Whether its pooling in the published benchmarks is the best on the dev pairs."""
        return self._pooling_setting == "search"

    @property
    def pooling_search(self) -> dict[str, Any]:
        """The cache identity of its pooling search."""
        from mlctl.evaluation.embedding import pooling_search

        settings = {**self.embedding_settings, "own": self.sentences.pooling.as_json()}
        return pooling_search.identity(self.identity, self._dev_pairs, settings)

    @cached_property
    def pooling_accuracies(self) -> Mapping[Pooling, float]:
        """Retrieval accuracy of every pooling on the dev pairs, mean of both directions."""
        from mlctl.evaluation.embedding import pooling_search
        from mlctl.evaluation.embedding.poolings import all_poolings

        poolings = all_poolings(self.sentences.pooling, self._depth)
        results = self.cache.get_or_compute(
            self.pooling_search, lambda: pooling_search.evaluate(poolings, self._dev_pairs, self.embed_with_poolings)
        )
        return {Pooling.from_json(result.notes["pooling"]): result.metrics["accuracy"] for result in results}

    @property
    def _dev_pairs(self) -> Heldout:
        if self._dev is None:
            problem = "evaluate.pooling: `search` selects the pooling on held-out pairs, and there are none"
            raise InputError(problem, "set it to last, to cls, or to the number of a layer")
        return self._dev

    @property
    def _depth(self) -> int:
        from mlctl.modeling.sentence_config import encoder_depth

        return encoder_depth(self.folder)

    def reads_otherwise(self, longest: int) -> bool:
        """Return whether its sentences are other tokens than the shards' rows of up to `longest`: it has a prompt, or truncates them."""
        return bool(self.sentences.prompt) or longest > (self.sentences.max_length or longest)

    def max_length(self, requested: int) -> int:
        """Return the longest sequence in tokens: `requested`, or the number of the encoder's positions if that is smaller."""
        from mlctl.modeling.encoders import max_positions

        return min(requested, max_positions(self.encoder))

    @property
    def bf16(self) -> bool:
        """Whether the recipe sets bf16."""
        return self.settings.precision == "bf16"

    @property
    def embedding_settings(self) -> dict[str, Any]:
        """Settings, besides the pooling, that change the embedding of a text."""
        return {"prefix": self.sentences.prompt, "max_length": self.sentences.max_length}

    def protocol_entry(self, pooled: bool) -> dict[str, Any]:
        """Return the model's entry in `protocol.json`: its digests, how its sentence vectors are made, and, if benchmarks embedded
        sentences (`pooled`), their pooling and the search for it."""
        entry: dict[str, Any] = {
            **self.identity,
            **self.embedding_settings,
            "sentences": describe_pooling(self.sentences.pooling),
        }
        if pooled:
            entry["pooling"] = describe_pooling(self.pooling)
        if pooled and self.searches_pooling:
            accuracies = {describe_pooling(pooling): accuracy for pooling, accuracy in self.pooling_accuracies.items()}
            entry["pooling_search"] = {"language": self._dev_pairs.language, "accuracies": accuracies}
        return entry

    def encode(self, texts: Sequence[str], cache: bool = False) -> Tensor:
        """Return sentence embeddings (N, H), fp32, on the encoder's device.

        With `cache` they are kept in memory for the next call: a benchmark may have the same English sentences in all languages. Single
        sentences are not: which others a batch has changes the last bits, which must not depend on what was encoded before.
        """
        if not cache:
            return self.embed_with_poolings(texts, [self.pooling])[0]
        if self._embedding_cache is None or self._embedding_cache[0] != texts:
            self._embedding_cache = texts, self.embed_with_poolings(texts, [self.pooling])[0]
        return self._embedding_cache[1]

    def embed_with_poolings(self, texts: Sequence[str], poolings: Sequence[Pooling]) -> list[Tensor]:
        """Return the embeddings (N, H) of texts for each pooling, from one pass; the prompt is added."""
        from mlctl.modeling.sentence_embeddings import embed

        prompted = [self.sentences.prompt + text for text in texts]
        limit = self.sentences.max_length
        return embed(self.encoder, self.tokenizer, prompted, poolings, self.settings.batch_rows, limit, self.sentence_modules)
