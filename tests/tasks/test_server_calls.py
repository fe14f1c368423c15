"""A Prefect server that does not answer: no stage waits for it, and it gets what it missed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect import flow

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref, Stage, StageContext
from mlctl.reporting.run_summary import RunSummary
from tasks.artifacts import publish_summary
from tasks.server_calls import calls
from tasks.stage_task import run_stage, stage_task

PATIENCE = 60.0


def processes(url: str) -> list[psutil.Process]:
    """Return the processes of the server that the tests started."""
    port = int(url.removesuffix("/api").rsplit(":", 1)[1])
    server = next(p for p in psutil.Process().children(recursive=True) if str(port) in p.cmdline())
    return [server, *server.children(recursive=True)]


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return value


def test_no_stage_waits_for_a_server_that_hangs_and_it_gets_what_it_missed(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.server_calls._TIMEOUT", 1.0)
    monkeypatch.setattr("tasks.server_calls._RETRY_SECONDS", 0.5)
    monkeypatch.setattr("tasks.progress._ARTIFACT_SECONDS", 0.0)
    answers_again, order = threading.Event(), []
    silent = processes(server)

    def resume() -> None:
        answers_again.wait(PATIENCE)
        order.append("server")
        for process in silent:
            process.resume()

    def work(context: StageContext) -> dict[str, Any]:
        for process in silent:
            process.suspend()
        thread.start()
        for done in range(1, 4):
            context.progress(done, 3, "seeds")
        logging.getLogger("mlctl.test").info("said while the server was silent")
        with context.workspace.part("seed.txt") as path:
            path.write_text("0")
        return {}

    thread = threading.Thread(target=resume, daemon=True)
    stage = Stage("clean", 1, (), lambda _: {}, work)

    @stage_task
    def clean(recipe: Recipe) -> Ref:
        return run_stage(stage, recipe, publish=lambda _: publish_summary(RunSummary("while silent")))

    @flow(name="silent-server", validate_parameters=False)
    def silent_server(recipe: Recipe) -> Ref:
        ref: Ref = clean(recipe)
        until(lambda: "does not answer" in caplog.text)
        order.append("stage")
        answers_again.set()
        calls.flush(PATIENCE)
        return ref

    try:
        silent_server(Recipe(store=str(tmp_path)))
    finally:
        for process in silent:
            process.resume()
    thread.join(PATIENCE)
    assert order == ["stage", "server"]
    assert caplog.text.count("does not answer") == 1

    def artifacts() -> dict[str, Any]:
        found = httpx.post(f"{server}/artifacts/filter", json={"sort": "CREATED_DESC", "limit": 20}).json()
        return {artifact["key"]: artifact["data"] for artifact in reversed(found)}

    until(lambda: artifacts().get("clean-progress") == 100.0)
    assert artifacts()["summary"].startswith("# while silent")
    said = {"logs": {}, "sort": "TIMESTAMP_DESC", "limit": 50}
    until(lambda: any("was silent" in log["message"] for log in httpx.post(f"{server}/logs/filter", json=said).json()))
