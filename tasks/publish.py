"""A champion where others find it: in a folder, behind a URL, on the Hugging Face hub."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mlctl.errors import InputError
from storage import Store
from storage.champion_registry import Champion
from storage.remote import Remote
from tasks.export import export_results

#: Behind a URL: names the folder of the champion that counts; written last.
POINTER = "champion.json"

_HUB = "hf://"


def publish(store: Store, name: str, champion: Champion, place: str) -> None:
    """Write a champion's model, card, attribution and figures to a place, in the stead of the one before.

    A folder is replaced whole. Behind a URL each champion has a folder of its own, and `champion.json` names the one that counts. On
    the hub it is one commit; a model that is not there yet is made, private.

    Raises:
        InputError: the place cannot be written to.
        StoreError: the service behind a URL cannot be used, or a file of the champion is damaged.
    """
    of = f"champion {champion.number} of {name}"
    if "://" not in place:
        export_results(store, Path(place), champion.results["report"], of)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "champion"
        export_results(store, folder, champion.results["report"], of)
        if place.startswith(_HUB):
            _to_hub(folder, place.removeprefix(_HUB), of)
        else:
            _to_url(folder, place, champion)


def _to_url(folder: Path, url: str, champion: Champion) -> None:
    remote, own = Remote(url), f"{champion.number}-{champion.results['train'][:8]}"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        remote.put(path, f"{own}/{path.relative_to(folder).as_posix()}")
    pointer = {"folder": own, "number": champion.number, "results": champion.results, "made": champion.made}
    remote.replace(POINTER, json.dumps(pointer, indent=1) + "\n")


def _to_hub(folder: Path, name: str, of: str) -> None:
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        hub.create_repo(name, private=True, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message=of, delete_patterns="*")
    except Exception as error:  # whatever the hub client's transport raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{of} cannot be published as {_HUB}{name}: {reason}", "check the name, the network and HF_TOKEN, then run again"
        ) from None
