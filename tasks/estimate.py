"""What a run would cost, told from what earlier runs in the store took: no figure without a measurement that is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlctl import corpora
from mlctl.config import Recipe
from storage import Manifest, Result, Store
from storage.store import differences
from tasks.plan import STAGES, Plan, plan

Counts = dict[str, float]

_WHY_MOST = 2
_SAME_SIZE = {"train", "evaluate", "report"}  # however much work they are


@dataclass(frozen=True)
class Estimate:
    """What a stage would do.

    Attributes:
        plan: the stage as the store stands.
        why: why it would run; of a cached one, when it was made.
        work: how many `unit`s there are to do; None: not known.
        seconds: working time; None: not known. `processes` work at a time, on GPUs if `gpu`.
        bytes: disk that the result takes; None: not known.
        measured: key of the earlier result that tells, and its rate in units a second; empty: there is none.
    """

    plan: Plan
    why: str
    unit: str
    work: float | None = None
    seconds: float | None = None
    bytes: float | None = None
    measured: str = ""
    rate: float | None = None
    gpu: bool = False
    processes: int = 1


@dataclass(frozen=True)
class Estimates:
    """The estimates of all stages, in order, and what the sources say; None: nothing has to be fetched."""

    stages: Sequence[Estimate]
    look: corpora.SourceState | None


def estimate(recipe: Recipe, ask: bool = True) -> Estimates:
    """Return what a run of a recipe would do and cost. Nothing is run or fetched.

    Args:
        recipe: of the run.
        ask: whether servers are asked for the sizes of files.
    """
    store, counts, found = Store(recipe.store), dict[str, Counts](), []
    plans = plan(recipe)
    for planned in plans:
        nearest = planned.result or _nearest(store, planned, recipe)
        work = _WORK[planned.stage][1](recipe, counts)
        done = _done(store, nearest.manifest) if nearest else None
        counts[planned.stage] = _counts(nearest, planned, work, done)
        found.append(_estimate(planned, nearest, work, done))
    look = None if plans[0].result else corpora.inspect_sources(recipe.download, recipe.languages, ask)
    return Estimates(found, look)


def _estimate(planned: Plan, nearest: Result | None, work: float | None, done: float | None) -> Estimate:
    unit = _WORK[planned.stage][0]
    if planned.result:
        made = planned.result.manifest.created[:16].replace("T", " ")
        return Estimate(planned, f"made {made}", unit, work, 0.0, 0.0)
    why = _why(planned, nearest)
    if nearest is None:
        return Estimate(planned, why, unit, work)
    manifest = nearest.manifest
    share = _share(work, done)
    seconds = None if share is None else manifest.seconds * share
    size = manifest.bytes if planned.stage in _SAME_SIZE else None if share is None else manifest.bytes * share
    rate = done / manifest.seconds if done and manifest.seconds else None
    gpu, processes = manifest.metrics.get("device") == "cuda", int(manifest.metrics.get("processes", 1))
    return Estimate(planned, why, unit, work, seconds, size, manifest.key, rate, gpu, processes)


def _share(work: float | None, done: float | None) -> float | None:
    """Return how many times the earlier work there is to do; None: not known."""
    if work is None or done is None:
        return None
    return work / done if done else (0.0 if not work else None)


def _nearest(store: Store, planned: Plan, recipe: Recipe) -> Result | None:
    """Return the earlier result that is most like what would be made."""
    if planned.parts:
        return store.nearest(planned.stage, planned.parts)
    settings = STAGES[planned.stage].settings(recipe)
    return min(
        store.results(planned.stage), key=lambda r: len(differences(r.manifest.parts.get("settings", {}), settings)), default=None
    )


def _why(planned: Plan, nearest: Result | None) -> str:
    if planned.waits_for:
        return f"after {planned.waits_for[-1]}"
    if nearest is None:
        return "never made here"
    found = differences(nearest.manifest.parts, planned.parts or {})
    said = [f"{path.removeprefix('settings.')}: {_short(old)} → {_short(new)}" for path, old, new in found[:_WHY_MOST]]
    more = [f"and {len(found) - _WHY_MOST} more"] if len(found) > _WHY_MOST else []
    return "; ".join([*said, *more]) or "its result is damaged or unfinished"


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _counts(nearest: Result | None, planned: Plan, work: float | None, done: float | None) -> Counts:
    """Return what comes out of a stage: counted where it is there, else in proportion to the earlier result's."""
    if nearest is None:
        return {}
    share = 1.0 if planned.result or planned.stage == "download" else _share(work, done)
    return {} if share is None else {name: count * share for name, count in _out(nearest.manifest).items()}


def _out(manifest: Manifest) -> Counts:
    if manifest.stage in {"download", "clean"}:
        return {name: float(manifest.metrics[name]) for name in ("pairs", "untranslated") if name in manifest.metrics}
    return {"pairs": float(sum(file.rows or 0 for file in manifest.files if file.name.startswith("pairs/")))}


def _done(store: Store, manifest: Manifest) -> float | None:
    """Return how much work an earlier result was."""
    if manifest.stage == "train":
        return float(manifest.metrics["pairs"])
    if manifest.stage == "evaluate":
        return _judged(manifest.parts["settings"]["languages"], manifest.parts["settings"]["evaluate"])
    before = {name: Manifest.read(store.folder(name, key)) for name, key in manifest.inputs.items()}
    counts = {name: _out(found) for name, found in before.items() if found}
    return _work_after(manifest.stage, counts) if manifest.stage not in {"download", "report"} else _all(_out(manifest)) or 1.0


def _work_after(stage: str, counts: Mapping[str, Counts]) -> float | None:
    """Return the work of a stage that reads what others made: rows, pairs or texts."""
    if stage == "translate":
        return counts.get("clean", {}).get("untranslated")
    source = {"clean": "download", "align": "clean", "shard": "align"}[stage]
    return _all(counts.get(source, {}))


def _all(counts: Counts) -> float | None:
    return sum(counts.values()) if counts else None


def _judged(languages: Mapping[str, Any], evaluate: Mapping[str, Any]) -> float | None:
    """Return the scores to make on held-out pairs; None where benchmarks come besides: they differ too much."""
    return None if evaluate["benchmarks"] else 2.0 * len(languages["targets"])


_Work = Callable[[Recipe, Mapping[str, Counts]], float | None]

# Of each stage what its work is counted in, and how much a recipe has; pairs that come from earlier stages are known as far as those are.
_WORK: dict[str, tuple[str, _Work]] = {
    "download": ("pairs", lambda _recipe, _counts: None),
    "clean": ("rows", lambda _recipe, counts: _work_after("clean", counts)),
    "translate": ("texts", lambda _recipe, counts: _work_after("translate", counts)),
    "align": ("pairs", lambda _recipe, counts: _work_after("align", counts)),
    "shard": ("pairs", lambda _recipe, counts: _work_after("shard", counts)),
    "train": ("pairs", lambda recipe, _counts: float(recipe.train.steps * recipe.train.batch_size)),
    "evaluate": ("scores", lambda recipe, _counts: _judged(recipe.languages.model_dump(), recipe.evaluate.model_dump())),
    "report": ("pages", lambda _recipe, _counts: 1.0),
}
