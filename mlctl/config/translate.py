"""The recipe's section `translate`: which engine makes the missing side of text, and what its output must be like."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlctl.config.base import Language, Section, digested_elsewhere, runtime_only

Backend = Literal["none", "ctranslate2", "transformers", "apertium", "command"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
_NEURAL = ("ctranslate2", "transformers")


class DevSet(Section):
    """Sentences with a human translation, to measure an engine on before its output is trusted."""

    target: Language = Field(description="Target language of the recipe that the set is for.")
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="One file a side, a sentence a line, plain, .gz, .xz or .zst; {language} stands for the side's language: "
        "`dev/newstest.{language}`.",
    )
    sentences: int = Field(500, ge=1, description="Sentences that are used, spread evenly over the file.")


class Translate(Section):
    """How the missing side of monolingual text is made."""

    backend: Backend = Field(
        "none",
        description="none: text without a translation is left out. ctranslate2: the fast engine for Marian, NLLB, M2M-100 and MADLAD. "
        "transformers: any Hugging Face seq2seq model, slower. apertium: rules, no model. command: a program of yours.",
    )
    model: str = digested_elsewhere(
        "",
        description="Folder or hub name of the translation model; {source} and {target} stand for the languages' codes.",
    )
    revision: str = Field("main", description="Revision of a model from the hub.")
    licence: str = Field(
        "",
        description="Licence of the model or program (SPDX id) that its translations carry; empty: what the model's card says.",
    )
    command: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Program and arguments of backend `command`: it reads a sentence a line and writes a translation a line; {source} "
        "and {target} stand for the languages' codes.",
    )
    command_version: str = Field(
        "", description="What tells one version of the program from another: change it when the program's answers change."
    )
    precision: Precision = Field(
        "auto",
        description="Arithmetic of a neural model; auto: int8 for ctranslate2 on a CPU, bf16 on a GPU, fp32 for transformers.",
    )
    beams: int = Field(1, ge=1, le=16, description="Beam size; 1: greedy.")
    max_tokens: int = Field(256, ge=8, description="Tokens (apertium, command: words) of one sentence at most.")
    long_text: Literal["split", "reject"] = Field(
        "split", description="What happens to longer text. split: at sentence ends, and joined again. reject: left out by name."
    )
    pivot: Language | None = Field(None, description="Language to translate through, for pairs that no engine serves directly.")
    dev: tuple[DevSet, ...] = Field((), description="Sets with human translations that the engine is measured on.")
    min_chrf: float = Field(
        0.0, ge=0, le=100, description="Least chrF on the dev set (without one: of the round trip); below, the language stops."
    )
    max_faulty: float = Field(
        0.5, gt=0, le=1, description="Share of outputs that are empty, copies or in another language; above, the language stops."
    )
    part_rows: int = Field(2000, ge=1, description="Sentences a part: what a crash can lose at most.")
    batch_tokens: int = runtime_only(0, "Padded source tokens translated at once; 0: 1,024 a core, 16,384 a GPU.", ge=0)
    workers: int = runtime_only(0, "Translations side by side: engine processes or, on GPUs, models; 0: one a core or GPU.", ge=0)
    device: str = runtime_only("auto", "auto, cpu, cuda or cuda:N.", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    remember: bool = runtime_only(True, "Keep every translated sentence beside the store, and look there before translating.")

    @model_validator(mode="after")
    def _settings_fit(self) -> Translate:
        if self.backend in _NEURAL and not self.model:
            raise ValueError(f"backend {self.backend!r} needs translate.model: a folder or a hub name")
        if self.backend == "command" and not self.command:
            raise ValueError("backend 'command' needs translate.command: a program that reads and writes lines")
        if self.backend == "transformers" and self.precision == "int8":
            raise ValueError("int8 is for backend ctranslate2")
        if unknown := sorted(set(re.findall(r"\{(.*?)\}", self.model)) - {"source", "target"}):
            raise ValueError(f"model: unknown placeholder {{{unknown[0]}}}: use {{source}} or {{target}}")
        return self
