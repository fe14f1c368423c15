"""Checks of the machine and of the services: cores, memory, disk, GPU, charts, the encoders of the hub, and the Prefect server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mlctl.cli.findings import Check, Finding, problem
from mlctl.cli.flow_command import names_server
from mlctl.cli.units import format_size
from mlctl.core.cpu import usable_cores
from mlctl.core.memory import available_memory
from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError
from storage import Store, StoreError

_MIN_MEMORY, _MIN_DISK = 2e9, 2e9  # bytes: the demo takes less, a pre-trained encoder of the smallest size more
_GPU_DEVICES = ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, Windows' Linux
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/System/Library/Fonts")
_FONTS = (".ttf", ".otf", ".ttc")
_EMPTY_CHART = '{"data": {"values": [{"x": 1}]}, "mark": "point", "encoding": {"x": {"field": "x", "type": "quantitative"}}}'
_MAX_NAMES = 6


def checks(store: str) -> Iterator[Check]:
    """Yield the checks of the machine; `store` is the folder or URL of a recipe's store."""
    yield from (_capacity, lambda: _store(store), _torch, _compiler, _charts, _fonts, _encoders, _server)


def _capacity() -> Iterator[Finding]:
    yield Finding("cores", "ok", str(usable_cores()))
    yield _enough("memory", available_memory(), _MIN_MEMORY, "available", "end other programs, or use a larger machine")


def _store(store: str) -> Iterator[Finding]:
    try:
        opened = Store(store)
        opened.documents().list_names("runs")
    except StoreError as error:
        text, _, remedy = str(error).partition("\n  → ")
        yield Finding("store", "problem", text, remedy)
        return
    folder = next(path for path in (opened.root, *opened.root.parents) if path.exists())
    where = f"free for {redact_url(store)}" if opened.is_remote else f"free for the store {opened.root}"
    if not os.access(folder, os.W_OK):
        yield Finding("store", "problem", f"{folder} is not writable", "name another folder: store=FOLDER")
    else:
        yield _enough(
            "disk", shutil.disk_usage(folder).free, _MIN_DISK, where, "free some space, or name another folder: store=FOLDER"
        )


def _enough(name: str, size: float, least: float, what: str, remedy: str) -> Finding:
    found = f"{format_size(size)} {what}"
    return Finding(name, "ok", found) if size >= least else Finding(name, "problem", found, remedy)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", "problem", f"cannot be imported: {error}", "install it again (pytorch.org/get-started)")
        return
    yield Finding("torch", "ok", str(torch.__version__))
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        yield Finding("GPU", "ok", ", ".join(names))
    elif device := next(filter(os.path.exists, _GPU_DEVICES), None):
        reason = "torch is built for CPUs" if torch.version.cuda is None and torch.version.hip is None else "torch cannot use it"
        yield Finding(
            "GPU",
            "problem",
            f"{device} exists, but {reason}",
            "install a torch for this GPU and driver (pytorch.org/get-started)",
        )
    else:
        yield Finding("GPU", "absent", "training and evaluation use the CPU")


def _compiler() -> Iterator[Finding]:
    found = next(
        (path for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++") if name and (path := shutil.which(name))), None
    )
    if found:
        yield Finding("C++ compiler", "ok", found)
    else:
        yield Finding("C++ compiler", "absent", "for train.compile=true", "apt-get install g++")


def _charts() -> Iterator[Finding]:
    from mlctl.reporting.vega_process import vegalite_to_pngs

    if all(vegalite_to_pngs([_EMPTY_CHART], 1.0)):
        yield Finding("charts", "ok", "can be drawn")
    else:
        yield Finding("charts", "problem", "cannot be drawn: see the warning above", "allow more memory (`ulimit -v`)")


def _fonts() -> Iterator[Finding]:
    folders = [Path(folder).expanduser() for folder in _FONT_FOLDERS]
    count = sum(path.suffix.lower() in _FONTS for folder in folders for path in folder.rglob("*"))
    if count:
        yield Finding("fonts", "ok", f"{count} font files for the labels of charts")
    else:
        yield Finding(
            "fonts",
            "absent",
            "for charts with labels in other scripts than Latin",
            "apt-get install fonts-noto-core fonts-noto-cjk",
        )


def _encoders() -> Iterator[Finding]:
    """Look into the cache of the Hugging Face hub."""
    from huggingface_hub import CacheNotFound, get_token, scan_cache_dir

    try:
        models = sorted((repo for repo in scan_cache_dir().repos if repo.repo_type == "model"), key=lambda repo: repo.repo_id)
    except CacheNotFound:
        models = []
    names = [f"{repo.repo_id} ({format_size(repo.size_on_disk)})" for repo in models[:_MAX_NAMES]]
    more = f" and {len(models) - _MAX_NAMES} more" if len(models) > _MAX_NAMES else ""
    if names:
        yield Finding("models of the hub", "ok", f"in the cache: {', '.join(names)}{more}")
    else:
        yield Finding("models of the hub", "absent", "none in the cache: a run fetches what it needs")
    if not get_token():
        yield Finding("login at the hub", "absent", "for private and gated models, and for publishing", "hf auth login")


def _server() -> Iterator[Finding]:
    if not names_server():
        yield Finding("Prefect server", "absent", "none is configured: a run starts one for itself", "mlctl up")
        return
    from flows.server.connection import check_server, configured_server

    try:
        check_server()
    except InputError as error:
        yield problem("Prefect server", error)
    else:
        yield Finding("Prefect server", "ok", redact_url(configured_server() or ""))
