"""Which rows are from catalogues of messages (menu entries, labels), where `&` can mark a keyboard accelerator."""

from __future__ import annotations

import functools
import re

# Origins name the file: `x.po#3`, `x.zip/fr/x.xlf#3`, `django/locale/fr/LC_MESSAGES/django.mo#Save`.
_FILE = re.compile(r"\.(?:po|mo|xlf|xliff)(?:\.\w+)?#", re.IGNORECASE)
# Corpora of OPUS that were made from catalogues, also as ids of mtdata (`OPUS-kde4-v2-eng-fra`).
_CORPUS = re.compile(r"(?:^|[-_ ])(?:gnome|kde4|mozilla-i10n|openoffice|ubuntu|xfce)(?:[-_ ]|$)", re.IGNORECASE)


def is_catalogue(corpus: str, origin: str) -> bool:
    """Return whether a row is from a message catalogue, by the name of its corpus or of its file."""
    return _is_catalogue_corpus(corpus) or _FILE.search(origin) is not None


@functools.lru_cache(maxsize=256)
def _is_catalogue_corpus(corpus: str) -> bool:
    return _CORPUS.search(corpus) is not None
