from __future__ import annotations

import pytest

from mlctl.corpora.sources.licence_notes import licence_in_text


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("Corpus Name: Toy\nRelease: v2\nLicense: CC-BY 2.0 FR\nCopyright: all\n", "LicenseRef-CC-BY-2.0-FR"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported License", "CC-BY-SA-3.0"),
        ("licence: CC BY-NC-ND 3.0", "CC-BY-NC-ND-3.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("Made after CC BY 3.0 texts.\nLicence: GPL-3.0-or-later\n", "GPL-3.0-or-later"),
        ("License: see LICENSE. CC BY 3.0", "CC-BY-3.0"),
        ("under the Apache License, Version 2.0", "Apache-2.0"),
        ("The MIT License", "MIT"),
        ("Please cite us. All rights with the authors.", ""),
        ("CC-BY of no version", ""),
    ],
)
def test_the_licence_in_a_note(text: str, identifier: str) -> None:
    assert licence_in_text(text) == identifier
