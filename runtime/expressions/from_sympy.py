"""SymPy expressions as compiled functions with derivatives.

Each node of an expression is visited once, without recursion, so that the time is linear in the size of what SymPy holds.
"""
from __future__ import annotations

import keyword
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, partial, reduce
from typing import Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.provenance import at, user_site
from ..function import GradFunction
from .functions import FUNCTIONS, plus, power, suggestion, times
from .instead import NO_LIMITS, instead, refusal
from .steps import Steps

__all__ = ["from_sympy"]

MOST_WRITTEN = 70  # characters of an expression in a message


def from_sympy(expr: Any, args: Any = None, *, wrt: Any = None, stabilise: bool = True, fastmath: bool = False,
               assume: Mapping[str, str | Sequence[str]] | None = None) -> GradFunction:
    """A SymPy expression as a function, compiled and differentiable like a decorated one: a lambdify with gradient.

    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> f = from_sympy(sympy.sin(x) * y, [x, y])
    >>> print(f(0.0, 2.0), *f.grad(0.0, 2.0))
    0.0 2.0 0.0

    Args:
        expr: a SymPy expression; a matrix, whose function returns an array of its shape; an expression of matrix symbols, whose
            arguments are arrays of two axes; or a tuple, list or dict of these. `Piecewise`, `Min`, `Max`, relations, `Sum` and
            `Product` between whole numbers or with a closed form, elements of `IndexedBase` and the special functions that SciPy has
            may occur.
        args: the symbols (`Symbol`, `MatrixSymbol`, `IndexedBase`) that are the arguments, in order; default: all that occur, by
            name. An argument is called like its symbol; characters that no Python name may have become underscores.
        wrt, stabilise, fastmath, assume: as for `grad`.

    Raises:
        ArgumentError: a symbol is no argument, or something has no numerical function: its name is in the message.
    """
    symbols = _arguments(expr, args)
    names = _names(symbols)
    reader = _Reader(Steps(names), symbols)
    result = reader.structure(expr)
    function = reader.steps.function("expression", result, "A SymPy expression.")
    return GradFunction(function, wrt, stabilise, fastmath, assume)


def _arguments(expr: Any, args: Any) -> list[Any]:
    import sympy

    if args is None:
        found = {s for e in _expressions(expr) for s in _free(e)}
        return sorted(found, key=str)
    given = [args] if isinstance(args, (sympy.Basic, str)) else list(args)
    given = [sympy.Symbol(a) if isinstance(a, str) else a for a in given]
    for item in given:
        if not isinstance(item, (sympy.Symbol, sympy.MatrixSymbol, sympy.IndexedBase)):
            raise ArgumentError(f"from_sympy: an argument is a symbol, not {_short(item)}{at(user_site())}: substitute a symbol for it "
                                "(expr.subs)")
    return given


def _expressions(expr: Any) -> list[Any]:
    if isinstance(expr, dict):
        return [e for item in expr.values() for e in _expressions(item)]
    if isinstance(expr, (tuple, list)):
        return [e for item in expr for e in _expressions(item)]
    return [expr]


def _free(expr: Any) -> set[Any]:
    import sympy

    symbols: set[Any] = getattr(expr, "free_symbols", set())
    bases = {s.base for s in symbols if isinstance(s, sympy.Indexed)}
    labels = {b.label for b in bases}
    return {s for s in symbols if not isinstance(s, sympy.Indexed) and s not in labels} | bases


def _names(symbols: Sequence[Any]) -> list[str]:
    names: list[str] = []
    for symbol in symbols:
        name = "".join(c if c.isidentifier() or c.isdigit() else "_" for c in str(symbol)) or "_"
        name = f"_{name}" if name[0].isdigit() else name
        while name in names or keyword.iskeyword(name):
            name += "_"
        names.append(name)
    return names


def _short(item: Any) -> str:
    text = str(item)
    return text if len(text) <= MOST_WRITTEN else text[:MOST_WRITTEN] + "..."


