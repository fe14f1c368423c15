"""Prefect automations that end runs whose process is gone, so that none stays `Running` for ever.

`python -m flows.server.automations` creates them on the server of `PREFECT_API_URL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.server.schemas.states import StateType

_ENDED = ("Completed", "Failed", "Crashed", "Cancelled")
_RUN = "prefect.flow-run."

#: The flows of this project, whose runs all send heartbeats.
_FLOWS = ["pipeline", "prepare", "train", "evaluate", "retrain"]

#: Seconds without a heartbeat (one is sent every 30) after which a run is marked as crashed: longer than a server is down for a restart.
SILENCE = 300


def automations() -> list[AutomationCore]:
    """Return the automations: for runs without heartbeat, runs that never started, and cancellations that no worker carried out."""
    return [
        _automation(
            "without heartbeat",
            "heartbeat",
            ("heartbeat", *_ENDED),
            SILENCE,
            StateType.CRASHED,
            "no heartbeat: its process is gone",
        ),
        _automation(
            "killed before its first heartbeat",
            "Running",
            ("heartbeat", *_ENDED),
            SILENCE,
            StateType.CRASHED,
            "no heartbeat: its process is gone",
            _FLOWS,
        ),
        _automation(
            "that never started",
            "Pending",
            ("Running", "Scheduled", "AwaitingConcurrencySlot", "Cancelling", *_ENDED),
            600,
            StateType.CRASHED,
            "a worker received it and it never started",
        ),
        _automation(
            "with a pending cancellation", "Cancelling", _ENDED, 120, StateType.CANCELLED, "no worker was online to end it"
        ),
    ]


def create_automations(client: SyncPrefectClient) -> None:
    """Create the automations on a server, or update those that differ. An update resets the triggers' state, so equal ones are not touched."""
    for automation in automations():
        known = next(iter(client.read_automations_by_name(automation.name)), None)
        if known is None:
            client.create_automation(automation)
        elif _definition(known) != _definition(automation):
            client.update_automation(known.id, automation)


def _definition(automation: AutomationCore) -> tuple[object, ...]:
    return (
        automation.description,
        automation.trigger.model_dump(exclude={"id"}),
        [action.model_dump() for action in automation.actions],
    )


def _automation(
    runs: str,
    after: str,
    expected: tuple[str, ...],
    seconds: int,
    state: StateType,
    message: str,
    flows: Sequence[str] = (),
) -> AutomationCore:
    """Return an automation for the runs of `flows` (empty: of all flows)."""
    trigger = EventTrigger(
        after={_RUN + after},
        expect={_RUN + name for name in expected},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.role": "flow", "prefect.resource.name": list(flows)} if flows else {},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )
    description = f"After {seconds} seconds: {state.value.lower()} ({message})."
    action = ChangeFlowRunState(state=state, message=message)
    return AutomationCore(name=f"mlctl: run {runs}", description=description, trigger=trigger, actions=[action])


if __name__ == "__main__":
    with get_client(sync_client=True) as server:
        create_automations(server)
