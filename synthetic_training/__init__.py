"""Train any architecture from scratch on strings to copy and look up in (arXiv 2402.01032, section 3).

Importing this package makes its own model types known to transformers' Auto classes, if transformers and
torch are installed.
"""

import sys
from importlib.util import find_spec

# `python -m synthetic_training` answers --help and slips at once; its commands import the models themselves
if sys.argv[:1] != ["-m"] and find_spec("torch") and find_spec("transformers"):
    import synthetic_training.models.auto_classes  # noqa: F401
