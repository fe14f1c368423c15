"""The result store: content-addressed, committed atomically, verified, locked. It knows neither languages nor Prefect."""

from storage.errors import StoreError
from storage.manifest import File, Manifest
from storage.store import Draft, Result, Store

__all__ = [
    "Draft",
    "File",
    "Manifest",
    "Result",
    "Store",
    "StoreError",
]
