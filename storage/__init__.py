"""The result store: content-addressed, committed atomically, verified, locked. It knows neither languages nor Prefect."""

from storage.draft import Draft, Result
from storage.errors import StoreError
from storage.manifest import File, Manifest
from storage.store import Store

__all__ = [
    "Draft",
    "File",
    "Manifest",
    "Result",
    "Store",
    "StoreError",
]
