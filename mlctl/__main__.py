"""`python -m mlctl`: the `mlctl` command."""

import sys

from mlctl.cli.main import main

sys.exit(main())
