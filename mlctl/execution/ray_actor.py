"""What runs on the machines of a Ray cluster: an actor with a child process, as on one machine."""

from __future__ import annotations

import json
import platform
import shutil
import socket
from pathlib import Path
from typing import Any

from mlctl import version
from mlctl.errors import InputError
from mlctl.execution.file_transfer import InputFiles, Transfer, WorkerFiles, worker_folder
from mlctl.execution.processes import ChildProcess, error_from_response, run_job


class WorkerActor:
    """The actor: runs jobs in a child process on its machine."""

    def __init__(self, module: str) -> None:
        self._child = ChildProcess(module)
        self._files: WorkerFiles | None = None

    def describe_node(self, marker: str) -> dict[str, Any]:
        """Return the machine's name, Ray's identifier of it, its versions, and whether it sees the marker file."""
        import ray

        return {
            "node": socket.gethostname(),
            "identifier": ray.get_runtime_context().get_node_id(),
            "sees_marker": Path(marker).exists(),
            "versions": versions(),
        }

    def transfer_files(self, transfer: str) -> dict[str, Any]:
        """Get files through a URL from now on: a `Transfer` as JSON. Return the response, for `error_from_actor`."""

        def start(content: str) -> None:
            described = Transfer.model_validate_json(content)
            self._files = WorkerFiles(described, worker_folder(described))

        return run_job(start, transfer)

    def run(self, job: str, description: str, remedy: str, timeout: float | None, inputs: str) -> dict[str, Any]:
        """Run a job (JSON) and return the response, for `error_from_actor`; `parts` has what it wrote, where files are transferred.

        `inputs` are the `InputFiles` as JSON; empty: this machine sees the files.
        """
        parts: list[dict[str, Any]] = []

        def run(content: Any) -> None:
            if self._files is None:
                self._child.run(content, description, remedy, timeout)
                return
            self._files.fetch(InputFiles.model_validate_json(inputs))
            written = self._child.run_and_list(self._files.localized(content), description, remedy, timeout)
            parts.extend(part.model_dump() for part in self._files.upload(written))

        try:
            return {**run_job(run, json.loads(job)), "parts": parts}
        except RuntimeError as error:
            return {"failed": str(error)}


def check_node(node_info: dict[str, Any], folder: Path, transfers: bool) -> str:
    """Return the name of a machine that can run workers; `transfers`: files can get there through a URL.

    Raises:
        InputError: it has another version of mlctl or Python, or does not see the folder that the stage works in.
    """
    node, remote, required = node_info["node"], node_info["versions"], versions()
    if remote != required:
        different = [name for name in remote if remote[name] != required[name]]
        there, here = (", ".join(f"{name} {side[name]}" for name in different) for side in (remote, required))
        raise InputError(
            f"{node} of the Ray cluster has {there}, this machine {here}", "install the same versions on all machines"
        )
    if not node_info["sees_marker"] and not transfers:
        raise InputError(
            f"{node} of the Ray cluster does not see {folder}",
            "put the store behind a URL (s3://…), or on a file system that all machines have under the same path",
        )
    return str(node)


def versions() -> dict[str, str]:
    """Return the versions that must be equal on all machines."""
    return {"mlctl": version.__version__, "Python": ".".join(platform.python_version_tuple()[:2])}


def error_from_actor(response: dict[str, Any]) -> Exception | None:
    """Return the error in a response of the actor, if there is one."""
    if "failed" in response:
        return RuntimeError(response["failed"])
    return error_from_response(response, "")


def remove_files(transfer: str) -> None:
    """On a worker's machine: remove what was downloaded there for a `Transfer` (JSON)."""
    shutil.rmtree(worker_folder(Transfer.model_validate_json(transfer)), ignore_errors=True)
