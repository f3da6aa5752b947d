"""How a scalar op becomes machine code and readable source: data in the op table, read by both emitters."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lowering:
    """One spelling for each kind of operand, and the Python text of the same thing.

    A spelling is one of
        `fadd`, `sub`, `and`, ...   an LLVM instruction of that name (an IRBuilder method),
        `llvm.sqrt`                 an LLVM intrinsic, overloaded on the operand type,
        `cmp olt`, `cmp slt`        an ordered/unordered float or signed int comparison, giving a bool,
        `math exp`                  a function of `compiler.vecmath`, emitted inline,
        `special jv dd`             one of SciPy's (`compiler.special_functions`), called.
    An empty spelling means that the op is not defined for such operands.

    Attributes:
        real: for float32 and float64.
        integer: for signed integers.
        boolean: for bool (an i1 in a register, a byte in memory).
        accumulate: for floats in an accumulation whose order is free, where it is not `real`: a spelling that LLVM
            splits into lanes.
        source: Python text with `{0}`, `{1}`, ... for the operands; `np`, `math` and `vm`
            (`compiler.scalar_functions`, for what neither has) are in scope.
    """

    real: str = ""
    integer: str = ""
    boolean: str = ""
    source: str = ""
    accumulate: str = ""
