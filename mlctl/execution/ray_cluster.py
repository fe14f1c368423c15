"""The connection to a Ray cluster that this machine is part of. Ray is imported when it is used."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

from mlctl.core.distribution import install_extras
from mlctl.errors import InputError

_ADDRESS_VARIABLE = "RAY_ADDRESS"  # Ray's own
_CONNECT_SECONDS = 10.0


def check_cluster(address: str) -> str:
    """Return the address of the cluster to connect to, once it answers.

    Raises:
        InputError: Ray is not installed, no address is set, or nothing answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
    try:
        import ray  # noqa: F401
    except ImportError:
        raise InputError(
            "executor is ray, but Ray is not installed", f"run `{install_extras('ray')}`, on every machine"
        ) from None
    address = address or os.environ.get(_ADDRESS_VARIABLE, "")
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise InputError(
            f"executor is ray, but {f'{address!r} is not a valid address' if address else 'no address is set'}",
            f"set ray_address (or {_ADDRESS_VARIABLE}) to the host:port that `ray start --head` prints",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster answers at {address}: {error}", "start it (`ray start --head`), or correct ray_address"
        ) from None
    return address


@contextlib.contextmanager
def connection(address: str) -> Iterator[None]:
    """Be connected to the cluster at an address inside the block.

    Raises:
        InputError: the cluster refuses the connection.
    """
    import ray

    if ray.is_initialized():  # the caller runs inside Ray
        yield
        return
    with _restored_sigterm_handler():
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            raise InputError(
                f"the Ray cluster at {address} cannot be used: {reason}",
                "run mlctl on a machine of the cluster (`ray start --address=…`), with its Ray version and its RAY_AUTH_MODE or token",
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _restored_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
