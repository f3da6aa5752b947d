"""Arithmetic with one number, as torch's own functions do it: the graph shows another name than for the operators."""

from __future__ import annotations

from ..row import Call, op
from ..tensor import Tensor
from .arithmetic import _elementwise, pairwise
from .common import common_dtype

for _name in ("add", "mul", "div"):

    def _rule(self: Tensor, other: float) -> Call:
        return pairwise(self, other, common_dtype(self, other))

    op(
        _name + "_number",
        build=_elementwise(_name),
        backward=_name.title() + "Backward1",
        saved="" if _name == "add" else "other",
        inputs="self other?",
        to="",
    )(_rule)
