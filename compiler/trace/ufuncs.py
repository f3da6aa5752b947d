"""NumPy's ufuncs, and SciPy's, on traced values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import build
from ..errors import DTypeError, TraceError
from ..ir import Node, constant, f
from ..provenance import at, user_site
from .operands import Operand, Weak, checked, lift, to_dtype, wrap
from .session import located, require_session
from .ufunc_table import UFUNCS

__all__ = ["apply_ufunc", "dispatch_ufunc", "operate", "resolve", "store", "unsupported"]

_INSTEAD = {
    "nextafter": "it has no derivative; compute it outside of the function",
    "spacing": "it has no derivative; compute it outside of the function",
    "frexp": "use np.log2 and np.floor",
    "gcd": "compute it outside of the function",
    "lcm": "compute it outside of the function",
}


def unsupported(name: str, instead: str = "") -> TraceError:
    """The error for a function that has no rule."""
    return TraceError(
        f"{name} cannot be traced{at(user_site())}: "
        f"{instead or 'compute it outside of the function, or write it with supported NumPy functions'}"
    )


def operate(ufunc: np.ufunc, *values: Any) -> Any:
    """A Python operator: as the ufunc, but Python numbers with Python numbers give a Python number, which is weak."""
    with located():
        operands = [lift(v) for v in values]
        weak: Weak = None
        if all(o.weak is not None for o in operands):
            weak = int if all(o.weak is int for o in operands) else float
        made = apply_ufunc(ufunc, operands)
        if isinstance(made, tuple):
            return tuple(wrap(node, weak) for node in made)
        return wrap(made, weak_of(made, weak))


def weak_of(node: Node, weak: Weak) -> Weak:
    """The weak type of a result of Python numbers: by its kind; comparisons give plain bools."""
    return None if weak is None else {"f": float, "i": int}.get(node.dtype.kind)


def apply_ufunc(ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any = None) -> Any:
    """The node (or nodes) of a ufunc: dtypes as NumPy resolves them, then broadcast.

    Raises:
        TraceError: the ufunc has no rule.
        DTypeError: NumPy refuses these dtypes, or the compiler has not got the loop's.
    """
    builder = UFUNCS.get(ufunc.__name__)
    if ufunc.__name__ in ("matmul", "vecdot", "matvec", "vecmat"):
        return _product(ufunc, operands, dtype)
    if ufunc.__name__ == "_lambertw":
        return _lambertw(*operands)
    if builder is None:
        known = [require_session("this operation").concretise(o.node) for o in operands]
        if all(k is not None for k in known):  # captured arrays and constants only
            with np.errstate(all="ignore"):
                made = ufunc(*known)
            return tuple(lift(m).node for m in made) if isinstance(made, tuple) else lift(made).node
        raise unsupported(_spelled(ufunc), _INSTEAD.get(ufunc.__name__, ""))
    loop = resolve(ufunc, operands, dtype)
    if ufunc.__name__ in _COMPARISONS and any(_too_large(o, d) for o, d in zip(operands, loop, strict=False)):
        return _compare_beyond(ufunc, operands)
    nodes = [to_dtype(o, checked(d)) for o, d in zip(operands, loop, strict=False)]
    made = builder(*build.broadcast(*nodes, what=ufunc.__name__))
    outputs = loop[len(operands) :]
    if isinstance(made, tuple):
        return tuple(build.cast(node, checked(d)) for node, d in zip(made, outputs, strict=True))
    return build.cast(made, checked(outputs[0]))


def _lambertw(x: Operand, branch: Operand, tolerance: Operand) -> Node:
    """The real part of Lambert's W, nan where it is no real number: SciPy's own result is complex."""
    known = require_session("this operation").concretise(branch.node)
    name = {0: "lambertw", -1: "lambertw_lower"}.get(int(known) if known is not None and np.ndim(known) == 0 else 1)
    if name is None:
        raise TraceError(f"scipy.special.lambertw is real for the branches 0 and -1 only{at(user_site())}: pass k=0 or k=-1")
    return getattr(f, name)(to_dtype(x, np.result_type(x.node.dtype, np.float64 if x.node.dtype.kind != "f" else x.node.dtype)))  # type: ignore[no-any-return]


_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def _too_large(operand: Operand, dtype: np.dtype[Any]) -> bool:
    """Whether a Python integer is out of the range of the other operand's dtype."""
    if operand.weak is not int or operand.literal is None or dtype.kind not in "iu":
        return False
    return not np.iinfo(dtype).min <= operand.literal <= np.iinfo(dtype).max


def _compare_beyond(ufunc: np.ufunc, operands: Sequence[Operand]) -> Node:
    """A comparison with an integer that no element can equal, which NumPy answers by its value."""
    example = [0 if o.literal is None else o.literal for o in operands]
    shape = build.broadcast_shapes(*(o.node.shape for o in operands))
    return constant(bool(ufunc(*(np.array(v, object) for v in example))), bool, shape)


def resolve(ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any = None) -> tuple[np.dtype[Any], ...]:
    """The dtypes of the ufunc's loop: of its inputs, then of its outputs."""
    asked = tuple(o.promoted for o in operands) + (None,) * ufunc.nout
    try:
        return _resolved(ufunc, asked, None if dtype is None else np.dtype(dtype))
    except TypeError as error:
        kinds = ", ".join(str(o.node.dtype) for o in operands)
        raise DTypeError(f"{_spelled(ufunc)} is not defined for {kinds}: {error}") from None


