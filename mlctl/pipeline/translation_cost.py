"""What translation by a server would use and cost, in words for the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlctl.config import Recipe
from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError
from mlctl.pipeline.plan import StagePlan
from mlctl.pipeline.translation_memory import memory_file


def translation_lines(recipe: Recipe, plans: Iterable[StagePlan]) -> Iterator[str]:
    """Yield the requests, tokens and cost of a translation that a server would make; nothing for another backend or a cached result."""
    by_stage = {planned.stage: planned for planned in plans}
    if recipe.translate.backend != "openai" or by_stage["translate"].result:
        return
    clean = by_stage["clean"].result
    if clean is None:
        yield "translate: its tokens and their cost can be estimated when clean is done"
        return
    from mlctl.translation.openai_api.cost_estimate import estimate

    options = recipe.translate.openai
    try:
        found = estimate(recipe.translate, recipe.languages, clean.folder, memory_file(recipe))
    except InputError:  # is listed with the other problems
        return
    usage, cost = found.usage, found.usage.cost(options)
    known = f", {found.known:,} more are in the translation memory" if found.known else ""
    tokens = f"about {usage.input_tokens:,} input and {usage.output_tokens:,} output tokens"
    priced = f", cost about {cost:.3g}" if options.input_price or options.output_price else ", no prices are set"
    yield f"translate: {usage.requests:,} requests to {redact_url(options.base_url)}{known}; {tokens}{priced}"
    if options.max_cost and cost > options.max_cost:
        yield f"  translate.openai.max_cost is {options.max_cost:g}: the stage would stop there, and go on with a higher one"
