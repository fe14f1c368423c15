"""The recipe's section `licences`."""

from __future__ import annotations

from pydantic import Field

from mlctl.config.base import Section


class Licences(Section):
    """Which licences the text of a run may have."""

    allow: tuple[str, ...] = Field(
        (),
        description="SPDX ids (CC-BY-4.0, MIT), LicenseRef-… or `unknown`; a corpus with another licence stops the run. Empty: all "
        "are allowed.",
    )
