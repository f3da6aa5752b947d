"""`chainrule.special`: special functions under torch's names."""
from __future__ import annotations

if __name__ != "chainrule.special":  # a second copy would have functions of its own
    raise ImportError(f"chainrule.special was imported as {__name__!r}; import `chainrule.special`")

from ..runtime.tensor.row import CALLS

_PREFIX = "special_"
_ELSEWHERE = {  # under another name, or without the prefix, in the table
    **dict.fromkeys(("erf", "erfc", "erfinv", "digamma", "polygamma", "log1p", "expm1", "exp2", "logit", "sinc", "xlogy", "logsumexp",
                     "softmax", "log_softmax", "round", "i0")),
    "expit": "sigmoid", "gammaln": "lgamma", "psi": "digamma", "multigammaln": "mvlgamma",
}
_FUNCTIONS = {**{name: CALLS[other or name] for name, other in _ELSEWHERE.items()},
              **{name.removeprefix(_PREFIX): function for name, function in CALLS.items() if name.startswith(_PREFIX)}}
globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS]
