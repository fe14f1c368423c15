"""The recipe's section `translate.openai`: a server with OpenAI's chat completions API, the prompt, and what it may cost."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlctl.config.base import Section, digested_elsewhere, runtime_only
from mlctl.config.sources import plain_url

#: Placeholders of a prompt.
PLACEHOLDER = re.compile(r"\{(source|target|text|glossary|examples)\}")
_ANY_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_REQUIRED = ("target", "text")
_RESERVED = {"messages", "model", "n", "stream", "max_tokens", "max_completion_tokens", "response_format"}  # of `extra_body`

_PROMPT = """\
Translate the text below from {source} to {target}. Answer with the translation alone: no introduction, no notes, no alternatives, no \
added quotation marks. Keep tags, placeholders, URLs and line breaks.
{glossary}{examples}
{text}"""


def _prompt(template: str) -> str:
    """Return a prompt with the placeholders that it needs and no unknown one, else raise the ValueError that pydantic expects."""
    found = set(_ANY_PLACEHOLDER.findall(template))
    if missing := [name for name in _REQUIRED if name not in found]:
        raise ValueError(f"add the placeholder {{{missing[0]}}}")
    if unknown := sorted(found - set(PLACEHOLDER.findall(template))):
        raise ValueError(
            f"unknown placeholder {{{unknown[0]}}}: use {{source}}, {{target}}, {{text}}, {{glossary}} or {{examples}}"
        )
    return template


def _server_url(url: str) -> str:
    """Return the URL of a server, or "", else raise ValueError: a key does not belong into a recipe."""
    if url and ("?" in plain_url(url) or "#" in url):
        raise ValueError(
            "remove the query from the URL: the key comes from the environment variable translate.openai.api_key_variable"
        )
    return url


def _json_object(text: str) -> str:
    """Return the text of a JSON object without a name of `_RESERVED`, or "", else raise ValueError."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ValueError('give a JSON object as a text: \'{"reasoning_effort": "low"}\'')
    if reserved := sorted(values.keys() & _RESERVED):
        raise ValueError(f"remove {reserved[0]!r}, which the request has already")
    return text


class OpenAI(Section):
    """A server with OpenAI's API, such as vLLM, llama.cpp, Ollama or a hosted one."""

    base_url: Annotated[str, AfterValidator(_server_url)] = runtime_only(
        "", "URL of the server's API, such as http://localhost:8000/v1: requests go to its `chat/completions`."
    )
    api_key_variable: str = runtime_only(
        "OPENAI_API_KEY",
        "Environment variable with the server's key; if it is not set, none is sent.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    prompt: Annotated[str, AfterValidator(_prompt)] = Field(
        _PROMPT,
        description="Prompt of one text. {source} and {target}: English names of the languages; {text}: the text; {glossary}: the terms "
        "of the glossary that the text has; {examples}: the examples.",
    )
    glossary: str = digested_elsewhere(
        "", description="TSV file of terms. Its first row has language codes, the others a term in each language; empty: none."
    )
    examples: str = digested_elsewhere(
        "",
        description="TSV file of sentences with their translations, for few-shot prompts, in the form of the glossary; empty: none.",
    )
    temperature: float | None = Field(0.0, ge=0, le=2, description="Sampling temperature; null: the server's default.")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Seed of the server's sampling; null: none is sent.")
    response_format: Literal["auto", "json_schema", "text"] = Field(
        "auto",
        description="json_schema: structured output. text: the answer is the translation. auto: structured output, and text if the server "
        "refuses it.",
    )
    max_completion_tokens: int = Field(
        0,
        ge=0,
        description="Most tokens of an answer, with those of reasoning; a longer one is rejected by the rule `unfinished translation`; "
        "0: four times translate.max_tokens.",
    )
    extra_body: Annotated[str, AfterValidator(_json_object)] = Field(
        "",
        description="JSON object that is added to each request, for options of a server: "
        '{"chat_template_kwargs": {"enable_thinking": false}}.',
    )
    concurrency: int = runtime_only(16, "Requests at the same time.", ge=1, le=1000)
    requests_per_minute: int = runtime_only(0, "Most requests of a minute; 0: no limit.", ge=0)
    tokens_per_minute: int = runtime_only(0, "Most tokens of a minute, of prompts and answers together; 0: no limit.", ge=0)
    input_price: float = runtime_only(0.0, "Price of a million tokens of prompts, in any currency.", ge=0)
    output_price: float = runtime_only(0.0, "Price of a million tokens of answers, in the same currency.", ge=0)
    max_cost: float = runtime_only(
        0.0,
        "Most that the result may cost, in the currency of the prices: the stage stops before a request that could exceed it; 0: no limit.",
        ge=0,
    )
    timeout: float = runtime_only(120.0, "Seconds until an answer has to be complete.", gt=0, le=3600)
    max_retries: int = runtime_only(5, "Repetitions of a request that fails for a reason that may pass.", ge=0, le=100)
