"""The recipe's section `train`: how the encoder is trained."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlctl.config.base import Devices, Section, runtime_only


def _layers(value: object, default: str) -> object:
    """Validate with one message, where pydantic would print one for each form of the union."""
    numbers = list(value) if isinstance(value, (tuple, list)) else []
    valid = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool) and number >= 1]
    if value in (default, "first-and-last", "last", "all") or (numbers and len(set(valid)) == len(numbers)):
        return value
    raise ValueError(f"give {default}, first-and-last, last, all, or different layer numbers from 1 such as [1, 8]")


def _interpolate(value: object) -> object:
    """Validate with one message, where pydantic would print one for each form of the union."""
    if value == "auto" or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1):
        return value
    raise ValueError("give auto, or a number from 0 (the weights before training) to 1 (the trained weights)")


def _micro_batch_tokens(value: object) -> object:
    """Validate with one message, where pydantic would print one for each form of the union."""
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError("give auto, or a number of tokens from 1")


#: A value of the setting `objective`, and one of `lr_schedule`.
ObjectiveName = Literal["joint", "sentence", "words", "separate"]
Decay = Literal["none", "linear", "cosine"]
#: Values of the settings `loss`, `projection` and `anchor_side`.
LossName = Literal["cz-nce", "info-nce"]
Projection = Literal["mlp", "none"]
AnchorSide = Literal["both", "source"]
#: A value of the setting `sample_unit`.
SampleUnit = Literal["sentence-pair", "word-pair"]

#: End of the descriptions of settings whose default depends on what is trained: `train_defaults.DEFAULTS`.
_BY_KIND = "; null: by kind of model, as `mlctl plan` shows."

_NamedLayers = Literal["first-and-last", "last", "all"]
Layers = Annotated[Literal["auto"] | _NamedLayers | tuple[int, ...], BeforeValidator(functools.partial(_layers, default="auto"))]
WordLayers = Annotated[
    Literal["same"] | _NamedLayers | tuple[int, ...], BeforeValidator(functools.partial(_layers, default="same"))
]


Interpolate = Annotated[Literal["auto"] | float, BeforeValidator(_interpolate)]


class Train(Section):
    """Multi-level contrastive training (ML-CTL, arXiv 2202.13083).

    Settings that are null get the default of the kind of model that is trained: `train_defaults.resolve_train`.
    """

    loss: LossName | None = Field(None, description=f"Contrastive loss{_BY_KIND}")
    objective: ObjectiveName | None = Field(
        None,
        description="separate: a sentence loss and a word loss, each with its own projection head. joint: one loss on [sentence; word] as "
        "in the paper. sentence: its ablation without words. words: one loss on words, without sentences (word realignment, arXiv "
        f"2306.02790){_BY_KIND}",
    )
    projection: Projection | None = Field(
        None,
        description="What the losses compare. mlp: projections of the states by a head that is not kept, as in the paper. none: the states "
        f"themselves, as the objective words does{_BY_KIND}",
    )
    sample_unit: SampleUnit = Field(
        "sentence-pair",
        description="What a batch has `batch_size` of. sentence-pair: sentence pairs, each with up to `word_pairs` word pairs. word-pair: word "
        "pairs with their sentences, as in the code of the paper's authors: an epoch visits a sentence pair once for each of its word "
        "pairs, and a batch can hold it several times, with different words.",
    )
    word_pairs: int | None = Field(
        None,
        ge=1,
        le=128,
        description=f"Word pairs drawn from each sentence pair at each visit, pooled from one encoder pass{_BY_KIND}",
    )
    word_weight: float = Field(
        1.0, ge=0, description="Weight of the word loss relative to the sentence loss (objective separate only)."
    )
    word_loss: Literal["same", "cz-nce", "info-nce"] = Field(
        "same", description="Contrastive loss on words (objectives separate and words); same: as `loss`."
    )
    temperature: float | None = Field(
        None, gt=0, description=f"τ of the similarity cos/τ; its start if it is not fixed{_BY_KIND}"
    )
    word_temperature: float | None = Field(
        None, gt=0, description="τ of the word loss (objectives separate and words); null: as `temperature`."
    )
    temperature_mode: Literal["fixed", "learned", "linear"] = Field(
        "fixed",
        description="learned: log τ is trained, one for each loss, never below 0.01. linear: τ changes linearly to `final_temperature` at "
        "the last step.",
    )
    final_temperature: float = Field(0.07, gt=0, description="τ of the last step (temperature_mode linear only).")
    temperature_learning_rate: float = Field(
        1e-3,
        gt=0,
        description="Peak learning rate of log τ (temperature_mode learned only); warm-up and schedule are the encoder's.",
    )
    false_negative_similarity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Sentences of a batch whose pooled states have a larger cosine are excluded as each other's negatives; null: only equal "
        "sentences are excluded.",
    )
    hard_word_negatives: bool = Field(
        True, description="Word pairs of one sentence pair are each other's negatives (word pairs above 1 only)."
    )
    same_word_negatives: bool = Field(
        True,
        description="Word pairs of different sentences that share a word, subword for subword, are each other's negatives.",
    )
    layers: Layers = Field(
        "auto",
        description="Layers whose states are summed, and averaged over tokens: first-and-last (as in the paper), last, all, or layer numbers "
        "from 1 such as [1, 8]. auto: layers and token pooling that the encoder says itself (modules.json), else of a sentence encoder the "
        "last layer, of a masked-language model the pooling that retrieves most translations before training, from scratch "
        "first-and-last.",
    )
    word_layers: WordLayers = Field(
        "same",
        description="Layers whose states are summed for word vectors; same: those of `layers`.",
    )
    word_pooling: Literal["mean", "first"] = Field(
        "mean",
        description="A word's vector: mean, of its subwords' states; first, the state of its first subword, which taggers label.",
    )
    frozen_layers: int = Field(
        0,
        ge=0,
        description="Number of lowest layers that are not trained. Half of them is what kept XLM-R's taggers (AlignFreeze, arXiv 2502.12959).",
    )
    frozen_embeddings: bool = Field(False, description="Do not train the embeddings. With frozen layers, steps are faster.")
    lora_rank: int = Field(
        0,
        ge=0,
        description="Rank of the updates that are trained in place of the encoder's weights (LoRA, arXiv 2106.09685), and added to them at the "
        "end: optimiser and checkpoints are small; needs the extra lora; 0: the weights themselves are trained.",
    )
    anchor_weight: float | None = Field(
        None,
        ge=0,
        description="Weight of the anchor loss: the squared distance of sentence vectors, scaled to length 1, to those of the encoder "
        f"before training; 0: off, without the memory for that encoder{_BY_KIND}",
    )
    word_anchor_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the word anchor loss: the same distance of the vectors of the batch's aligned words; 0: off.",
    )
    anchor_side: AnchorSide | None = Field(
        None,
        description="Sides whose vectors the anchors hold: both, or source: the source language alone, to which the others can move "
        f"(arXiv 2002.03518){_BY_KIND}",
    )
    mlm_weight: float | None = Field(None, ge=0, description=f"α, the weight of the masked-language-model loss; 0: off{_BY_KIND}")
    mlm_probability: float = Field(0.15, gt=0, lt=1, description="Share of ordinary tokens that are masked.")
    tlm_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the sentence pairs whose sides the masked-LM loss reads as one sequence, so that a masked token can be predicted "
        "from its translation (translation language modelling, arXiv 1901.07291); 0: sentences only.",
    )
    contrast_on_masked: bool = Field(
        False,
        description="Compute the contrastive loss on the masked tokens, too (as the authors' code does): one encoder pass instead of two.",
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Seed of the training alone; null: the recipe's. Trainings with different seeds share the shards.",
    )
    steps: int | None = Field(None, ge=1, description=f"Optimiser steps{_BY_KIND}")
    batch_size: int | None = Field(None, ge=2, description=f"Sentence pairs per step, over all processes{_BY_KIND}")
    language_alpha: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Rows of a language with n rows are visited in proportion to n to this power: below 1, small languages more often; 1: "
        "every row once per epoch.",
    )
    weight_by: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$",
        description="Quality score by which a pair's contrastive losses are weighed: from 0 to 2, by the rank of its score among the "
        "training pairs of its language; pairs without the score weigh 1; empty: all weigh the same.",
    )
    learning_rate: float | None = Field(None, gt=0, description=f"Peak learning rate of Adam{_BY_KIND}")
    warmup_steps: int | None = Field(
        None, ge=0, description="Steps over which the learning rate grows from 0; null: a tenth of the steps."
    )
    lr_schedule: Decay | None = Field(
        None, description=f"How the learning rate decays to 0 after the warm-up; none: it stays constant{_BY_KIND}"
    )
    max_gradient_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Arithmetic of the encoder; similarities are always fp32.")
    micro_batch_tokens: Annotated[Literal["auto"] | int, BeforeValidator(_micro_batch_tokens)] = runtime_only(
        "auto",
        "Tokens of the sentences that are encoded at once, in order of length; does not change the negatives. auto: 1,024 on a CPU; on a GPU "
        "all of a batch, with gradient caching as many as its free memory holds.",
    )
    judge_every: int | None = Field(
        None,
        ge=0,
        description="Steps between two judgements: sentence and word retrieval on the dev pairs; also before the first and after the last "
        f"step; 0: never{_BY_KIND}",
    )
    load_best_model_at_end: bool = Field(
        False,
        description="Write the weights of the judgement with the best figure (mean of sentence and word retrieval over languages), of equal "
        "ones the earliest, instead of those of the last step.",
    )
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Training stops after so many judgements in a row without a new best figure; null: never."
    )
    average_steps: int = Field(
        1,
        ge=1,
        description="The weights that are judged and written are the mean of those after each of the last steps, so many of them; 1: those "
        "of the step itself.",
    )
    interpolate: Interpolate = Field(
        1.0,
        description="λ of the weights that are written, (1 − λ) · those before training + λ · trained ones; auto: that of 0.1, 0.2 … 1 with "
        "the best figure on the dev pairs.",
    )
    devices: Devices = runtime_only(
        "auto",
        "Devices to train on, one process each: auto (every GPU, or the CPU where there is none), a number of GPUs (of CPU "
        "processes where there is none), or names such as cpu or [cuda:0, cuda:2].",
    )
    nodes: int = runtime_only(
        1, "Number of machines that train together, each with its `devices`; the others join at `rendezvous`.", ge=1
    )
    rendezvous: str = runtime_only(
        "",
        "host:port of the machine that runs the pipeline, where torchrun of the others joins (nodes above 1 only).",
        pattern=r"^(\S+:\d+)?$",
    )
    threads: int = runtime_only(0, "CPU threads per process; 0: all cores, divided among the processes.", ge=0)
    cache_gradients: bool = runtime_only(
        False,
        "Gradient caching (GradCache): encode every sentence twice, micro_batch_tokens at a time, so that memory does not grow with "
        "batch_size; equal up to rounding.",
    )
    activation_checkpointing: bool = runtime_only(
        False,
        "Do not keep the activations of the layers: the backward pass computes each layer again, which takes about a third more time.",
    )
    compile: bool = runtime_only(
        False,
        "Compile the layers by torch.compile at the first step, which then takes a minute; slower on a CPU, not measured on a GPU.",
    )
    fsdp: bool = runtime_only(
        False,
        "Shard weights, gradients and optimiser over the processes (FSDP2), for an encoder that one GPU does not hold; one process trains "
        "as without.",
    )
    max_loss_rise: float = runtime_only(
        0.5, "Training stops as diverged when the loss rises again by this share of its fall so far; 1000: never.", gt=0
    )
    checkpoint_seconds: float = runtime_only(30.0, "Seconds between checkpoints, the most that a crash loses.", gt=0)
    keep_checkpoints: int = runtime_only(
        2, "Number of newest checkpoints kept while training; the one with the lowest loss is kept as well.", ge=1
    )
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...] = runtime_only(
        ("tensorboard",), "Experiment trackers; each except TensorBoard needs the extra of its name."
    )
    track_every: int = runtime_only(10, "Interval, in steps, at which metrics are logged to the trackers.", ge=1)
    track_project: str = runtime_only(
        "mlctl", "Project (MLflow: experiment) in which the trackers list the training.", min_length=1
    )

    @property
    def needs_judgements(self) -> tuple[str, ...]:
        """Settings with a value that nothing can be done with without judgements, as overrides."""
        needed = {
            "load_best_model_at_end=true": self.load_best_model_at_end,
            f"early_stopping_patience={self.early_stopping_patience}": self.early_stopping_patience is not None,
            "interpolate=auto": self.interpolate == "auto",
        }
        return tuple(f"train.{override}" for override, is_set in needed.items() if is_set)

    @model_validator(mode="after")
    def _check_judgements(self) -> Train:
        if self.judge_every == 0 and self.needs_judgements:
            raise ValueError(
                f"judge_every is 0, but {', '.join(self.needs_judgements)} needs judgements: set judge_every, or null"
            )
        return self

    @model_validator(mode="after")
    def _check_tlm(self) -> Train:
        if self.tlm_share and self.contrast_on_masked:
            raise ValueError(
                "tlm_share above 0 needs contrast_on_masked: false: joined pairs are encoded in a pass of the masked-LM loss alone"
            )
        return self

    @model_validator(mode="after")
    def _check_samples(self) -> Train:
        if self.sample_unit == "word-pair" and self.word_pairs not in (None, 1):
            raise ValueError(
                f"sample_unit: word-pair has one word pair per sample: leave out word_pairs, given {self.word_pairs}"
            )
        return self

    @model_validator(mode="after")
    def _check_rendezvous(self) -> Train:
        if self.nodes > 1 and not self.rendezvous:
            raise ValueError("nodes above 1 need `rendezvous`: host:port of this machine, where the others join")
        return self
