"""Three sources of a made-up language pair whose worth is known: true pairs, true pairs of a few words alone, and shuffled pairs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_WORDS, _FEW_WORDS, _LENGTH = 120, 12, 6
_SIZES = {"useful": 500, "useless": 60, "harmful": 1500}
LICENCES = {"useful": "CC-BY-4.0", "useless": "MIT", "harmful": "CC0-1.0"}

Pairs = list[tuple[str, str]]


def write_sources(folder: Path) -> None:
    """Write `<source>.en` and `<source>.fr`; every word of `useless` is in `useful`, and `harmful` pairs true sentences with wrong ones."""
    generator = random.Random(0)
    both = _made_words(generator, 2 * _WORDS)
    words, dictionary = both[:_WORDS], dict(zip(both[:_WORDS], both[_WORDS:], strict=True))

    def pairs(vocabulary: list[str], count: int) -> Pairs:
        sentences: set[tuple[str, ...]] = set()
        while len(sentences) < count:
            sentences.add(tuple(generator.sample(vocabulary, _LENGTH)))
        return [(" ".join(one), " ".join(dictionary[word] for word in one)) for one in sorted(sentences)]

    _write(folder, "useful", pairs(words, _SIZES["useful"]))
    _write(folder, "useless", pairs(words[:_FEW_WORDS], _SIZES["useless"]))
    wrong = pairs(words, _SIZES["harmful"])
    targets = [target for _, target in wrong]
    generator.shuffle(targets)
    _write(folder, "harmful", [(source, target) for (source, _), target in zip(wrong, targets, strict=True)])


def recipe(folder: Path, store: Path) -> dict[str, Any]:
    """Return a recipe over the sources of a folder that trains in a second: too short to get over the shuffled pairs."""
    sources = [
        {"kind": "files", "name": name, "path": str(folder / f"{name}.{{language}}"), "licence": licence}
        for name, licence in LICENCES.items()
    ]
    return {
        "name": "made",
        "store": str(store),
        "languages": {"source": "en", "targets": ["fr"]},
        "download": {"sources": sources},
        # Rules that would notice that these are no real languages, or that the pairs are shuffled, are off.
        "clean": {"language_letters": 10**6, "min_likelihood": -3, "max_repeats": 0, "workers": 1},
        "translate": {"backend": "none"},
        "align": {"engine": "fast_align", "workers": 1},
        "shard": {"max_length": 32, "heldout_pairs": 80, "dev_pairs": 0, "stop_words": 0, "workers": 1},
        "model": {"scratch": {"vocabulary": 600, "layers": 1, "hidden": 48, "heads": 2, "feed_forward": 96, "dropout": 0}},
        "train": {
            "objective": "separate",
            "word_pairs": 3,
            "steps": 60,
            "batch_size": 32,
            "learning_rate": 2e-3,
            "threads": 1,
            "devices": "cpu",
        },
        "evaluate": {"embedding_map_sentences": 0, "device": "cpu", "workers": 1, "resamples": 500},
    }


def _made_words(generator: random.Random, count: int) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(generator.choice(_SYLLABLES) for _ in range(generator.choice((2, 3))))] = None
    return list(words)


def _write(folder: Path, name: str, pairs: Pairs) -> None:
    for number, language in enumerate(("en", "fr")):
        (folder / f"{name}.{language}").write_text("".join(f"{pair[number]}\n" for pair in pairs), encoding="utf-8")
