"""The runs of a ledger: the full recipe, and the recipe without each component, with each seed of training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlctl.config import Recipe, parse
from mlctl.config.layers import Change
from mlctl.config.sweep import Variant
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.pipeline.ledger_components import Component, Kind, KnownText, find_components
from mlctl.pipeline.stage import Ref, lineage, result_of
from mlctl.pipeline.variant_runs import VariantRun, finished
from mlctl.pipeline.warm_start import LAST, NONE
from mlctl.stage_names import StageName

#: Name of the full recipe among the runs.
FULL = "full recipe"
#: The last stage of each run: two trainings are compared by the stage `challenge`, on the same items.
LAST_STAGE: StageName = "train"

#: The stages of the pipeline whose needs from outside the comparisons share.
COMPARED_BY: tuple[StageName, ...] = ("evaluate",)

MAX_SEEDS = 100

_ORIGIN = "ledger"


@dataclass(frozen=True)
class LedgerRequest:
    """What a ledger compares.

    Attributes:
        kinds: of the components; empty: sources and languages, or with `only` all.
        only: names of the components; empty: all of these kinds.
        seeds: number of seeds of training, from 0 on.
    """

    kinds: tuple[Kind, ...] = ()
    only: tuple[str, ...] = ()
    seeds: int = 3

    def components(self, recipe: Recipe, known: KnownText | None = None) -> list[Component]:
        """Return the components of a recipe (`find_components`)."""
        return find_components(recipe, self.kinds, self.only, known)

    def check(self, overrides: Iterable[str]) -> None:
        """Check the request against the overrides of the command line.

        Raises:
            InputError: they set what the ledger sets, or there are too many seeds.
        """
        if not 1 <= self.seeds <= MAX_SEEDS:
            raise InputError(f"{self.seeds} seeds", f"give a number from 1 to {MAX_SEEDS}")
        if any(text.partition("=")[0].strip() == "train.seed" for text in overrides):
            raise InputError("command line: a ledger cannot change train.seed", "give the number of seeds: --seeds 5")


def full_runs(recipe: Recipe, seeds: int) -> list[VariantRun]:
    """Return the runs of the full recipe."""
    return _runs(recipe, [Variant(FULL, _fixed_starts(recipe))], seeds)


def leave_one_out_runs(
    recipe: Recipe, components: Sequence[Component], seeds: int, trained: Ref | None = None
) -> list[VariantRun]:
    """Return the runs without each component that is compared: for each seed in turn all of them.

    Args:
        recipe: the full recipe.
        components: of the recipe.
        seeds: number of seeds.
        trained: a train result of the full recipe, whose tokenizer a model from scratch gets: two encoders are compared on the same tokens;
            None: it is not trained yet.
    """
    fixed = (*_fixed_starts(recipe), *(_tokenizer(recipe, trained) if trained else ()))
    variants = [component.without for component in components if component.changes]
    return _runs(recipe, [Variant(variant.name, (*fixed, *variant.changes)) for variant in variants], seeds)


def known_text(recipe: Recipe, trained: Ref) -> KnownText:
    """Return what is known of the text of the full recipe by one of its train results."""
    results = lineage(trained)
    return KnownText.read(recipe, results["download"], results["clean"])


def planned_runs(recipe: Recipe, request: LedgerRequest) -> list[VariantRun]:
    """Return all runs of a ledger as far as the store knows the recipe's text.

    Raises:
        InputError: the request names no component, or none can be left out.
    """
    full = full_runs(recipe, request.seeds)
    trained = next((ref for run in full if (ref := finished(run))), None)
    components = request.components(recipe, known_text(recipe, trained) if trained else None)
    return [*full, *leave_one_out_runs(recipe, components, request.seeds, trained)]


def _runs(recipe: Recipe, variants: Sequence[Variant], seeds: int) -> list[VariantRun]:
    values = recipe.model_dump(mode="json")
    return [
        VariantRun(variant, seed, parse(values, changes=(*variant.changes, Change("train.seed", seed, _ORIGIN))), LAST_STAGE)
        for seed in range(seeds)
        for variant in variants
    ]


def _fixed_starts(recipe: Recipe) -> tuple[Change, ...]:
    """Return the changes by which no run starts from what another run of the ledger has learned from the text that is left out."""
    moving = {
        "clean.lexicon": (recipe.clean.lexicon, NONE),
        "align.priors": (recipe.align.priors, NONE),
        "align.encoder": (recipe.align.encoder, ""),
    }
    return tuple(Change(setting, fixed, _ORIGIN) for setting, (value, fixed) in moving.items() if value == LAST)


def _tokenizer(recipe: Recipe, trained: Ref) -> tuple[Change, ...]:
    if model_sources.tokenizer_model(recipe.model):
        return ()
    return (Change("model.scratch.tokenizer", str(result_of(trained).folder / "model"), _ORIGIN),)
