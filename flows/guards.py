"""Automations on the Prefect server that free a run whose process cannot speak for itself any more, so that none is `Running` for ever.

`python -m flows.guards` sets them on the server that `PREFECT_API_URL` names.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.server.schemas.states import StateType

_ENDED = ("Completed", "Failed", "Crashed", "Cancelled")
_RUN = "prefect.flow-run."

#: Seconds without a heartbeat (there is one every 30) after which a run has crashed. A server that was down, or too busy to hear
#: them, for a shorter time takes no run for dead.
SILENCE = 300


def guards() -> list[AutomationCore]:
    """Return the automations: for runs that fell silent, that never began, and that were to be cancelled where nobody heard it."""
    return [
        _guard(
            "fell silent", "heartbeat", ("heartbeat", *_ENDED), SILENCE, StateType.CRASHED, "no heartbeat: its process is gone"
        ),
        _guard(
            "never began",
            "Pending",
            ("Running", "Scheduled", "AwaitingConcurrencySlot", "Cancelling", *_ENDED),
            600,
            StateType.CRASHED,
            "it was handed to a worker and never began",
        ),
        _guard("cancelled unheard", "Cancelling", _ENDED, 120, StateType.CANCELLED, "no worker was there to end it"),
    ]


def set_guards(client: SyncPrefectClient) -> None:
    """Make the server have these automations, once each. One that is there as it should be is left alone: set again it forgets what it waits for."""
    for guard in guards():
        known = next(iter(client.read_automations_by_name(guard.name)), None)
        if known is None:
            client.create_automation(guard)
        elif _told(known) != _told(guard):
            client.update_automation(known.id, guard)


def _told(guard: AutomationCore) -> tuple[object, ...]:
    return guard.description, guard.trigger.model_dump(exclude={"id"}), [action.model_dump() for action in guard.actions]


def _guard(what: str, after: str, expected: tuple[str, ...], seconds: int, state: StateType, message: str) -> AutomationCore:
    trigger = EventTrigger(
        after={_RUN + after},
        expect={_RUN + name for name in expected},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )
    said = f"After {seconds} seconds: {state.value.lower()} ({message})."
    action = ChangeFlowRunState(state=state, message=message)
    return AutomationCore(name=f"mlctl: a run {what}", description=said, trigger=trigger, actions=[action])


if __name__ == "__main__":
    with get_client(sync_client=True) as server:
        set_guards(server)