class _Reader:
    """Reads expressions into steps. Nodes are known by identity: SymPy compares by form, which takes time."""

    def __init__(self, steps: Steps, symbols: Sequence[Any]) -> None:
        import sympy

        self.sympy, self.steps, self.slice = sympy, steps, sympy.matrices.expressions.slice.MatrixSlice
        self.symbols = {s: k for k, s in enumerate(symbols)}
        self.bound: dict[Any, tuple[int, int]] = {}  # the index of a sum: its values, and which axis from the end they lie along
        self.known: dict[int, int] = {}
        self.others: set[int] = set()  # nodes that another expression stands for
        self.alive: list[Any] = []  # so that no identity is used twice

    def structure(self, expr: Any) -> Any:
        """Numbers in the structure of the expression."""
        if isinstance(expr, dict):
            return {key: self.structure(item) for key, item in expr.items()}
        if isinstance(expr, (tuple, list)):
            return type(expr)(self.structure(item) for item in expr)
        if not isinstance(expr, self.sympy.Basic | self.sympy.MatrixBase | bool | int | float | np.number):
            raise ArgumentError(f"from_sympy takes SymPy expressions, not {_short(expr)} ({type(expr).__name__}){at(user_site())}: parse "
                                "reads text")
        return self.value(self.sympy.sympify(expr))

    def value(self, root: Any) -> int:
        """The number of an expression's value."""
        stack: list[tuple[Any, list[Any] | None]] = [(root, None)]
        while stack:
            node, parts = stack.pop()
            if id(node) in self.known:
                continue
            if parts is None:
                parts = self.parts(node)
                stack.append((node, parts))
                stack += [(p, None) for p in reversed(parts)]
            else:
                self.known[id(node)] = self.made(node, [self.known[id(p)] for p in parts])
                self.alive.append((node, parts))
        return self.known[id(root)]

    # ------------------------------------------------------------------------------------------------ parts
    def parts(self, node: Any) -> list[Any]:
        """The expressions whose values a node needs."""
        sympy, MatrixSlice = self.sympy, self.slice
        if isinstance(node, (sympy.Symbol, sympy.MatrixSymbol, sympy.IndexedBase, sympy.Number, sympy.NumberSymbol)):
            return []
        if isinstance(node, (sympy.Add, sympy.Mul)):  # most nodes of large expressions
            return list(node.args)
        other = instead(node)
        if other is not None:
            self.others.add(id(node))
            return [sympy.sympify(other)]
        kind: Any = type(node)
        refused = refusal(kind)
        if refused is not None:
            raise self.refused(node, *refused)
        if isinstance(node, (sympy.Sum, sympy.Product)):
            return [self.summand(node)]
        if isinstance(node, sympy.Piecewise):
            return [part for pair in node.args for part in pair.args]
        if isinstance(node, sympy.MatrixBase):
            return list(node.flat())
        if isinstance(node, sympy.NDimArray):
            return list(sympy.flatten(node.tolist())) if node.rank() else [node[()]]
        if isinstance(node, sympy.BlockMatrix):
            return list(node.blocks.flat())
        if isinstance(node, MatrixSlice):
            return [node.parent]
        if isinstance(node, sympy.Indexed):
            return [node.base, *node.indices]
        if isinstance(node, sympy.Pow):
            return [node.base] if node.exp.is_Integer or node.exp in _roots() else list(node.args)
        return list(node.args)

    def summand(self, node: Any) -> Any:
        """What is summed, with an index of its own, whose values are put along a new axis in front."""
        sympy = self.sympy
        inner = node.function
        for symbol, low, high in reversed(node.limits):
            if not (low.is_Integer and high.is_Integer):
                raise self.refused(node, *NO_LIMITS)
            index = sympy.Dummy(symbol.name, integer=True)
            inner = inner.xreplace({symbol: index})
            depth = 1 + max((self.bound[s][1] for s in node.free_symbols & self.bound.keys()), default=0)
            depth += len(node.limits) - 1 - list(node.limits).index((symbol, low, high))
            values = np.arange(int(low), int(high) + 1).reshape((-1,) + (1,) * (depth - 1))
            self.bound[index] = (self.steps.apply(("index", index), lambda values=values: values), depth)
        return inner

    # ------------------------------------------------------------------------------------------------ values
    def made(self, node: Any, parts: list[int]) -> int:
        """The number of a node whose parts have numbers."""
        sympy, steps, MatrixSlice = self.sympy, self.steps, self.slice
        if id(node) in self.others:
            return parts[0]
        if isinstance(node, (sympy.Symbol, sympy.MatrixSymbol, sympy.IndexedBase)):
            return self.symbol(node)
        if node is sympy.true or node is sympy.false:
            return steps.constant(bool(node))
        if isinstance(node, (sympy.Number, sympy.NumberSymbol)):
            return self.number(node)
        if isinstance(node, sympy.Pow):
            return self.power(node, parts)
        if isinstance(node, sympy.Mul) and not node.is_Matrix:  # a MatMul is a Mul
            return self.product(node, parts)
        if isinstance(node, (sympy.Sum, sympy.Product)):
            reducer = np.sum if isinstance(node, sympy.Sum) else np.prod
            return steps.apply((reducer.__name__, id(node)), partial(_over_first, reducer, len(node.limits)), *parts)
        if isinstance(node, sympy.Piecewise):
            return self.pieces(parts)
        if isinstance(node, sympy.MatrixBase):
            return steps.apply(("matrix", node.shape), partial(_matrix, node.shape), *parts)
        if isinstance(node, sympy.NDimArray):
            return steps.apply(("matrix", node.shape), partial(_matrix, tuple(map(int, node.shape))), *parts)
        if isinstance(node, sympy.BlockMatrix):
            return steps.apply(("blocks", node.blockshape), partial(_blocks, int(node.blockshape[1])), *parts)
        if isinstance(node, MatrixSlice):
            if not all(end.is_Integer for end in (*node.rowslice, *node.colslice)):
                raise self.refused(node, "its ends are no whole numbers", "substitute numbers for them (expr.subs)")
            index = tuple(slice(*map(int, ends)) for ends in (node.rowslice, node.colslice))
            return steps.apply(("slice", str(index)), lambda matrix: matrix[index], *parts)
        if isinstance(node, (sympy.Indexed, sympy.matrices.expressions.matexpr.MatrixElement)):
            return steps.apply("element", lambda array, *index: array[index if len(index) > 1 else index[0]], *parts)
        return steps.apply(*self.function(node), *parts)

    def symbol(self, node: Any) -> int:
        """An argument, or the index of a sum."""
        if node in self.symbols:
            return self.symbols[node]
        if node in self.bound:
            return self.bound[node][0]
        raise ArgumentError(f"from_sympy: {node} is no argument{at(user_site())}: the arguments are "
                            f"{', '.join(map(str, self.symbols)) or 'none'}; add {node}, or substitute a number for it (expr.subs)")

    def number(self, node: Any) -> int:
        """A number, rounded once."""
        sympy = self.sympy
        if node.is_Integer and abs(int(node)) < 2**53:
            return self.steps.constant(int(node))
        special = {sympy.oo: math.inf, -sympy.oo: -math.inf, sympy.nan: math.nan}
        return self.steps.constant(special[node] if node in special else float(node.evalf(25)))

    def power(self, node: Any, parts: list[int]) -> int:
        """Roots and whole powers by the functions for them."""
        steps, exponent = self.steps, node.exp
        if len(parts) == 2:
            return steps.apply("power", power, *parts)
        root = _roots().get(exponent)
        if root is not None:
            return steps.apply(root.__name__, root, *parts)
        n = int(exponent)
        made = parts[0] if abs(n) == 1 else steps.apply(("power", abs(n)), partial(_whole_power, abs(n)), parts[0])
        return made if n > 0 else steps.apply("reciprocal", _reciprocal, made)

    def product(self, node: Any, parts: list[int]) -> int:
        """Factors with negative whole powers below a fraction bar."""
        steps, sympy = self.steps, self.sympy
        above: list[int] = []
        below: list[int] = []
        for factor, number in zip(node.args, parts, strict=True):
            if isinstance(factor, sympy.Pow) and factor.exp.is_Integer and factor.exp < 0:
                base, n = self.known[id(factor.base)], -int(factor.exp)
                below.append(base if n == 1 else steps.apply(("power", n), partial(_whole_power, n), base))
            elif factor.is_Rational and not factor.is_Integer:
                above.append(steps.constant(float(factor)))
            else:
                above.append(number)
        joined = partial(reduce, lambda a, b: steps.apply("times", times, a, b))
        top = joined(above) if above else steps.constant(1.0)
        return top if not below else steps.apply("divide", np.divide, top, joined(below))

    def pieces(self, parts: list[int]) -> int:
        """The first piece whose condition holds; nan where none does."""
        made = self.steps.constant(math.nan)
        for value, condition in reversed(list(zip(parts[::2], parts[1::2], strict=True))):
            always = condition == self.steps.constant(True)
            made = value if always else self.steps.apply("where", np.where, condition, value, made)
        return made

    def function(self, node: Any) -> tuple[Hashable, Callable[..., Any]]:
        """(a name, what computes a node from its parts)."""
        kind, sympy = type(node), self.sympy
        name = kind.__name__.removeprefix("chainrule.")
        for base, call in _operations():
            if isinstance(node, base):
                return kind.__name__, call
        if isinstance(node, (sympy.Identity, sympy.ZeroMatrix, sympy.OneMatrix)):
            if not all(size.is_Integer for size in node.shape):
                raise self.refused(node, "its size is no number", "substitute numbers for sizes (expr.subs)")
            shape = tuple(map(int, node.shape))
            made = np.eye(shape[0]) if node.is_Identity else np.full(shape, float(isinstance(node, sympy.OneMatrix)))
            return (name, shape), lambda *_: made
        if isinstance(node, sympy.MatPow):
            return (kind.__name__, node.exp), lambda matrix, *_: np.linalg.matrix_power(matrix, int(node.exp))
        if isinstance(node, sympy.core.function.AppliedUndef) and name == kind.__name__:
            raise self.refused(node, f"{kind.__name__} is an unknown function", "substitute an expression for it (expr.subs)")
        row = FUNCTIONS.get(name)
        if row is None or not row.takes(len(node.args)):
            raise self.refused(node, f"{name} has no numerical function here", f"write it with other functions{suggestion(name)}")
        return name, row.call

    def refused(self, node: Any, why: str, instead: str) -> ArgumentError:
        """The error for what cannot be computed."""
        return ArgumentError(f"from_sympy: {_short(node)} cannot be computed: {why}{at(user_site())}: {instead}")


