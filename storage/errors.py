"""The store's error."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was requested; the message says why and how to fix it."""