@lru_cache(maxsize=4096)
def _resolved(ufunc: np.ufunc, asked: tuple[Any, ...], dtype: np.dtype[Any] | None) -> tuple[np.dtype[Any], ...]:
    if all(a is int for a in asked[:ufunc.nin]):  # which NumPy compares as objects
        asked = (np.dtype(np.int64),) * ufunc.nin + asked[ufunc.nin:]
    chosen: dict[str, Any] = {} if dtype is None else {"signature": (None,) * ufunc.nin + (dtype,) * ufunc.nout}
    return ufunc.resolve_dtypes(asked, **chosen)


def _product(ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any) -> Node:
    x, y = (to_dtype(o, checked(d)) for o, d in zip(operands, resolve(ufunc, operands, dtype), strict=False))
    if x.dtype.kind == "b":
        return build.cast(_product_of(ufunc.__name__, build.cast(x, np.int64), build.cast(y, np.int64)), bool)
    return _product_of(ufunc.__name__, x, y)


def _product_of(name: str, x: Node, y: Node) -> Node:
    if name == "matmul":
        return build.matmul(x, y)
    if name == "vecdot":
        return build.einsum("...i,...i->...", x, y)
    return build.einsum("...ij,...j->...i" if name == "matvec" else "...i,...ij->...j", x, y)


def _spelled(ufunc: np.ufunc) -> str:
    return f"np.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else f"scipy.special.{ufunc.__name__}"


# ------------------------------------------------------------------------------------------------ NumPy's protocol
def dispatch_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What `__array_ufunc__` of traced values does."""
    with located():
        out = kwargs.pop("out", None)
        if method == "__call__":
            return _call(ufunc, inputs, out, kwargs)
        if method == "at":
            return _at(ufunc, inputs)
        from . import ufunc_methods

        result = getattr(ufunc_methods, method, ufunc_methods.no_method)(ufunc, *inputs, **kwargs)
        return result if out is None else store(out[0], lift(result), f"{_spelled(ufunc)}.{method}")


def _call(ufunc: np.ufunc, inputs: Sequence[Any], out: Any, kwargs: dict[str, Any]) -> Any:
    where, dtype, casting = kwargs.pop("where", True), kwargs.pop("dtype", None), kwargs.pop("casting", "same_kind")
    kwargs.pop("order", None), kwargs.pop("subok", None)
    if set(kwargs) - {"signature"}:
        raise unsupported(f"{_spelled(ufunc)} with {', '.join(sorted(kwargs))}")
    made = apply_ufunc(ufunc, [lift(v) for v in inputs], dtype)
    made = made if isinstance(made, tuple) else (made,)
    out = (None,) * len(made) if out is None else out
    if where is not True and any(o is None for o in out):
        raise TraceError(
            f"{_spelled(ufunc)} with where= needs out= as well{at(user_site())}: without it the other elements "
            "are undefined; np.where(condition, a, b) gives them a value"
        )
    results = [
        wrap(node) if o is None else store(o, Operand(node), _spelled(ufunc), where, casting) for node, o in zip(made, out, strict=True)
    ]
    return results[0] if len(results) == 1 else tuple(results)


def store(target: Any, result: Operand, what: str, where: Any = True, casting: str = "same_kind") -> Any:
    """Write a result into `out=`.

    Raises:
        TraceError: the target is a plain array.
        DTypeError: the cast is not of the same kind.
        ShapeError: the result does not fit.
    """
    from .traced import Traced

    if not isinstance(target, Traced):
        raise plain_target(target)
    node = target.node
    if not np.can_cast(result.node.dtype, node.dtype, casting):  # type: ignore[arg-type]
        raise DTypeError(f"Cannot cast {what} output from {result.node.dtype!r} to {node.dtype!r} with casting rule {casting!r}")
    new = build.broadcast_to(build.cast(result.node, node.dtype), node.shape)
    if where is not True:
        mask = build.broadcast_to(build.cast(lift(where).node, bool), node.shape)
        new = f.where(mask, new, node)
    target.write(new)
    return target


def plain_target(target: Any) -> TraceError:
    """The error for storing a traced value into a plain array."""
    return TraceError(
        f"a traced value cannot be stored in a plain {type(target).__name__}{at(user_site())}: make the array with "
        "np.zeros_like(x) or np.empty_like(x) of a traced x, which can be written to, or build the result with "
        "np.stack or np.concatenate"
    )


def _at(ufunc: np.ufunc, inputs: Sequence[Any]) -> None:
    from .keys import lift_key
    from .traced import Traced

    target, key, *values = inputs
    if not isinstance(target, Traced):
        raise plain_target(target)
    if ufunc.__name__ not in ("add", "subtract") or not values:
        raise unsupported(f"{_spelled(ufunc)}.at", "np.add.at and np.subtract.at are supported")
    node = target.node
    (value,) = (to_dtype(lift(v), node.dtype) for v in values)
    value = f.neg(value) if ufunc.__name__ == "subtract" else value
    target.write(build.update(node, lift_key(key), value, accumulate=True))
