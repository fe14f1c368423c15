"""Re-train and die by SIGKILL where the champion's pointer is about to move: `kill_at_promotion.py RECIPE [OVERRIDE …]`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from mlctl.cli.main import main
from storage.champion_registry import ChampionRegistry

promote = ChampionRegistry.promote


def promote_and_die(self: ChampionRegistry, *arguments: Any, **named: Any) -> None:
    os.link = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    promote(self, *arguments, **named)


ChampionRegistry.promote = promote_and_die  # type: ignore[method-assign, assignment]
sys.exit(main(["retrain", *sys.argv[1:]]))
