"""The licence of translations: the one that the recipe states for the backend, or that of the model's card.

A model's licence is assumed to bind its output. Whether it does is disputed; a licence check has to assume the stricter reading. A
rule-based backend is a program: its output is the translation of the text, under the text's licence, whatever licence its dictionaries
have.
"""

from __future__ import annotations

import functools
import itertools
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlctl.config import Languages, Translate
from mlctl.errors import InputError

UNKNOWN = "unknown"
#: Licence of translations that have only the licence of their text.
OF_THE_TEXT = ""

_FENCE = "---"
_HUB_TIMEOUT = 10.0  # seconds until the first response


def licence(settings: Translate, languages: Languages) -> str:
    """Return the licence that the recipe's translations have in addition to that of their text: an SPDX id, several joined by AND.

    "" stands for none (no backend, apertium), "unknown" for a program or a model that states none.
    """
    return _join(licence for _, licence in _licensed(settings, _directions(languages, settings.pivot)))


def check_licence(settings: Translate, languages: Languages, allows: Callable[[str], bool]) -> None:
    """Check that the licence of every backend is allowed.

    Args:
        settings: names the backend and its models.
        languages: determine which models are used.
        allows: returns whether `licences.allow` covers a licence.

    Raises:
        InputError: a licence is not allowed; the message names every such model.
    """
    backends = [*dict.fromkeys(_licensed(settings, _directions(languages, settings.pivot)))]
    refused = [(name, stated) for name, stated in backends if stated != OF_THE_TEXT and not allows(stated)]
    if not refused:
        return
    names = ", ".join(f"{name} ({stated})" for name, stated in refused)
    ids = ", ".join(dict.fromkeys(stated for _, stated in refused))
    raise InputError(
        f"licences.allow does not cover the translation backend {names}. Nothing was started",
        f"add {ids} to licences.allow, use another backend or model, or state its licence in translate.licence",
    )


def record(settings: Translate, identity: Mapping[str, str], source: str, target: str) -> dict[str, str]:
    """Return the entry of `backends.json` for the backend from `source` to `target`: identity, direction, name and licence."""
    direct, *pivot_steps = _steps(source, target, settings.pivot)
    used = pivot_steps if _step_prefixes(identity) else [direct]
    licences = _join(licence for _, licence in _licensed(settings, used))
    return {**identity, "direction": f"{source}→{target}", "name": backend_name(identity), "licence": licences}


def backend_name(identity: Mapping[str, str]) -> str:
    """Return the name of a backend in records: backend and model, without folders; for a pivot those of each step."""
    if prefixes := _step_prefixes(identity):
        steps = (
            {name.removeprefix(prefix): value for name, value in identity.items() if name.startswith(prefix)}
            for prefix in prefixes
        )
        return ", ".join(map(backend_name, steps))
    program = shlex.split(identity.get("command", ""))[:1]  # without its arguments, which may be long or secret
    name = next((name for name in (identity.get("model"), identity.get("mode"), *program) if name), "")
    short = Path(name).name if name.startswith(("/", ".", "~")) else name
    return f"{identity.get('backend', '')} {short}".strip()


def _step_prefixes(identity: Mapping[str, str]) -> list[str]:
    """Return the prefix of each step's names in the identity of a pivot backend."""
    return [name.removesuffix("backend") for name in identity if name.endswith(" backend")]


def _licensed(settings: Translate, directions: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (name, licence) of every model or program that may translate one of the directions."""
    if settings.backend == "none":
        return []
    if settings.backend == "apertium":
        return [("apertium", _spdx(settings.licence))]
    if settings.backend == "openai":
        return [(settings.model, _spdx(settings.licence) or UNKNOWN)]
    if settings.backend == "command":
        return [(settings.command[0], _spdx(settings.licence) or UNKNOWN)]
    names = dict.fromkeys(settings.model_for(source, target) for source, target in directions)
    licences = {name: settings.licence or _card_licence(name, settings.revision) for name in names}
    return [(name, _spdx(stated)) for name, stated in licences.items() if stated is not None]


def _directions(languages: Languages, pivot: str | None) -> list[tuple[str, str]]:
    """Return every direction in which the recipe may translate; which are used depends on the text."""
    pairs = [(languages.source, target) for target in languages.targets]
    return [step for source, target in pairs for step in (*_steps(source, target, pivot), *_steps(target, source, pivot))]


def _steps(source: str, target: str, pivot: str | None) -> list[tuple[str, str]]:
    """Return the direct step, and the two steps through the pivot."""
    through_pivot = [(source, pivot), (pivot, target)] if pivot and pivot not in (source, target) else []
    return [(source, target), *through_pivot]


def _join(licences: Iterable[str]) -> str:
    return " AND ".join(sorted({licence for licence in licences if licence != OF_THE_TEXT}))


def _card_licence(name: str, revision: str) -> str | None:
    """Return the licence of a model's card, "unknown" without one; None if the model does not exist."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _stated_licence(folder / "README.md")
    return _hub_licence(name, revision)


@functools.lru_cache(maxsize=64)
def _hub_licence(name: str, revision: str) -> str | None:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT)  # does not retry, unlike a download
        return _stated_licence(Path(hf_hub_download(name, "README.md", revision=revision)))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    except EntryNotFoundError:
        return UNKNOWN
    except Exception:  # an invalid name, or an error of the client's transport
        return _cached_licence(name, revision)


def _cached_licence(name: str, revision: str) -> str | None:
    from huggingface_hub import snapshot_download

    try:
        return _stated_licence(Path(snapshot_download(name, revision=revision, local_files_only=True)) / "README.md")
    except Exception:  # raises several types for a model that is not cached
        return None


def _stated_licence(card: Path) -> str:
    """Return the licence in the front matter of a model's card."""
    try:
        lines = card.read_text(encoding="utf-8-sig").splitlines()
        matter: Any = yaml.safe_load("\n".join(itertools.takewhile(_is_inside, lines[1:]))) if lines[:1] == [_FENCE] else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return UNKNOWN
    stated = matter.get("license") if isinstance(matter, dict) else None
    if stated == "other" and isinstance(matter.get("license_name"), str):
        stated = f"LicenseRef-{matter['license_name']}"
    return " AND ".join(_spdx(str(name)) for name in stated) if isinstance(stated, list) else str(stated or UNKNOWN)


def _is_inside(line: str) -> bool:
    return line.rstrip() != _FENCE


def _spdx(stated: str) -> str:
    """Return an SPDX id in SPDX's spelling (the hub writes cc-by-nc-4.0), any other text unchanged."""
    return _spdx_spellings().get(stated.lower(), stated)


@functools.cache
def _spdx_spellings() -> dict[str, str]:
    from license_expression import get_spdx_licensing  # slow to import

    return {key.lower(): key for key in get_spdx_licensing().known_symbols}
