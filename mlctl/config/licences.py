"""The recipe's section `licences`."""

from __future__ import annotations

from pydantic import Field

from mlctl.config.base import Section


class Licences(Section):
    """Licences that the text of a run may have."""

    allow: tuple[str, ...] = Field(
        (),
        description="Allowed licences: SPDX ids (CC-BY-4.0, MIT), LicenseRef-… or `unknown`; a corpus with another one stops the run. "
        "Empty: all are allowed.",
    )
