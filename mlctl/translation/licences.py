"""Under which licence translations are made: what the recipe says of the engine, or its model's card.

A model's licence is taken to bind what the model writes: whether it does is disputed, so that the careful reading is the one that a
gate can stand on. A rule-based engine is a program: its output is the translation of the text, under the text's licence, whatever
licence its dictionaries have.
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
from mlctl.translation.backend import model_name

UNKNOWN = "unknown"
#: Licence of translations that carry that of their text and no other.
OF_THE_TEXT = ""

_FENCE = "---"
_HUB_TIMEOUT = 10.0  # seconds to the first answer


def licence(settings: Translate, languages: Languages) -> str:
    """Return the licence that the recipe's translations carry beside that of their text: an SPDX id, several joined by AND.

    "" stands for none (no backend, apertium), "unknown" for a program or a model that states none.
    """
    return _joined(licence for _, licence in _engines(settings, _ways(languages, settings.pivot)))


def check_licence(settings: Translate, languages: Languages, allows: Callable[[str], bool]) -> None:
    """Let an engine pass whose licence is allowed; without a backend nothing is asked.

    Args:
        settings: names the engine.
        languages: which say what models there are.
        allows: tells whether `licences.allow` covers a licence.

    Raises:
        InputError: names every model that is outside.
    """
    found = [*dict.fromkeys(_engines(settings, _ways(languages, settings.pivot)))]
    outside = [(name, stated) for name, stated in found if stated != OF_THE_TEXT and not allows(stated)]
    if not outside:
        return
    told = ", ".join(f"{name} ({stated})" for name, stated in outside)
    ids = ", ".join(dict.fromkeys(stated for _, stated in outside))
    raise InputError(
        f"licences.allow does not cover the translation engine {told}. Nothing was started",
        f"add {ids} to licences.allow, take another engine, or name its licence in translate.licence",
    )


def record(settings: Translate, identity: Mapping[str, str], source: str, target: str) -> dict[str, str]:
    """Return what goes into `engines.json` of the translator from `source` to `target`: identity, direction, engine, licence."""
    direct, *through = _legs(source, target, settings.pivot)
    found = _joined(licence for _, licence in _engines(settings, through if _leg_names(identity) else [direct]))
    return {**identity, "direction": f"{source}→{target}", "engine": engine_name(identity), "licence": found}


def engine_name(identity: Mapping[str, str]) -> str:
    """Return what an engine is called in records: backend and model, without folders; of a route, each leg's."""
    if legs := _leg_names(identity):
        return ", ".join(
            engine_name({name[len(leg) :]: value for name, value in identity.items() if name.startswith(leg)}) for leg in legs
        )
    program = shlex.split(identity.get("command", ""))[:1]  # its arguments may be long, or secret
    name = next((name for name in (identity.get("model"), identity.get("mode"), *program) if name), "")
    plain = Path(name).name if name.startswith(("/", ".", "~")) else name
    return f"{identity.get('backend', '')} {plain}".strip()


def _leg_names(identity: Mapping[str, str]) -> list[str]:
    """Return what stands before the names of each leg in the identity of a route."""
    return [name.removesuffix("backend") for name in identity if name.endswith(" backend")]


def _engines(settings: Translate, ways: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (name, licence) of every engine that may translate one of the ways."""
    if settings.backend == "none":
        return []
    if settings.backend == "apertium":
        return [("apertium", _official(settings.licence))]
    if settings.backend == "command":
        return [(settings.command[0], _official(settings.licence) or UNKNOWN)]
    names = dict.fromkeys(model_name(settings, source, target) for source, target in ways)
    found = {name: settings.licence or _card_licence(name, settings.revision) for name in names}
    return [(name, _official(stated)) for name, stated in found.items() if stated is not None]


def _ways(languages: Languages, pivot: str | None) -> list[tuple[str, str]]:
    """Return every way that a translation of the recipe can go; which of them are gone, the text decides."""
    pairs = [(languages.source, target) for target in languages.targets]
    return [way for one, other in pairs for way in (*_legs(one, other, pivot), *_legs(other, one, pivot))]


def _legs(source: str, target: str, pivot: str | None) -> list[tuple[str, str]]:
    through = [(source, pivot), (pivot, target)] if pivot and pivot not in (source, target) else []
    return [(source, target), *through]


def _joined(licences: Iterable[str]) -> str:
    return " AND ".join(sorted({licence for licence in licences if licence != OF_THE_TEXT}))


def _card_licence(name: str, revision: str) -> str | None:
    """Return the licence of a model's card, "unknown" without one; None where there is no such model."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _stated(folder / "README.md")
    return _hub_licence(name, revision)


@functools.lru_cache(maxsize=64)
def _hub_licence(name: str, revision: str) -> str | None:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT)  # unlike a download, it tries once and gives up
        return _stated(Path(hf_hub_download(name, "README.md", revision=revision)))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    except EntryNotFoundError:
        return UNKNOWN
    except Exception:  # a name that the hub does not take, or whatever its client's transport raises
        return _cached_licence(name, revision)


def _cached_licence(name: str, revision: str) -> str | None:
    from huggingface_hub import snapshot_download

    try:
        return _stated(Path(snapshot_download(name, revision=revision, local_files_only=True)) / "README.md")
    except Exception:  # whatever it raises for what is not there
        return None


def _stated(card: Path) -> str:
    """Return the licence in the front matter of a model's card."""
    try:
        lines = card.read_text(encoding="utf-8-sig").splitlines()
        matter: Any = yaml.safe_load("\n".join(itertools.takewhile(_inside, lines[1:]))) if lines[:1] == [_FENCE] else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return UNKNOWN
    stated = matter.get("license") if isinstance(matter, dict) else None
    if stated == "other" and isinstance(matter.get("license_name"), str):
        stated = f"LicenseRef-{matter['license_name']}"
    return " AND ".join(_official(str(one)) for one in stated) if isinstance(stated, list) else str(stated or UNKNOWN)


def _inside(line: str) -> bool:
    return line.rstrip() != _FENCE


def _official(stated: str) -> str:
    """Return an SPDX id in SPDX's spelling (the hub writes cc-by-nc-4.0), any other text as it is."""
    return _spellings().get(stated.lower(), stated)


@functools.cache
def _spellings() -> dict[str, str]:
    from license_expression import get_spdx_licensing  # its table takes a while to build

    return {key.lower(): key for key in get_spdx_licensing().known_symbols}
