"""Translation: writes the missing side of monolingual text with a translation backend, in both directions.

- `stage.translate` is the stage; `parts` translates and writes the parts of one language, `quality` measures a backend first.
- `backend` has the protocol, `registry` the implementations by the recipe's name: `ctranslate2_backend`, `transformers_backend`,
  `apertium/`, `external_command`, `openai_api/`. `backend_pool` loads each backend of a run once; `splitting`, `pivot` and `translation_memory` wrap backends.
- `availability` checks before a run what translation needs from outside.
- `fingerprint` is what the stage's key has of backends; `licences` checks under which licence they translate.

Only new pairs are written. Without text to translate or without a backend, nothing is done and torch is not imported.
"""

from mlctl.translation.availability import checks
from mlctl.translation.fingerprint import fingerprint
from mlctl.translation.licences import check_licence, licence
from mlctl.translation.stage import translate

__all__ = ["check_licence", "checks", "fingerprint", "licence", "translate"]
