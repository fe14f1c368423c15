"""Makes `mlctl/cleaning/mojibake/letters.tsv` from CLDR's exemplar characters.

npm pack cldr-misc-full && tar xzf cldr-misc-full-*.tgz
python benchmarks/exemplar_letters.py package/main > mlctl/cleaning/mojibake/letters.tsv
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

from mlctl.errors import InputError
from mlctl.languages import canonical

HEADER = """\
# Letters beyond ASCII of languages in Latin and Cyrillic script: tag, main letters, auxiliary letters (CLDR 48.2, exemplar characters;
# Copyright 2004-2026 Unicode, Inc., licence Unicode-3.0). Made by benchmarks/exemplar_letters.py.
"""
# Members of a UnicodeSet: `\\u0307`, a range, or a character; braces around sequences are dropped.
MEMBER = re.compile(r"\\u([0-9A-Fa-f]{4})|\\(.)|(\S)-([^\s\]])|([^\s{}])")


def members(pattern: str) -> list[str]:
    """Return the characters of a UnicodeSet without operators."""
    characters: list[str] = []
    for code, escaped, first, last, single in MEMBER.findall(pattern.strip()[1:-1]):
        if first:
            characters += map(chr, range(ord(first), ord(last) + 1))
        else:
            characters += chr(int(code, 16)) if code else escaped or single
    return characters


def letters(characters: list[str]) -> str:
    composed = unicodedata.normalize("NFC", "".join(characters))
    return "".join(sorted({c for c in composed if c.isalpha() and not c.isascii()}))


def main() -> None:
    rows: dict[str, str] = {}
    for file in sorted(Path(sys.argv[1]).glob("*/characters.json")):
        parts = file.parent.name.split("-")
        if len(parts) > 2 or (len(parts) == 2 and len(parts[1]) != 4):  # regions
            continue
        content = json.loads(file.read_text(encoding="utf-8"))["main"][file.parent.name]["characters"]
        own = [character for character in members(content["exemplarCharacters"]) if character.isalpha()]
        if not own or not unicodedata.name(own[0]).startswith(("LATIN", "CYRILLIC")):
            continue
        auxiliary = set(letters(members(content.get("auxiliary", "[]")))) - set(own)
        try:
            rows.setdefault(canonical(file.parent.name), f"{letters(own)}\t{''.join(sorted(auxiliary))}")
        except InputError:
            continue
    sys.stdout.write(HEADER + "".join(f"{language}\t{row}\n" for language, row in sorted(rows.items())))


if __name__ == "__main__":
    main()
