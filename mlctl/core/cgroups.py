"""The control groups (cgroups) of this process, which limit the resources of a container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroup and of its ancestors, of version 2, and of version 1 for a controller such as `cpu`.

    In a container without a cgroup namespace the path is the host's and does not exist here; the container's own cgroup is then
    mounted as the hierarchy's root, which is yielded last.

    Args:
        root: folder that contains `proc/self/cgroup` and `sys/fs/cgroup`.
        controller: the resource that is limited.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)  # e.g. 0::/user.slice (version 2), 4:cpu,cpuacct:/docker/1a2b (version 1)
        if controllers and controller not in controllers.split(","):
            continue
        hierarchy = root / "sys/fs/cgroup" / (controller if controllers else "")  # a link to cpu,cpuacct, whatever their order is
        folder = hierarchy / path.lstrip("/")
        yield from (parent for parent in (folder, *folder.parents) if parent.is_relative_to(hierarchy))
