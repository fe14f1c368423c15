"""The settings that disable filter rules: with each switch its rules drop nothing, and all others still do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny

from mlctl import config
from mlctl.cleaning import clean
from mlctl.cleaning.rule_switches import RULE_SWITCHES, RuleSwitch
from mlctl.cleaning.stage import reasons
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

#: Rules that no setting disables: what they drop is never text of both languages.
ALWAYS_ON = {
    "empty",
    "placeholders",
    "too few letters",
    "identifier",
    "identical",
    "mojibake",
    "addresses",
    "duplicate",
    "translated elsewhere",
}
SETTINGS = {"likelihood_pairs": 100, "max_pairs": 150, "max_repeats": 3}
LONG = "The committee of the town will meet again next week about the new bridge, the old school and all the other things of the year"
LANGE = "Le comité de la ville va bientôt se réunir au sujet du nouveau pont, de la vieille école et de toutes les autres choses de l'année"
DIRT = [
    ("word " * 200, "mot " * 200),
    ("!!! ??? *** --- ok yes", "!!! ??? *** --- bon oui"),
    ("A short one", "Une phrase qui est beaucoup trop longue pour être la traduction de l'autre côté de cette paire"),
    ("One. Two. Three. Four. Five. Six.", "Un, deux, trois, quatre, cinq et puis six."),
    ("The old captain repairs the broken clock every morning in the small house.", "Le vieux capitaine répare chaque matin"),
    ("Use this one now", "пользуйтесь этим сейчас"),
    (
        "all the old things of ours go home where their friends wait with them",
        "all the old things of ours go à la maison avec leurs amis",
    ),
    ("from 1987 to 1999 we were all here", "de 2435 à 5662 nous étions tous ici"),
    ("The committee of the town will meet again next week.", "Der Ausschuss der Stadt tritt nächste Woche erneut zusammen."),
    (LONG, LANGE),
    (LONG + " x", LANGE + " y"),
    *(("Save all the changes", f"Enregistrer {what}") for what in ("tout", "les choses", "le texte", "la page", "ceci", "cela")),
]


def write(folder: Path, language: str, rows: list[tuple[str, str]]) -> None:
    path = folder / f"pairs/{language}/00-a.parquet"
    path.parent.mkdir(parents=True)
    same = {
        "source_language": "en",
        "target_language": language,
        "corpus": "a",
        "version": "1",
        "licence": "MIT",
        "synthetic": "",
    }
    listed = [same | {"source": s, "target": t, "origin": f"a:{number}"} for number, (s, t) in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(listed, schema=PAIR), path)


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text of which every rule with a switch drops some rows: good sentences, shifted ones, dirt, and Traditional Chinese for `zh`."""
    folder = tmp_path_factory.mktemp("downloaded")
    good = [(english, french) for english, french, _ in tiny.sentences()]
    shifted = [(good[n][0], good[n - 100][1]) for n in range(0, 20, 2)]
    write(folder, "fr", [*good, *shifted, *DIRT])
    write(folder, "zh", [("Open the file", "打开文件"), ("Learn it all", "學習部門開會"), ("Close the window", "关闭窗口")])
    return folder


def dropped(downloaded: Path, out: Path, **settings: Any) -> Counter[str]:
    languages = config.Languages(source="en", targets=("fr", "zh"))
    clean(config.Clean(**{**SETTINGS, **settings}, workers=1), languages, downloaded, Workspace(out))
    counts = Counter[str]()
    for row in pq.read_table(out / "funnel.parquet").to_pylist():
        counts[row["rule"]] += row["rows_in"] - row["rows_out"]
    return counts


@pytest.fixture(scope="module")
def before(downloaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """Rows that each rule drops without any switch."""
    return dropped(downloaded, tmp_path_factory.mktemp("before"))


def test_every_rule_has_a_switch_or_is_always_on() -> None:
    switched = [rule for switch in RULE_SWITCHES for rule in switch.rules]
    in_order = [rule for rule in reasons(config.Clean(), "en", "fr") if rule not in ALWAYS_ON]
    assert switched == in_order


@pytest.mark.parametrize("switch", RULE_SWITCHES, ids=lambda switch: switch.rules[0])
def test_a_switch_disables_its_rules_and_no_other(
    switch: RuleSwitch, downloaded: Path, before: Counter[str], tmp_path: Path
) -> None:
    assert all(before[rule] for rule in switch.rules), before
    after = dropped(downloaded, tmp_path, **switch.settings)
    assert not any(after[rule] for rule in switch.rules), after
    others = [rule for other in RULE_SWITCHES for rule in other.rules if other != switch]
    assert all(after[rule] for rule in others), after
