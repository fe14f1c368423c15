"""The `mlctl` command, also as `python -m mlctl`."""

import signal
import sys


def main() -> int:
    """Run the command. Ctrl-C while modules are still imported ends the process without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlctl.cli.main import main as run
    from mlctl.core.interruption import end_process

    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = run()
    end_process(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
