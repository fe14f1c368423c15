"""The store's own error."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; the text says why and how to mend it."""
