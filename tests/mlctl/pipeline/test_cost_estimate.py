"""Times are estimated from the usual rate of earlier results, not from one slow run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.pipeline.cost_estimate import estimate
from mlctl.pipeline.stages import train
from storage import Draft, Manifest, Store


def seal(store: Store, steps: int, seconds: float, seed: int) -> None:
    """Put a training of `steps` steps of 64 pairs into the store, which took `seconds`."""
    recipe = Recipe(store=str(store.root), train={"steps": steps, "batch_size": 64}, seed=seed)
    parts = train.STAGE.request(recipe, {}).parts
    key = f"{seed:024x}"
    with store.building("train", key, lambda: None) as draft:
        assert isinstance(draft, Draft)
        with Workspace(draft.folder).part("file") as path:
            path.write_text(str(seed))
        draft.seal(parts, {}, {"pairs": steps * 64, "device": "cpu", "processes": 1}, {}, ())
    folder = store.folder("train", key)
    dataclasses.replace(Manifest.load(folder), seconds=seconds).write(folder)


def test_one_slow_run_does_not_decide(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for seed, seconds in enumerate((10.0, 11.0, 12.0, 9000.0), 1):
        seal(store, 100, seconds, seed)
    seal(store, 1, 50.0, 9)  # start-up time alone
    recipe = Recipe(store=str(store.root), train={"steps": 200, "batch_size": 64}, seed=4)
    training = estimate(recipe, online=False).stages[5]
    assert training.seconds is not None
    assert 20 <= training.seconds <= 25
    assert estimate(Recipe(store=str(tmp_path / "other")), online=False).stages[5].seconds is None
