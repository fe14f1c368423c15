"""mlctl brings the languages of a multilingual text encoder closer together, by contrastive training on parallel text.

For notebooks and scripts, without a server:

    import mlctl

    results = mlctl.run("mine.yaml", overrides=["train.steps=200"])
    results.scores                                                      # a data frame
    results.charts["curve-loss"]                                        # a chart of the report

- `load_recipe` validates a recipe; `run` runs its stages, `results` finds those of an earlier run.
- `clean` and `align` do what the stages of these names do, with sentences in memory; `encode` returns sentence vectors.
- `compare` sets runs side by side, with tests of their differences.

Stages are cached and resumed as by the command `mlctl run`, under the same keys. What a user can fix is raised as `InputError`: its
message names the setting, the file or the line, and the remedy. Data frames need pandas (extra `notebook`).
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from mlctl.version import __version__

if TYPE_CHECKING:
    from mlctl.api.alignment import align
    from mlctl.api.cleaning import clean
    from mlctl.api.comparison import Comparison, compare
    from mlctl.api.encoding import encode
    from mlctl.api.recipes import load_recipe
    from mlctl.api.results import Results, results
    from mlctl.api.running import run
    from mlctl.config import Recipe
    from mlctl.errors import InputError

# Iterations for which an idle OpenMP thread spins before it sleeps; read when torch is first loaded. By default it spins for milliseconds,
# which slows an encoder down many times when other programs run on the same cores.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = [
    "Comparison",
    "InputError",
    "Recipe",
    "Results",
    "__version__",
    "align",
    "clean",
    "compare",
    "encode",
    "load_recipe",
    "results",
    "run",
]

_MODULES = {
    "Comparison": "mlctl.api.comparison",
    "InputError": "mlctl.errors",
    "Recipe": "mlctl.config",
    "Results": "mlctl.api.results",
    "align": "mlctl.api.alignment",
    "clean": "mlctl.api.cleaning",
    "compare": "mlctl.api.comparison",
    "encode": "mlctl.api.encoding",
    "load_recipe": "mlctl.api.recipes",
    "results": "mlctl.api.results",
    "run": "mlctl.api.running",
}


if not TYPE_CHECKING:  # a type checker takes the imports above, and reports every other name

    def __getattr__(name: str) -> Any:
        """Import a public name on first use (PEP 562): `import mlctl` is run by every command and every worker."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for completion and `help`."""
    return sorted({*globals(), *__all__})
