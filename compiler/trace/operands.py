"""What the user's code hands to an operation, as nodes, and NumPy's promotion of their dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import build
from ..errors import DTypeError, TraceError
from ..ir import Node, constant
from ..provenance import at, user_site
from .session import check_dtype, located, require_session
from .symint import SymInt

if TYPE_CHECKING:
    from .traced import Traced

__all__ = ["Operand", "apply_nodes", "common_dtype", "contains_traced", "lift", "lift_all", "strong", "to_dtype", "wrap"]

Weak = type[int] | type[float] | None


class Operand(NamedTuple):
    """A node, whether it is a weak Python number (by its type), and the number where it is a literal."""

    node: Node
    weak: Weak = None
    literal: Any = None

    @property
    def promoted(self) -> Any:
        """What `ufunc.resolve_dtypes` is asked with."""
        return self.weak if self.weak is not None else self.node.dtype


def is_traced(value: Any) -> bool:
    """Whether a value belongs to a trace."""
    from .traced import Traced

    return isinstance(value, (Traced, SymInt))


def contains_traced(value: Any) -> bool:
    """Whether a value is traced, or a list or tuple that has a traced value in it."""
    if isinstance(value, (list, tuple)):
        return any(map(contains_traced, value))
    return is_traced(value)


def wrap(node: Node, weak: Weak = None) -> Traced:
    """A new array for the user's code."""
    from ..views import View
    from .traced import Traced

    return Traced(View.of(node), require_session("this value"), weak)


def lift(value: Any) -> Operand:
    """An operand from anything that NumPy would take as an array.

    Raises:
        TraceError: a value of another trace, or of a type that cannot be traced.
        DTypeError: an element type that the compiler does not have.
    """
    from .traced import Traced

    if isinstance(value, Traced):
        return Operand(value.node, value.weak)
    if isinstance(value, SymInt):
        return Operand(value.to_node(), int)
    if isinstance(value, np.ndarray):
        return Operand(require_session("an array").capture(value))
    if isinstance(value, np.generic):
        check_dtype(value.dtype, "a number")
        require_session("a number").plain_numbers = True
        return Operand(constant(value, value.dtype))
    if isinstance(value, bool):
        return Operand(constant(value, bool))
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            return Operand(constant(float(value), np.float64), float, float(value))
        return Operand(constant(value, np.int64), int, value)
    if isinstance(value, float):
        return Operand(constant(value, np.float64), float, value)
    if isinstance(value, (list, tuple)):
        return _lift_sequence(value)
    if isinstance(value, complex):
        raise DTypeError(f"a complex number cannot be traced{at(user_site())}: take the real and imaginary parts as two arguments")
    if hasattr(value, "__chainrule_node__"):
        return Operand(value.__chainrule_node__())
    if value is None or isinstance(value, str) or not hasattr(value, "__array__"):
        raise TraceError(f"{value!r:.80} of type {type(value).__name__} cannot be part of an array operation{at(user_site())}")
    return lift(np.asarray(value))


def _lift_sequence(values: Sequence[Any]) -> Operand:
    if not contains_traced(values):
        array = np.asarray(values)
        session = require_session("an array")
        return Operand(session.capture(array))
    operands = [strong(lift(v)) for v in values]
    dtype = common_dtype(*operands)
    nodes = build.broadcast(*(to_dtype(o, dtype) for o in operands), what="array from a list")
    return Operand(build.stack(nodes, 0))


def lift_all(*values: Any) -> list[Operand]:
    """`lift` of each."""
    return [lift(v) for v in values]


def strong(operand: Operand) -> Operand:
    """The operand as `np.asarray` makes it: of a definite dtype."""
    return Operand(operand.node) if operand.weak is not None else operand


def common_dtype(*operands: Operand) -> np.dtype[Any]:
    """`np.result_type` of the operands; Python numbers are weak."""
    examples = [o.node.dtype if o.weak is None else o.weak(0) for o in operands]
    return checked(np.result_type(*examples))


def checked(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype that the compiler has.

    Raises:
        DTypeError: it has not.
    """
    check_dtype(dtype, "a result")
    return dtype


def to_dtype(operand: Operand, dtype: np.dtype[Any]) -> Node:
    """The operand's node, cast.

    Raises:
        OverflowError: a Python integer does not fit the dtype, as in NumPy 2.
    """
    if operand.weak is int and operand.literal is not None and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not limits.min <= operand.literal <= limits.max:
            raise OverflowError(f"Python integer {operand.literal} out of bounds for {dtype}")
    return build.cast(operand.node, dtype)


def apply_nodes(builder: Callable[..., Any], *values: Any) -> Any:
    """A builder of nodes applied to traced values, arrays and numbers; Python numbers are constants of a definite dtype.

    For operations that are not NumPy's: the builder gets a node for each value and returns a node, or a tuple or list of them.
    """
    with located():
        made = builder(*(lift(v).node for v in values))
        return type(made)(map(wrap, made)) if isinstance(made, (tuple, list)) else wrap(made)