# ------------------------------------------------------------------------------------------------ what the steps do
@cache
def _roots() -> dict[Any, Callable[..., Any]]:
    import sympy

    return {sympy.Rational(1, 2): np.sqrt, sympy.Rational(-1, 2): _reciprocal_sqrt}


def _reciprocal(x: Any) -> Any:
    return 1.0 / x


def _reciprocal_sqrt(x: Any) -> Any:
    return 1.0 / np.sqrt(x)


def _whole_power(n: int, x: Any) -> Any:
    return x**n


def _over_first(reducer: Callable[..., Any], count: int, values: Any) -> Any:
    """Sum over the axes in front, of which each index of a sum has one; a summand without the index is repeated."""
    return reducer(values, axis=tuple(range(count)))


def _matrix(shape: tuple[int, ...], *elements: Any) -> Any:
    if not elements:
        return np.zeros(shape)
    return np.stack([np.asarray(e) if isinstance(e, (int, float)) else e for e in elements]).reshape(shape)


def _blocks(columns: int, *blocks: Any) -> Any:
    return np.concatenate([np.concatenate(blocks[k:k + columns], axis=1) for k in range(0, len(blocks), columns)], axis=0)


def _diagonal(vector: Any) -> Any:
    return np.eye(vector.shape[0] * vector.shape[1]) * np.reshape(vector, (-1, 1))


