"""`chainrule.linalg`: linear algebra under torch's names."""
from __future__ import annotations

if __name__ != "chainrule.linalg":  # a second copy would have functions of its own
    raise ImportError(f"chainrule.linalg was imported as {__name__!r}; import `chainrule.linalg`")

from ..runtime.tensor.linear_algebra import LinAlgError
from ..runtime.tensor.row import CALLS

_PREFIX = "linalg_"
_FUNCTIONS = {name.removeprefix(_PREFIX): function for name, function in CALLS.items() if name.startswith(_PREFIX)}
globals().update(_FUNCTIONS)
__all__ = ["LinAlgError", *_FUNCTIONS]
