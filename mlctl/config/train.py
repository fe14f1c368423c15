"""Settings of training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlctl.config.base import Devices, Section, runtime_only


def _layers(given: object) -> object:
    """Give a plain answer where pydantic would explain each of the forms."""
    numbers = list(given) if isinstance(given, (tuple, list)) else []
    right = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool) and number >= 1]
    if given in ("first-and-last", "last", "all") or (numbers and len(set(right)) == len(numbers)):
        return given
    raise ValueError("give first-and-last, last, all, or different numbers of layers from 1 such as [1, 8]")


Layers = Annotated[Literal["first-and-last", "last", "all"] | tuple[int, ...], BeforeValidator(_layers)]


class Train(Section):
    """Multi-level contrastive training (ML-CTL, arXiv 2202.13083)."""

    loss: Literal["cz-nce", "info-nce"] = Field("cz-nce", description="Contrastive loss.")
    objective: Literal["joint", "sentence", "separate"] = Field(
        "separate",
        description="separate: a sentence term and a word term with a projection each. joint: one term on [sentence; word] as in "
        "the paper. sentence: its ablation without words.",
    )
    word_pairs: int = Field(
        3, ge=1, le=16, description="Word pairs drawn from a sentence pair at each visit, from one encoder pass."
    )
    word_weight: float = Field(
        1.0, ge=0, description="Weight of the word term against the sentence term (objective separate only)."
    )
    word_loss: Literal["same", "cz-nce", "info-nce"] = Field(
        "same", description="Contrastive loss of the word term (objective separate only); same: as `loss`."
    )
    temperature: float = Field(0.07, gt=0, description="τ of the similarity cos/τ; where it is not fixed, what it starts from.")
    word_temperature: float | None = Field(
        None, gt=0, description="τ of the word term (objective separate only); null: as `temperature`."
    )
    temperature_mode: Literal["fixed", "learned", "linear"] = Field(
        "fixed",
        description="learned: log τ is trained along, a τ a term, never below 0.01. linear: τ goes in a straight line to "
        "`final_temperature` at the last step.",
    )
    final_temperature: float = Field(0.07, gt=0, description="τ of the last step (temperature_mode linear only).")
    temperature_learning_rate: float = Field(
        1e-3,
        gt=0,
        description="Peak learning rate of log τ (temperature_mode learned only); warm-up and decay are the encoder's.",
    )
    false_negative_similarity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Sentences of a batch whose pooled states have a larger cosine are not each other's negatives; null: equal ones "
        "alone are not.",
    )
    hard_word_negatives: bool = Field(
        True, description="Word pairs of one sentence pair are each other's negatives (word pairs above 1 only)."
    )
    same_word_negatives: bool = Field(
        True,
        description="Word pairs of different sentences that have a word in common, subword for subword, are each other's negatives.",
    )
    layers: Layers = Field(
        "first-and-last",
        description="Layers whose states are added up and pooled: first-and-last (as in the paper), last, all, or numbers from 1 "
        "such as [1, 8].",
    )
    anchor_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the squared distance of sentences, scaled to length 1, to what they were before training; 0: the "
        "encoder before training is not even held.",
    )
    mlm_weight: float = Field(0.1, ge=0, description="α of the masked-language-model loss; 0 switches it off.")
    mlm_probability: float = Field(0.15, gt=0, lt=1, description="Share of ordinary tokens that are masked.")
    contrast_on_masked: bool = Field(
        False,
        description="Let the contrastive loss see the masked tokens too (as the authors' code does): one pass instead of two.",
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Seed of the training alone; null: the recipe's. Trainings that differ in nothing else learn from the same shards.",
    )
    steps: int = Field(10000, ge=1, description="Optimiser steps.")
    batch_size: int = Field(64, ge=2, description="Sentence pairs a step.")
    language_alpha: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Rows of a language with n rows are visited in proportion to n to this power: below 1 those of small languages "
        "more often; 1: every row once an epoch.",
    )
    learning_rate: float = Field(2e-6, gt=0, description="Peak learning rate of Adam.")
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate grows from 0.")
    lr_schedule: Literal["none", "linear", "cosine"] = Field(
        "none", description="How the learning rate falls to 0 after the warm-up."
    )
    max_gradient_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Arithmetic of the encoder; similarities are always fp32.")
    micro_batch_size: int = Field(32, ge=1, description="Sentences encoded at once, sorted by length inside the batch.")
    devices: Devices = runtime_only(
        "auto",
        "What to train on, a process each: auto (every GPU, or the CPU where there is none), a number of GPUs (or of processes "
        "on the CPU where there is none), or names such as cpu or [cuda:0, cuda:2].",
    )
    nodes: int = runtime_only(1, "Machines that train together, each with its `devices`; the others join at `rendezvous`.", ge=1)
    rendezvous: str = runtime_only(
        "",
        "host:port of the machine that runs the pipeline, where the others join (nodes above 1 only).",
        pattern=r"^(\S+:\d+)?$",
    )
    threads: int = runtime_only(0, "CPU threads of a process; 0: all cores, shared out among the processes.", ge=0)
    cache_gradients: bool = runtime_only(
        False,
        "Encode every sentence twice, micro_batch_size at a time, so that memory does not grow with batch_size (GradCache); equal up "
        "to rounding.",
    )
    max_loss_rise: float = runtime_only(
        0.5, "Training stops as diverged when it gives back this share of all that the loss had fallen; 1000: never.", gt=0
    )
    checkpoint_seconds: float = runtime_only(30.0, "Seconds between checkpoints: what a crash can lose at most.", gt=0)
    keep_checkpoints: int = runtime_only(
        2, "Newest checkpoints kept while training; the one with the lowest loss is kept besides.", ge=1
    )
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...] = runtime_only(
        ("tensorboard",), "Who shows the curves of training; each but TensorBoard needs the extra of its name."
    )
    track_every: int = runtime_only(10, "Steps from one point of those curves to the next.", ge=1)
    track_project: str = runtime_only("mlctl", "Project (MLflow: experiment) under which a training is listed.", min_length=1)

    @model_validator(mode="after")
    def _machines_can_meet(self) -> Train:
        if self.nodes > 1 and not self.rendezvous:
            raise ValueError("nodes above 1 need `rendezvous`: host:port of this machine, where the others join")
        return self
