from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from mlctl.core.locks import locked


def test_a_lock_that_another_holds_is_waited_for(tmp_path: Path) -> None:
    waiting, entered = threading.Event(), threading.Event()

    def enter() -> None:
        with locked(tmp_path / "lock", waiting.set):
            entered.set()

    thread = threading.Thread(target=enter)
    with locked(tmp_path / "lock"):
        thread.start()
        assert waiting.wait(10)
        assert not entered.wait(0.5)
    assert entered.wait(10)
    thread.join()


def test_who_waits_can_be_called_off(tmp_path: Path) -> None:
    calls: list[float] = []

    def cancelled() -> bool:
        calls.append(time.monotonic())
        return len(calls) > 2

    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", None, cancelled):
        pass
    assert len(calls) == 3
    with locked(tmp_path / "lock"):
        pass
