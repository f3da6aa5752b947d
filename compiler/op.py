"""What an op is: one entry that every pass reads.

An op is declared once, in `compiler.ops`: how its shape and dtype follow, how NumPy evaluates it, its derivative, how
it is lowered, how it is written. No pass keeps a list of ops of its own; it looks up the field that it needs.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import InternalError

if TYPE_CHECKING:
    from .ir import Node
    from .ops.lowering import Lowering
    from .sizes import Size

Shape = tuple["Size", ...]
Kind = Literal["leaf", "elementwise", "reduce", "movement", "contract", "index", "opaque"]
Aval = tuple[Shape, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Over:
    """A partial derivative of the form `1 / node`: cotangents are divided, which rounds once instead of twice."""

    node: Node


@dataclass(frozen=True, slots=True)
class Refused:
    """A partial derivative that has no formula: asking for it is an error, which says why."""

    reason: str


Partial = "Node | Over | Refused | int | None"  # an int is +1 or -1; None: the derivative is structurally zero


@dataclass(frozen=True, slots=True)
class Names:
    """How people read an op.

    Attributes:
        sympy: the name of a SymPy function.
        latex, text: templates over the operands (`{0}`, `{1}`) and the parameters, by name.
        numpy: the same in NumPy source (with `np`, `special`), where it is no call of the ufunc that evaluates the op.
        meaning: `(m, *operands)`, the op in terms of other functions of the namespace m (`m.exp`, `m.log`, `m.sqrt`)
            and operators; for what SymPy has no function for.
        inline: formulas show the meaning, never the op's own name.
        spelled: formulas differentiate the meaning: the op's own slope is a series where that has 0/0.
        exact: `(m, *operands)`, the op in mpmath's functions, where neither its SymPy name nor its meaning says what that is.
        exported: `numpy` for arrays of any rank, where that is for those of formulas only; or a function of the parameters that gives it.
    """

    sympy: str = ""
    latex: str = ""
    text: str = ""
    numpy: str = ""
    meaning: Callable[..., Any] | None = None
    inline: bool = False
    spelled: bool = False
    exact: Callable[..., Any] | None = None
    exported: str | Callable[..., str] = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """One operation of the IR.

    Exactly one derivative declaration: `partials` (elementwise), `transpose` (linear in its inputs), `weights`
    (reductions whose derivative is a weighted sum), `tangent` or `tangents` (the rest), or `not_differentiable` with the reason.

    Attributes:
        infer: `(inputs, params) -> (shape, dtype)`; raises ShapeError or DTypeError on what does not fit.
        evaluate: `(*arrays, **params) -> array`, the NumPy reference; sizes in `params` are ints, `shape` and `dtype`
            of the node are passed when the op asks for them by `wants_aval`.
        partials: `(y, *xs) -> one Partial for each input`, in terms of the output and the inputs.
        transpose: `(ct, node, position) -> Node`, the adjoint with respect to one input; for an op that is linear in
            all inputs `jointly` (concatenate), or in each while the others are held (contraction).
        mask: `(mask, node, position) -> mask` beside `transpose`: where the input's cotangent may be non-zero, given
            where the output's may be (None: anywhere). Not declared: anywhere.
        selected: `(ct, mask, node, position) -> Node | None` beside `transpose`, of an op whose adjoint multiplies: the
            same, with exact zeros for factors that meet only masked cotangents; None where that cannot be said.
        weights: `(y, x, node) -> Node` of x's shape, `y` being the output expanded to it:
            jvp = sum(weights * dx), vjp = weights * ct.
        tangent: `(node, position, dx) -> Node`, the jvp along one input, made of ops that are linear in dx; the vjp is
            its transpose. Such an op also declares `transpose` for the positions in which it is linear itself.
        tangents: `(node, dxs) -> Node`, the jvp along all inputs at once (None: zero) instead of `tangent`, where that is less work
            than the sum of one for each. Such an op declares `transpose` for all positions, or
            `cotangents`, of its derivative.
        cotangents: `(ct, node, positions) -> a Node for each of the positions, or None`, the adjoint with respect to several inputs at
            once, instead of `transpose`, where that is less work than one for each.
        batch: `(node, inputs, size) -> Node`, the same op for `size` examples at once: every input has the examples along a
            new first axis, and so has the result. Elementwise ops and reductions need none.
        partly: `batch` takes None for an input that is the same for all examples.
        by_others: `(node) -> Node`, the same by ops that are lowered to loops, where this one is not.
        bodies: the parameters that are programs of their own.
        runs: how `evaluate` runs them: once, by the functions `branches`; for all rows, or until its result says so, by the
            function `steps`.
        in_line: `(node) -> Node`, the same with its bodies as parts of the program around it; so formulas read it.
        carriers: of an op with marks, the inputs that derivatives come through.
        marks: of an op that only differentiation knows of, and that is its first operand to everything else: why it is there.
        dtypes: which element types it takes: any of "float", "int", "bool".
        transposes: of a transposed matrix, the function is the transpose of the function (a number is its own).
        orthonormal: of a result that is a matrix, what of it has length 1 and stands at right angles.
        triangle: of a result that is a triangular matrix, which triangle has it.
        parity: what a change of sign does to an elementwise op: of one operand changes the sign of the result (each), of all
            numeric ones together does (joint), or of any operand changes nothing (even).
        homogeneous: the same for constant factors of an elementwise op: one of any operand (each), of the first one, or of all
            numeric ones together (joint) is one of the result.
    """

    name: str
    kind: Kind
    arity: int | None
    infer: Callable[[tuple[Node, ...], dict[str, Any]], Aval]
    evaluate: Callable[..., Any]
    params: tuple[str, ...] = ()
    optional: Mapping[str, Any] = field(default_factory=dict)  # parameters that need not be given, with the values they then have
    wants_aval: bool = False
    binds: tuple[str, ...] = ()  # parameters that are symbols whose value is the length of the result
    dtypes: tuple[str, ...] = ("float", "int", "bool")
    partials: Callable[..., tuple[Any, ...]] | None = None
    transpose: Callable[[Node, Node, int], Node | None] | None = None
    jointly: bool = False
    weights: Callable[[Node, Node, Node], Node] | None = None
    mask: Callable[[Node | None, Node, int], Node | None] | None = None
    selected: Callable[[Node, Node, Node, int], Node | None] | None = None
    tangent: Callable[[Node, int, Node], Node] | None = None
    tangents: Callable[[Node, Sequence[Node | None]], Node | None] | None = None
    cotangents: Callable[[Node, Node, Sequence[int]], Sequence[Node | None]] | None = None
    batch: Callable[[Node, tuple[Any, ...], Size], Node] | None = None
    partly: bool = False
    not_differentiable: str = ""
    commutative: bool = False
    anticommutative: bool = False  # of two operands: exchanged, the result changes its sign
    parity: Literal["", "each", "joint", "even"] = ""
    homogeneous: Literal["", "each", "first", "joint"] = ""
    transposes: bool = False
    triangle: Literal["", "lower", "upper"] = ""
    orthonormal: Literal["", "rows", "columns", "both"] = ""
    lowering: Lowering | None = None
    identity: Callable[[np.dtype[Any]], Any] | None = None  # of a reduction: what an empty one gives
    combine: str = ""  # of a reduction: the elementwise op that joins two partial results
    by_others: Callable[[Node], Node] | None = None
    bodies: tuple[str, ...] = ()
    runs: Literal["", "once", "rows", "until"] = ""
    in_line: Callable[[Node], Node] | None = None
    marks: str = ""
    carriers: Callable[[Node], Sequence[Node]] | None = None
    names: Names = field(default_factory=Names)
    cost: float = 1.0  # in additions; a scheduler recomputes cheap values and keeps dear ones
    singular: bool = True  # a partial may be infinite or nan, so a zero cotangent must not be multiplied by it
    kinks: str = ""
    source: str = ""

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> tuple[Callable[[str], Op], tuple[str]]:
        return (get, (self.name,))


_REGISTRY: dict[str, Op] = {}


def declare(op: Op) -> Op:
    """Add an op to the table.

    Raises:
        InternalError: the name is taken, or not exactly one derivative is declared.
    """
    declared = [d for d in (op.partials, op.tangent or op.tangents or op.transpose, op.weights, op.not_differentiable or None) if d]
    if len(declared) != 1 and op.kind != "leaf":
        raise InternalError(f"op {op.name}: {len(declared)} derivative declarations, need exactly one")
    if op.name in _REGISTRY:
        raise InternalError(f"op {op.name} is declared twice")
    _REGISTRY[op.name] = op
    return op


def get(name: str) -> Op:
    """The op named `name`."""
    return _REGISTRY[name]


def all_ops() -> tuple[Op, ...]:
    """Every declared op, in the order of declaration."""
    return tuple(_REGISTRY.values())
