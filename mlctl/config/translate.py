"""The recipe's section `translate`: the translation backend and the quality that its output must have."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlctl.config.base import Language, Section, digested_elsewhere, runtime_only
from mlctl.config.translate_openai import OpenAI

Backend = Literal["none", "ctranslate2", "transformers", "apertium", "command", "openai"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
#: Backends that load a model of a folder or the hub.
NEURAL_BACKENDS = ("ctranslate2", "transformers")


class DevSet(Section):
    """Sentences with a human translation, on which the backend is measured before its output is used."""

    target: Language = Field(description="Target language of the recipe that the set belongs to.")
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="One file a side, a sentence a line, plain, .gz, .xz or .zst; {language} stands for the language of the side: "
        "`dev/newstest.{language}`.",
    )
    sentences: int = Field(500, ge=1, description="Sentences that are used, spread evenly over the file.")


class Translate(Section):
    """How monolingual text is translated."""

    backend: Backend = Field(
        "none",
        description="none: text without a translation is left out. ctranslate2: Marian, NLLB, M2M-100 and MADLAD models, fast. "
        "transformers: any Hugging Face sequence-to-sequence model, slower. apertium: rules, no model. command: your own program. "
        "openai: a server with OpenAI's API, such as vLLM, llama.cpp, Ollama or a hosted one.",
    )
    model: str = digested_elsewhere(
        "",
        description="Folder or hub name of the translation model (openai: the server's name of it); {source} and {target} stand for the "
        "languages' codes.",
    )
    revision: str = Field(
        "main",
        description="Revision of a model from the hub (openai: is not sent; change it when the server has another model of the same name).",
    )
    licence: str = Field(
        "",
        description="Licence of the model or program (SPDX id), which its translations get; empty: the licence of the model's card.",
    )
    command: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Program of backend `command` with its arguments: it reads a sentence a line and writes a translation a line; "
        "{source} and {target} stand for the languages' codes.",
    )
    command_version: str = Field("", description="Version of the program: change it when the program's translations change.")
    precision: Precision = Field(
        "auto",
        description="Precision of a neural model; auto: int8 for ctranslate2 on a CPU, bf16 on a GPU, fp32 for transformers.",
    )
    beams: int = Field(1, ge=1, le=16, description="Beam size; 1: greedy.")
    max_tokens: int = Field(256, ge=8, description="Most tokens of one sentence (apertium, command: words; openai: estimated).")
    long_text: Literal["split", "reject"] = Field(
        "split",
        description="What happens to longer text. split: it is split at sentence ends, and the translations are joined. reject: it is "
        "rejected by the rule `too many tokens`.",
    )
    pivot: Language | None = Field(
        None, description="Language to translate through, for pairs that the backend does not support directly."
    )
    dev: tuple[DevSet, ...] = Field((), description="Sets with human translations on which the backend is measured.")
    min_chrf: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Least chrF on the dev set (without one: of the round trip); below it the language is not translated.",
    )
    max_faulty: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Largest share of outputs that the rules for faulty outputs reject; above it (and from 10 outputs) the stage stops. "
        "Checked on 200 texts before the first part, and after every part.",
    )
    part_rows: int = Field(2000, ge=1, description="Sentences of a part: the most that a crash can lose.")
    openai: OpenAI = Field(OpenAI(), description="Server of backend openai, its prompt and what it may cost.")
    batch_tokens: int = runtime_only(0, "Padded source tokens of a batch; 0: 1,024 on a CPU core, 16,384 on a GPU.", ge=0)
    workers: int = runtime_only(
        0,
        "Processes that translate at the same time, each with a model; 0: one for each GPU or, without, as many as the cores have "
        "threads for and the memory models.",
        ge=0,
    )
    threads: int = runtime_only(
        0, "CPU threads of a process, which share its model (transformers uses one); 0: so many that all cores are used.", ge=0
    )
    device: str = runtime_only("auto", "auto, cpu, cuda or cuda:N.", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    remember: bool = runtime_only(
        True,
        "Store every translated sentence in the translation memory beside the store, and look sentences up there before translating.",
    )

    @model_validator(mode="after")
    def _settings_fit(self) -> Translate:
        if self.backend in NEURAL_BACKENDS and not self.model:
            raise ValueError(f"backend {self.backend!r} needs translate.model: a folder or a hub name")
        if self.backend == "openai" and not (self.model and self.openai.base_url):
            raise ValueError(
                "backend 'openai' needs translate.model, the server's name of the model, and translate.openai.base_url"
            )
        if self.backend == "command" and not self.command:
            raise ValueError("backend 'command' needs translate.command: a program that reads and writes lines")
        if self.backend == "transformers" and self.precision == "int8":
            raise ValueError("precision int8 needs backend 'ctranslate2'")
        if unknown := sorted(set(re.findall(r"\{(.*?)\}", self.model)) - {"source", "target"}):
            raise ValueError(f"model: unknown placeholder {{{unknown[0]}}}: use {{source}} or {{target}}")
        return self

    def model_for(self, source: str, target: str) -> str:
        """Return the name of the model for a language pair."""
        return _fill_in(self.model, source, target)

    def command_for(self, source: str, target: str) -> tuple[str, ...]:
        """Return the program and its arguments for a language pair."""
        return tuple(_fill_in(argument, source, target) for argument in self.command)


def _fill_in(text: str, source: str, target: str) -> str:
    return text.replace("{source}", source).replace("{target}", target)
