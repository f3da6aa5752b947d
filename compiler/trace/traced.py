"""`Traced`: what plain NumPy code sees in place of an array while it is traced."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from .. import build, sizes
from ..errors import TraceError
from ..ir import Node
from ..provenance import at, user_site
from ..views import View
from .keys import lift_key, plain_key
from .operands import Weak, lift, to_dtype, wrap
from .refusals import UnsupportedAttributeError, conversion, is_storing, made_at, needs_value
from .session import Session, located
from .symint import wrap_size
from .ufuncs import dispatch_ufunc, operate

__all__ = ["METHODS", "Traced"]

Binary = Callable[["Traced", Any], Any]


# powers that NumPy's `**` computes by another ufunc, for arrays
_SIMPLE_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}


def _binary(ufunc: np.ufunc) -> tuple[Binary, Binary]:
    """`a op b` and its reflection."""

    def forward(self: Traced, other: Any) -> Any:
        return operate(ufunc, self, other) if _operand(other) else NotImplemented

    def reflected(self: Traced, other: Any) -> Any:
        return operate(ufunc, other, self) if _operand(other) else NotImplemented

    return forward, reflected


def _operand(value: Any) -> bool:
    return not isinstance(value, (str, bytes, dict, set)) and value is not None


def _in_place(ufunc: np.ufunc) -> Binary:
    def update(self: Traced, other: Any) -> Any:
        if self.node.ndim == 0:  # a scalar, which is immutable: the name is bound to a new one
            return operate(ufunc, self, other)
        return dispatch_ufunc(ufunc, "__call__", (self, other), {"out": (self,)})

    return update


class Traced:
    """An array, or a number, that is known by how it is computed.

    It has the operators, methods and attributes of arrays with NumPy's meaning, and NumPy's functions take it. It can be
    written to, also through views and `out=`. Its value is not known while the function is traced, so nothing that needs
    the value (`if`, `float()`, `range()`) can be done with it.
    """

    __slots__ = ("__weakref__", "_session", "_view", "_weak")
    __array_priority__ = 1000.0

    def __init__(self, view: View, session: Session, weak: Weak = None) -> None:
        self._view, self._session, self._weak = view, session, weak

    # ------------------------------------------------------------------------------------------------ what it is
    @property
    def node(self) -> Node:
        """The node of its current value.

        Raises:
            TraceError: its trace has ended.
        """
        if not self._session.open:
            made = made_at(self._view.storage.node, self._session.sites)
            raise TraceError(
                f"a value traced{made} is used after its trace has ended{at(user_site())}: it has no number behind "
                "it; return it from the decorated function instead of keeping it in a global, an attribute or "
                "a list"
            )
        return self._view.read()

    @property
    def weak(self) -> Weak:
        """`float` or `int` for a Python number, which does not promote the dtype of an array; None for arrays."""
        return self._weak

    def write(self, new: Node) -> None:
        """Replace its contents, which every view of the same memory sees."""
        _ = self.node
        self._view.write(new)

    @property
    def view_chain(self) -> View:
        """The view behind it."""
        return self._view

    def seen_through(self, view: View) -> Traced:
        """Another array on the same memory."""
        return Traced(view, self._session)

    @property
    def session(self) -> Session:
        """The trace that it belongs to."""
        return self._session

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(wrap_size(s, self._session) for s in self.node.shape)

    @property
    def ndim(self) -> int:
        return self.node.ndim

    @property
    def size(self) -> Any:
        return wrap_size(sizes.product(self.node.shape), self._session)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.node.dtype

    @property
    def itemsize(self) -> int:
        return self.node.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        return self.size * self.itemsize

    @property
    def T(self) -> Traced:
        return self.seen_through(self._view.permute(range(self.ndim)[::-1]))

    @property
    def mT(self) -> Traced:
        if self.ndim < 2:
            raise TraceError(f"matrix transpose needs at least two dimensions, not {self.ndim}{at(user_site())}")
        order = [*range(self.ndim - 2), self.ndim - 1, self.ndim - 2]
        return self.seen_through(self._view.permute(order))

    @property
    def real(self) -> Traced:
        return self

    @property
    def imag(self) -> Traced:
        return wrap(build.number(0, self.dtype, self.node.shape))

    @property
    def flat(self) -> Iterator[Any]:
        return iter(self._call(np.ravel))

    def __repr__(self) -> str:
        if not self._session.open:
            return "<value of a finished trace>"
        node = self.node
        return f"<traced {node.dtype}[{', '.join(map(str, node.shape))}]>"

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        raise needs_value(self, f"format with {spec!r}", "print(x) shows its type and shape")

    # ------------------------------------------------------------------------------------------------ operators
    __add__, __radd__ = _binary(np.add)
    __sub__, __rsub__ = _binary(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder)
    __divmod__, __rdivmod__ = _binary(np.divmod)
    __matmul__, __rmatmul__ = _binary(np.matmul)
    __and__, __rand__ = _binary(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or)
    __xor__, __rxor__ = _binary(np.bitwise_xor)
    __lshift__, __rlshift__ = _binary(np.left_shift)
    __rshift__, __rrshift__ = _binary(np.right_shift)
    __lt__, _ = _binary(np.less)
    __le__, _ = _binary(np.less_equal)
    __gt__, _ = _binary(np.greater)
    __ge__, _ = _binary(np.greater_equal)
    _pow, _rpow = _binary(np.power)
    __iadd__ = _in_place(np.add)
    __isub__ = _in_place(np.subtract)
    __imul__ = _in_place(np.multiply)
    __itruediv__ = _in_place(np.divide)
    __ifloordiv__ = _in_place(np.floor_divide)
    __imod__ = _in_place(np.remainder)
    __ipow__ = _in_place(np.power)
    __iand__ = _in_place(np.bitwise_and)
    __ior__ = _in_place(np.bitwise_or)
    __ixor__ = _in_place(np.bitwise_xor)
    __ilshift__ = _in_place(np.left_shift)
    __irshift__ = _in_place(np.right_shift)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        if modulo is not None:
            return NotImplemented
        simple = _SIMPLE_POWERS.get(other) if type(other) in (int, float) and self.ndim else None
        if simple is not None and (self.dtype.kind == "f" or other == 2):
            return operate(simple, self)
        return self._pow(other)

    def __rpow__(self, other: Any, modulo: Any = None) -> Any:
        return NotImplemented if modulo is not None else self._rpow(other)

    def __imatmul__(self, other: Any) -> Any:
        return dispatch_ufunc(np.matmul, "__call__", (self, other), {"out": (self,)})

    def __eq__(self, other: object) -> Any:
        return operate(np.equal, self, other) if _operand(other) else False

    def __ne__(self, other: object) -> Any:
        return operate(np.not_equal, self, other) if _operand(other) else True

    def __neg__(self) -> Any:
        return operate(np.negative, self)

    def __pos__(self) -> Any:
        return operate(np.positive, self)

    def __abs__(self) -> Any:
        return operate(np.absolute, self)

    def __invert__(self) -> Any:
        return operate(np.invert, self)

    # ------------------------------------------------------------------------------------------------ not a number
    def _concrete(self) -> Any:
        """Its value where sizes and constants alone determine it (the sizes are specialised), else None."""
        with located():
            node = self.node
            return self._session.concretise(node) if node.ndim == 0 else None

    def __bool__(self) -> bool:
        value = self._concrete()
        if value is None:
            raise needs_value(
                self,
                "a branch (`if`, `while`, `and`, `or`, `not`, `assert`)",
                "use np.where(condition, a, b), np.minimum, np.maximum or np.logical_and",
            )
        return bool(value)

    def __float__(self) -> float:
        value = self._concrete()
        if value is None and is_storing():
            raise conversion(self)
        if value is None:
            raise needs_value(self, "float()", "leave it an array; functions of `math` have equals in NumPy (np.exp for math.exp)")
        return float(value)

    def __int__(self) -> int:
        value = self._concrete()
        if value is None and is_storing():
            raise conversion(self)
        if value is None:
            raise needs_value(self, "int()", "x.astype(int) converts inside the trace")
        return int(value)

    __trunc__ = __int__

    def __index__(self) -> int:
        value = self._concrete() if self.dtype.kind in "iu" else None
        if value is None:
            raise needs_value(
                self,
                "an integer (for range(), a shape, a repetition)",
                "pass it as a Python int, which is part of the signature; to index with it, index a traced array",
            )
        return int(value)

    def __complex__(self) -> NoReturn:
        raise needs_value(self, "complex()", "compute real and imaginary parts as two arrays")

    def __floor__(self) -> NoReturn:
        raise needs_value(self, "math.floor()", "use np.floor")

    def __ceil__(self) -> NoReturn:
        raise needs_value(self, "math.ceil()", "use np.ceil")

    def __round__(self, digits: int | None = None) -> Any:
        return self._call(np.round, digits or 0)

    def item(self, *args: Any) -> Any:
        """Refused, as there is no number yet, unless captured arrays alone determine it."""
        known = self._session.concretise(self.node)
        if known is not None:
            return known.item(*args)
        raise needs_value(self, ".item()", "leave it an array; a 0-d array works wherever a number does")

    def tolist(self) -> Any:
        """Refused, as there are no numbers yet, unless captured arrays alone determine them."""
        known = self._session.concretise(self.node)
        if known is not None:
            return known.tolist()
        raise needs_value(self, ".tolist()", "leave it an array, or list(x) for a list of traced rows")

    def __hash__(self) -> NoReturn:
        raise needs_value(self, "hash() (a set, a dictionary key, a cache)", "use its position or name as the key")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        known = self._session.concretise(self.node)
        if known is None:
            raise conversion(self)
        return np.array(known, dtype)

    # ------------------------------------------------------------------------------------------------ parts
    def __len__(self) -> int:
        node = self.node
        if not node.ndim:
            raise TypeError("len() of unsized object")
        with located():
            return self._session.specialise(node.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return iter([self[k] for k in range(len(self))])

    def __contains__(self, value: Any) -> bool:
        return bool(self._call(np.any, _of=(self == value)))

    def __getitem__(self, key: Any) -> Any:
        with located():
            lifted = lift_key(key)
            if any(isinstance(k, (Node, bool)) for k in lifted):
                return wrap(build.index(self.node, lifted))
            view = self._view.index(lifted)
            node = view.read()
            if node.ndim == 0 and not any(k is Ellipsis for k in lifted):
                return wrap(node)  # an element is a number: a later write to the array does not change it
            return self.seen_through(view)

    def __setitem__(self, key: Any, value: Any) -> None:
        with located():
            node = self.node
            if not node.ndim and not lift_key(key):
                key = ...
            self.write(build.update(node, plain_key(lift_key(key)), to_dtype(lift(value), node.dtype)))

    # ------------------------------------------------------------------------------------------------ methods
    def _call(self, function: Callable[..., Any], *args: Any, _of: Any = None, **kwargs: Any) -> Any:
        from .functions import call

        return call(function, (self if _of is None else _of, *args), kwargs)

    def __getattr__(self, name: str) -> Any:
        function = METHODS.get(name)
        if function is not None:

            def method(*args: Any, **kwargs: Any) -> Any:
                return self._call(function, *args, **kwargs)

            method.__name__ = name
            return method
        if hasattr(np.ndarray, name) and not name.startswith("__"):
            known = self._session.concretise(self.node)
            if known is not None:
                return getattr(known, name)
            raise UnsupportedAttributeError(
                f"the attribute .{name} of a traced array is not supported{at(user_site())}: use "
                "NumPy's functions and operators on it, or compute it outside of the function"
            )
        raise AttributeError(f"a traced array has no attribute {name!r}", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return sorted({*(n for n in vars(type(self)) if not n.startswith("_")), *METHODS})

    def reshape(self, *shape: Any, order: str = "C", **kwargs: Any) -> Any:
        return self._call(np.reshape, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Any:
        together = len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list)))
        return self._call(np.transpose, (axes[0] if together else axes) or None)

    def astype(self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True) -> Traced:
        with located():
            wanted = np.dtype(dtype)
            if not np.can_cast(self.dtype, wanted, casting):  # type: ignore[arg-type]
                raise TypeError(f"Cannot cast array data from {self.dtype!r} to {wanted!r} according to the rule {casting!r}")
            return wrap(to_dtype(lift(self), wanted))

    def copy(self, order: str = "C") -> Traced:
        return wrap(self.node)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        return self.copy()

    def flatten(self, order: str = "C") -> Any:
        return self._call(np.ravel, order=order).copy()

    def swapaxes(self, axis1: Any, axis2: Any) -> Any:
        return self._call(np.swapaxes, axis1, axis2)

    def fill(self, value: Any) -> None:
        self[...] = value

    def sort(self, axis: int = -1, **kwargs: Any) -> None:
        self[...] = self._call(np.sort, axis=axis, **kwargs)

    def view(self, dtype: Any = None, type: Any = None) -> Traced:
        if dtype is not None and not isinstance(dtype, builtins.type(np.ndarray)) and np.dtype(dtype) != self.dtype:
            raise UnsupportedAttributeError(
                f".view({dtype}) reads the bytes of an array as another type, which has no derivative"
                f"{at(user_site())}: .astype converts values"
            )
        return self.seen_through(self._view)

    # ------------------------------------------------------------------------------------------------ NumPy's protocols
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return dispatch_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from .functions import call

        return call(function, args, kwargs)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array


# the methods that are the NumPy function of the same meaning, with the array as its first argument
METHODS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "clip",
        "cumsum",
        "cumprod",
        "diagonal",
        "dot",
        "max",
        "mean",
        "min",
        "nonzero",
        "prod",
        "ravel",
        "repeat",
        "round",
        "searchsorted",
        "squeeze",
        "std",
        "sum",
        "take",
        "trace",
        "var",
        "compress",
        "conjugate",
        "choose",
        "argpartition",
        "partition",
    )
} | {"conj": np.conjugate, "ptp": np.ptp}
