"""Translation: the missing side of text that has no translation, forward and back.

Only new pairs are written. A part is some thousand sentences of one language; without text to translate, or without a backend, the
stage does nothing and imports no torch.
"""

from mlctl.translation.backend_pool import fingerprint
from mlctl.translation.licences import check_licence, licence
from mlctl.translation.stage import translate

__all__ = ["check_licence", "fingerprint", "licence", "translate"]
