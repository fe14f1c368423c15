"""Publishes a champion: to a folder, behind a URL, or to the Hugging Face hub."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mlctl.errors import InputError
from mlctl.pipeline.export import export_results
from storage import Store
from storage.champion_registry import Champion
from storage.remote import Remote

#: Behind a URL: names the folder of the current champion; written last.
POINTER = "champion.json"

_HUB = "hf://"


def publish(store: Store, name: str, champion: Champion, target: str) -> None:
    """Write a champion's model, card, attribution and figures to a target, in place of the champion before.

    A folder is replaced atomically. Behind a URL each champion has a separate folder, and `champion.json` names the current one. On
    the hub it is one commit; a repository that does not exist yet is created, private.

    Raises:
        InputError: the target cannot be written to.
        StoreError: the service behind a URL cannot be used, or a file of the champion is damaged.
    """
    title = f"champion {champion.number} of {name}"
    if "://" not in target:
        export_results(store, Path(target), champion.results["report"], title)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "champion"
        export_results(store, folder, champion.results["report"], title)
        if target.startswith(_HUB):
            push_to_hub(folder, target.removeprefix(_HUB), title)
        else:
            _to_url(folder, target, champion)


def _to_url(folder: Path, url: str, champion: Champion) -> None:
    remote, folder_name = Remote(url), f"{champion.number}-{champion.results['train'][:8]}"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        remote.upload_file(path, f"{folder_name}/{path.relative_to(folder).as_posix()}")
    pointer = {"folder": folder_name, "number": champion.number, "results": champion.results, "created": champion.created}
    remote.overwrite_text(POINTER, json.dumps(pointer, indent=1) + "\n")


def push_to_hub(folder: Path, name: str, title: str) -> None:
    """Make a folder the content of a repository of the hub in one commit; one that does not exist yet is created, private.

    Args:
        folder: what is published.
        name: of the repository.
        title: what it is, as the commit's message.

    Raises:
        InputError: the hub refuses it or cannot be reached.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        hub.create_repo(name, private=True, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message=title, delete_patterns="*")
    except Exception as error:  # whatever the hub client's transport raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{title} cannot be published as {_HUB}{name}: {reason}", "check the name, the network and HF_TOKEN, then run again"
        ) from None
