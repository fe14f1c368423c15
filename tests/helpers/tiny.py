"""A tiny real-looking corpus: sentences of a small grammar in English, French and German, shipped as catalogues in a wheel."""

from __future__ import annotations

import base64
import hashlib
import itertools
import zipfile
from pathlib import Path
from typing import Any

NAME, VERSION = "tinylocales", "1.0"

WHO = [
    ("the gardener", "le jardinier", "der Gärtner"),
    ("my sister", "ma sœur", "meine Schwester"),
    ("a young doctor", "un jeune médecin", "ein junger Arzt"),
    ("the old captain", "le vieux capitaine", "der alte Kapitän"),
    ("your neighbour", "votre voisin", "dein Nachbar"),
]
DOES = [
    ("paints", "peint", "malt"),
    ("sells", "vend", "verkauft"),
    ("repairs", "répare", "repariert"),
    ("admires", "admire", "bewundert"),
]
WHAT = [
    ("the green boat", "le bateau vert", "das grüne Boot"),
    ("a wooden chair", "une chaise en bois", "einen hölzernen Stuhl"),
    ("the broken clock", "l'horloge cassée", "die kaputte Uhr"),
    ("three small houses", "trois petites maisons", "drei kleine Häuser"),
]
WHEN = [
    ("every morning", "chaque matin", "jeden Morgen"),
    ("on Sunday", "le dimanche", "am Sonntag"),
    ("in the winter", "en hiver", "im Winter"),
]


def sentences() -> list[tuple[str, str, str]]:
    """240 sentences, each in English, French and German."""
    return [
        (
            f"{w[0].capitalize()} {d[0]} {o[0]} {t[0]}.",
            f"{w[1].capitalize()} {d[1]} {o[1]} {t[1]}.",
            f"{w[2]} {d[2]} {o[2]} {t[2]}.",
        )
        for w, d, o, t in itertools.product(WHO, DOES, WHAT, WHEN)
    ]


def catalogue(language: int) -> str:
    """Return a .po file: 1 is French, 2 German. A few rows are dirt for the cleaner, a few have no translation."""
    entries = [(row[0], row[language]) for row in sentences()]
    entries += [("&File %(count)d", "&Fichier %(count)d"), ("OK", "OK"), ("12:30", "12 h 30"), ("Undo the change", "")]
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    return head + "".join(f'msgid "{source}"\nmsgstr "{target}"\n\n' for source, target in entries)


def write_wheel(folder: Path, name: str = NAME, version: str = VERSION) -> Path:
    """Write a wheel that pip accepts, with the two catalogues."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/locale/fr/LC_MESSAGES/{name}.po": catalogue(1),
        f"{name}/locale/de_DE/LC_MESSAGES/{name}.po": catalogue(2),
        f"{name}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: CC0-1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_hash(text)},{len(text.encode())}\n" for path, text in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(member, (2026, 1, 1, 0, 0, 0)), text)
    return path


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def recipe(store: Path) -> dict[str, Any]:
    """Return a recipe that runs all stages in seconds."""
    return {
        "name": "tiny",
        "store": str(store),
        "languages": {"source": "en", "targets": ["fr", "de"]},
        "download": {"sources": [{"kind": "locales", "packages": [f"{NAME}=={VERSION}"]}]},
        "align": {"workers": 1},
        "shard": {"max_length": 32, "rows_per_shard": 100, "heldout_pairs": 20, "stop_words": 3},
        "model": {"scratch": {"vocabulary": 300, "layers": 2, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "train": {
            "objective": "separate",
            "word_pairs": 2,
            "steps": 12,
            "batch_size": 16,
            "learning_rate": 1e-3,
            "threads": 1,
            "checkpoint_seconds": 0.001,
            "devices": "cpu",
        },
        "evaluate": {"embedding_map_sentences": 3, "device": "cpu"},
        "report": {"projection": "pca"},
    }