def _matrix_product(*factors: Any) -> Any:
    """Scalars and matrices, multiplied in order."""
    matrices = [f for f in factors if np.ndim(f) == 2]
    scalars = [f for f in factors if np.ndim(f) != 2]
    return reduce(np.multiply, [*scalars, reduce(np.matmul, matrices)])


def _folded(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: reduce(ufunc, values)


@cache
def _operations() -> tuple[tuple[Any, Callable[..., Any]], ...]:
    """By SymPy's class, for what is no function of the table."""
    import sympy

    return (
        (sympy.Adjoint, np.transpose), (sympy.HadamardPower, np.power), (sympy.KroneckerProduct, _folded(np.kron)),
        (sympy.DiagMatrix, _diagonal), (sympy.DiagonalMatrix, lambda matrix: matrix * np.eye(*matrix.shape)),
        (sympy.DotProduct, lambda a, b: np.sum(np.ravel(a) * np.ravel(b))),
        (sympy.MatAdd, _folded(np.add)), (sympy.MatMul, _matrix_product), (sympy.HadamardProduct, _folded(np.multiply)),
        (sympy.Transpose, np.transpose), (sympy.Inverse, lambda matrix, *_: np.linalg.inv(matrix)), (sympy.Trace, np.trace),
        (sympy.Determinant, np.linalg.det),
        (sympy.Add, _folded(plus)), (sympy.Ne, np.not_equal), (sympy.Eq, np.equal), (sympy.Lt, np.less), (sympy.Le, np.less_equal),
        (sympy.Gt, np.greater), (sympy.Ge, np.greater_equal), (sympy.And, _folded(np.logical_and)), (sympy.Or, _folded(np.logical_or)),
        (sympy.Not, np.logical_not), (sympy.ITE, np.where),
    )

