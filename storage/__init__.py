"""Where results live: addressed by what made them, committed atomically, verified, locked. Knows nothing of language or Prefect."""

from mlctl.core.hashing import content_digest, file_digest, key_of, tree_digest
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
    "content_digest",
    "file_digest",
    "key_of",
    "tree_digest",
]
