"""The scrub of a store as a flow: its result is an artifact, and it fails where something is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State

from flows.scrub import scrub
from mlctl.core.workspace import Workspace
from storage import Draft, Store


def artifact(state: State[Any]) -> list[dict[str, Any]]:
    """Return the table of a run's artifact."""
    assert state.state_details.flow_run_id
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(artifact_filter=of_run)
    table: list[dict[str, Any]] = json.loads(str(found.data))
    return table


def test_a_scrub_tells_and_fails(tmp_path: Path, server: str) -> None:
    with Store(tmp_path).building("clean", "a" * 24) as draft:
        assert isinstance(draft, Draft)
        with Workspace(draft.folder).part("file") as path:
            path.write_text("text")
        draft.seal({}, {}, {}, {})
    state = scrub(str(tmp_path), return_state=True)
    assert state.is_completed(), state.message
    assert artifact(state) == [{"results": 1, "problems": 0}]
    (tmp_path / "clean" / ("a" * 24) / "file").write_text("Text")
    state = scrub(str(tmp_path), return_state=True)
    assert state.is_failed()
    (row,) = artifact(state)
    assert row["problem"] == "file: its bytes have changed"
    assert "computed again" in row["what happens next"]
    assert "file: its bytes have changed" in str(state.message)
