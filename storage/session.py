"""What a process does while it uses a store: it holds a lease on the results that it uses, and verifies each of them once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.leases import Address, Lease
from storage.verify import Check

#: How much of a result is verified where nothing else is said.
DEFAULT_CHECK: Check = "sampled"


@dataclass
class Session:
    """The use of one store by this process, from the start of a run to its end.

    Attributes:
        lease: on the results that it uses.
        check: how much of a result is verified when it is first used; later only sizes and times.
        verified: the results that were verified so far.
    """

    lease: Lease
    check: Check
    verified: set[Address] = field(default_factory=set)
    users: int = 0


_sessions: dict[Path, Session] = {}
_guard = threading.Lock()


@contextlib.contextmanager
def session(root: Path, check: Check = DEFAULT_CHECK) -> Iterator[Session]:
    """Use the store at a root folder inside the block; a block inside another one belongs to the same session."""
    with _guard:
        if root not in _sessions:
            _sessions[root] = Session(Lease(root).__enter__(), check)
        opened = _sessions[root]
        opened.users += 1
    try:
        yield opened
    finally:
        with _guard:
            opened.users -= 1
            if not opened.users:
                del _sessions[root]
                opened.lease.__exit__()


def current(root: Path) -> Session | None:
    """Return this process's session of the store at a root folder; None outside of one."""
    return _sessions.get(root)
