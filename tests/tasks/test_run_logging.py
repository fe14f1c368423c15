"""What Prefect logs of a run: an error that the user can fix is a message without a traceback."""

from __future__ import annotations

import logging

import pytest

from mlctl.errors import InputError
from storage import StoreError
from tasks import run_logging


@pytest.mark.parametrize(
    ("error", "is_shown"),
    [(InputError("no file x", "correct the path"), False), (StoreError("damaged"), False), (KeyError("x"), True)],
)
def test_only_a_fault_of_the_program_has_a_traceback(error: Exception, is_shown: bool, caplog: pytest.LogCaptureFixture) -> None:
    run_logging.attach()
    logging.getLogger("prefect.flow_runs").error("Engine execution exited with unexpected exception", exc_info=error)
    assert bool(caplog.records) == is_shown
