"""The distribution that contains mlctl, and the command that installs its extras."""

from __future__ import annotations

import json
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

#: Name on the package index. The project `mlctl` there is another one, so the distribution's name differs from that of the package.
DISTRIBUTION = "mlctl-encoders"

_CHECKOUT = Path(__file__).parents[2]


def install_command() -> str:
    """Return the command that installs what this installation needs."""
    return f"{shlex.quote(sys.executable)} -m pip install {_requirement()}"


def install_extras(*extras: str) -> str:
    """Return the command that adds extras to this installation: from its checkout, its wheel, its repository or the package index."""
    return f"{shlex.quote(sys.executable)} -m pip install {_requirement(*extras)}"


def _requirement(*names: str) -> str:
    """Return pip's arguments for this installation with extras, from where it was installed (PEP 610)."""
    extras = f"[{','.join(names)}]" if names else ""
    origin = _origin()
    url = str(origin.get("url", ""))
    folder = _folder(url) if "dir_info" in origin else None
    if folder is None and not origin and (_CHECKOUT / "pyproject.toml").is_file():
        folder = _CHECKOUT  # the package is imported from a checkout that is not installed
    if folder is not None:
        editable = "" if origin and not origin["dir_info"].get("editable") else "--editable "
        return f"{editable}{shlex.quote(f'{folder}{extras}')}"
    if "vcs_info" in origin:
        version = origin["vcs_info"]
        return shlex.quote(f"{DISTRIBUTION}{extras} @ {version['vcs']}+{url}@{version['commit_id']}")
    if "archive_info" in origin:
        return shlex.quote(f"{DISTRIBUTION}{extras} @ {url}")
    return shlex.quote(f"{DISTRIBUTION}{extras}")


def _origin() -> dict[str, Any]:
    """Return `direct_url.json` of the installed distribution; empty: it comes from the package index, or is not installed."""
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}
    return dict(json.loads(text)) if text else {}


def _folder(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))
