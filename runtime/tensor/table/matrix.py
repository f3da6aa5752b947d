"""Products of vectors, matrices and stacks of them."""
from __future__ import annotations

from typing import Any

from ....compiler import build
from ....compiler.ir import Node
from ...torch_types import scalar_type_name
from ..geometry import numel, wrap_dim
from ..messages import c_name
from ..row import METHODS, ROWS, Call, call, composite, number, numpy_dtype, op, renamed, type_name
from ..tensor import Tensor
from .common import broadcast


def _same_dtype(a: Tensor, b: Tensor) -> None:
    if a._dtype is not b._dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {c_name(a._dtype)} != "
                           f"{c_name(b._dtype)}")


@op("mm", build=lambda a, b: build.matmul(a, b), backward="MmBackward0", saved="mat2>self self>mat2", inputs="self mat2")
def _mm(self: Tensor, mat2: Tensor) -> Call:
    if len(self._shape) != 2:
        raise RuntimeError("self must be a matrix")
    if len(mat2._shape) != 2:
        raise RuntimeError("mat2 must be a matrix")
    if self._shape[1] != mat2._shape[0]:
        raise RuntimeError("mat1 and mat2 shapes cannot "
                           "be multiplied ({}x{} and {}x{})".format(*self._shape, *mat2._shape))
    _same_dtype(self, mat2)
    return Call((self, mat2), (), (self._shape[0], mat2._shape[1]), self._dtype)


@op("mv", build=lambda a, b: build.matmul(a, b), backward="MvBackward0", saved="vec>self self>vec", inputs="self vec",
    derivative="MulBackward0 MvBackward0")
def _mv(self: Tensor, vec: Tensor) -> Call:
    if len(self._shape) != 2 or len(vec._shape) != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {len(self._shape)}, {len(vec._shape)}")
    if self._shape[1] != vec._shape[0]:
        raise RuntimeError(f"size mismatch, got input ({self._shape[0]}), mat ({self._shape[0]}x{self._shape[1]}), vec "
                           f"({vec._shape[0]})")
    if self._dtype is not vec._dtype:
        own, given = scalar_type_name(self._dtype), scalar_type_name(vec._dtype)
        raise RuntimeError(f"addmv input tensors must have the same dtype, but got {given}, {own}, and {given}")
    return Call((self, vec), (), self._shape[:1], self._dtype)


@op("dot", build=lambda a, b: build.matmul(a, b), backward="DotBackward0", saved="tensor>self self>tensor", inputs="self tensor",
    derivative="MulBackward0")
def _dot(self: Tensor, tensor: Tensor) -> Call:
    if len(self._shape) != 1 or len(tensor._shape) != 1:
        raise RuntimeError(f"1D tensors expected, but got {len(self._shape)}D and {len(tensor._shape)}D tensors")
    if self._dtype is not tensor._dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {scalar_type_name(self._dtype)} "
                           f"and {scalar_type_name(tensor._dtype)}")
    if self._shape != tensor._shape:
        raise RuntimeError(f"inconsistent tensor size, expected tensor [{self._shape[0]}] and src [{tensor._shape[0]}] "
                           f"to have the same number of elements, but got {self._shape[0]} and {tensor._shape[0]} "
                           "elements respectively")
    return Call((self, tensor), (), (), self._dtype)


composite("vdot")(lambda self, other: renamed(call("dot", self, other), "VdotBackward0"))


@op("bmm", build=lambda a, b: build.matmul(a, b), backward="BmmBackward0", saved="mat2>self self>mat2", inputs="self mat2")
def _bmm(self: Tensor, mat2: Tensor) -> Call:
    if len(self._shape) != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if len(mat2._shape) != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    n, _, k = self._shape
    if mat2._shape[:2] != (n, k):
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{n}, {k}] but got: "
                           f"[{mat2._shape[0]}, {mat2._shape[1]}].")
    if self._dtype is not mat2._dtype:
        raise RuntimeError(f"expected scalar type {scalar_type_name(self._dtype)} but found "
                           f"{scalar_type_name(mat2._dtype)}")
    return Call((self, mat2), (), (n, self._shape[1], mat2._shape[2]), self._dtype)


@composite("matmul", replay=True)
def _matmul(self: Tensor, other: Tensor) -> Tensor:
    """Torch's decomposition: which operations the graph shows depends on the numbers of axes."""
    for position, item in ((1, self), (2, other)):
        if not isinstance(item, Tensor):
            raise TypeError(f"matmul(): argument '{'input' if position == 1 else 'other'}' (position {position}) must "
                            f"be Tensor, not {type_name(item)}")
    a, b = len(self._shape), len(other._shape)
    if not a or not b:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D")
    if a == 1 and b == 1:
        return call("dot", self, other)  # type: ignore[no-any-return]
    if a == 2 and b == 1:
        return call("mv", self, other)  # type: ignore[no-any-return]
    if a == 1 and b == 2:
        row = call("mm", call("unsqueeze", self, 0), other)
        return call("squeeze_axes", row, (0,), "SqueezeBackward4")  # type: ignore[no-any-return]
    if a == 2 and b == 2:
        return call("mm", self, other)  # type: ignore[no-any-return]
    return _folded(self, other) if _should_fold(self, other) else _batched(self, other)


def _should_fold(self: Tensor, other: Tensor) -> bool:
    """Whether a stack times one matrix or vector is done as one product of matrices."""
    first_is_larger = len(self._shape) >= len(other._shape)
    stack, single = (self, other) if first_is_larger else (other, self)
    if len(stack._shape) < 3 or len(single._shape) > 2:
        return False
    if single.requires_grad:
        return True
    if len(self._shape) == 2:
        return False
    shape, strides = list(stack._shape), list(stack._strides)
    if not first_is_larger:
        shape[-2:], strides[-2:] = shape[:-3:-1], strides[:-3:-1]
    return stack.numel() == 0 or all(strides[k] == strides[k + 1] * shape[k + 1] for k in range(len(shape) - 2))


def _folded(self: Tensor, other: Tensor) -> Tensor:
    """A stack times one matrix or vector: the leading axes folded into the rows."""
    swapped = len(other._shape) > len(self._shape)
    stack = call("transpose", other, -2, -1) if swapped else self
    single = other if not swapped else call("t", self) if len(self._shape) == 2 else self
    lead = stack._shape[:-1]
    flat = call("reshape", stack, numel(lead), stack._shape[-1])
    if len(single._shape) == 1:
        return call("unsafe_view", call("mv", flat, single), lead)  # type: ignore[no-any-return]
    made = call("unsafe_view", call("mm", flat, single), (*lead, single._shape[1]))
    return call("contiguous", call("transpose", made, -2, -1)) if swapped else made  # type: ignore[no-any-return]


def _batched(self: Tensor, other: Tensor) -> Tensor:
    """Stacks of matrices, broadcast to each other, as one batch."""
    a, b = self._shape, other._shape
    if len(a) == len(b) == 3 and a[0] != b[0]:  # a stack of one is no stack: its gradient is not made of copies
        if a[0] == 1 and self.requires_grad:
            return call("matmul", call("squeeze", self, 0), other)  # type: ignore[no-any-return]
        if b[0] == 1 and other.requires_grad:
            return call("matmul", self, call("squeeze", other, 0))  # type: ignore[no-any-return]
    rows, inner = (a[-2] if len(a) > 1 else 1), a[-1]
    lead = broadcast(a[:-2], b[:-2])
    count = numel(lead)
    left = call("reshape", call("expand_to", self, (*lead, rows, inner)), count, rows, inner)
    if len(b) == 1:
        right = call("unsqueeze", call("reshape", call("expand_to", other, (*lead, b[0])), count, b[0]), 2)
        made = call("squeeze", call("bmm", left, right), -1)
    else:
        right = call("reshape", call("expand_to", other, (*lead, *b[-2:])), count, *b[-2:])
        made = call("bmm", left, right)
    return call("unsafe_view", made, (*lead, *a[-2:-1], *(b[-1:] if len(b) > 1 else ())))  # type: ignore[no-any-return]


_multiplied = METHODS["matmul"]
METHODS["__matmul__"] = lambda self, other: _multiplied(self, other) if isinstance(other, Tensor) else NotImplemented
METHODS["__rmatmul__"] = lambda self, other: NotImplemented


@composite("outer", also="ger")
def _outer(self: Tensor, vec2: Tensor) -> Tensor:
    for name, t in (("self", self), ("vec2", vec2)):
        if len(t._shape) != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {len(t._shape)}-D")
    return call("mul", call("reshape", self, -1, 1), vec2)  # type: ignore[no-any-return]


@composite("inner")
def _inner(self: Tensor, other: Tensor) -> Tensor:
    if not self._shape or not other._shape:
        return call("mul", self, other)  # type: ignore[no-any-return]
    return call("tensordot", self, other, ([-1], [-1]))  # type: ignore[no-any-return]


def _plus(x: Node, a: Node, b: Node, beta: Node, alpha: Node) -> Node:
    x, product = build.broadcast(x, build.matmul(a, b))
    beta, alpha = build.broadcast_to(beta, product.shape), build.broadcast_to(alpha, product.shape)
    return beta * x + alpha * product


def _plus_plain(x: Node, a: Node, b: Node) -> Node:
    x, product = build.broadcast(x, build.matmul(a, b))
    return x + product


def _fused(name: str, product: str, second: str, third: str, backward: str) -> None:
    """`beta * self + alpha * (second @ third)`."""
    def rule(self: Tensor, *matrices: Tensor, beta: Any = 1, alpha: Any = 1) -> Call:
        a, b = matrices
        if product == "mm" and a._dtype is not b._dtype:
            raise RuntimeError("mat1 and mat2 must have the same dtype, but got "
                               f"{scalar_type_name(a._dtype)} and {scalar_type_name(b._dtype)}")
        made = ROWS[product].rule(a, b)
        if self._dtype is not a._dtype:
            raise RuntimeError("self and mat2 must have the "
                               f"same dtype, but got {scalar_type_name(self._dtype)} and {scalar_type_name(b._dtype)}")
        if broadcast(self._shape, made.shape) != made.shape:
            raise RuntimeError(f"The expanded size of the tensor ({made.shape[-1]}) must match the existing size "
                               f"({self._shape[-1]})")
        if beta == 1 and alpha == 1:
            return Call((self, a, b), (), made.shape, a._dtype)
        kind = numpy_dtype(a._dtype)
        return Call((self, a, b, number(beta, kind), number(alpha, kind)), (), made.shape, a._dtype)

    op(name, build=lambda *nodes: _plus_plain(*nodes) if len(nodes) == 3 else _plus(*nodes), backward=backward,
       saved=f"{third}>{second} {second}>{third}", inputs=f"self {second} {third}", inplace=True)(rule)


_fused("addmm", "mm", "mat1", "mat2", "AddmmBackward0")
_fused("addmv", "mv", "mat", "vec", "AddmvBackward0")
_fused("baddbmm", "bmm", "batch1", "batch2", "BaddbmmBackward0")


@composite("addr")
def _addr(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    column, row = call("unsqueeze", vec1, 1), call("unsqueeze", vec2, 0)
    return call("addmm", self, column, row, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


@composite("chain_matmul", to="f")
def _chain_matmul(*matrices: Tensor) -> Tensor:
    if len(matrices) == 1:
        return call("clone", matrices[0])  # type: ignore[no-any-return]
    return call("linalg_multi_dot", matrices)  # type: ignore[no-any-return]


def _einsum(*nodes_and_equation: Any) -> Node:
    *nodes, equation = nodes_and_equation
    return build.einsum(equation, *nodes)


@op("einsum_of", build=_einsum, backward="EinsumBackward0", saved="operands*", inputs="operands", to="")
def _einsum_of(operands: Any, equation: str, shape: tuple[int, ...], name: str) -> Call:
    return Call(tuple(operands), (equation,), shape, operands[0]._dtype, name=name)


@composite("einsum", to="f")
def _einsum_function(equation: Any, *operands: Any) -> Tensor:
    from .einsum import check_equation, last_operation

    given = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    if not given:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or at least one operand "
                         "and its subscripts list")
    text, shape = check_equation(equation, [t._shape for t in given])
    return call("einsum_of", given, text, shape, last_operation(text))  # type: ignore[no-any-return]


@op("tensordot_of", build=lambda a, b, left, right: build.tensordot(a, b, left, right), backward="ViewBackward0", saved="self other",
    inputs="self other", to="")
def _tensordot_of(self: Tensor, other: Tensor, left: tuple[int, ...], right: tuple[int, ...]) -> Call:
    for a, b in zip(left, right, strict=True):
        if self._shape[a] != other._shape[b]:
            raise RuntimeError(f"contracted dimensions need to match, but first has size {self._shape[a]} in dim {a} "
                               f"and second has size {other._shape[b]} in dim {b}")
    shape = (*(s for k, s in enumerate(self._shape) if k not in left), *(s for k, s in enumerate(other._shape) if k not in right))
    return Call((self, other), (left, right), shape, self._dtype)


@composite("tensordot", to="f")
def _tensordot(self: Tensor, other: Tensor, dims: Any = 2) -> Tensor:
    if isinstance(dims, int):
        left, right = list(range(-dims, 0)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    axes = tuple(wrap_dim(d, len(self._shape)) for d in left), tuple(wrap_dim(d, len(other._shape)) for d in right)
    return call("tensordot_of", self, other, *axes)  # type: ignore[no-any-return]


@op("cross", build=lambda a, b, axis: _cross(a, b, axis), backward="LinalgCrossBackward0", saved="self other", inputs="self other")
def _cross_rule(self: Tensor, other: Tensor, dim: int | None = None) -> Call:
    shape = broadcast(self._shape, other._shape)
    axis = next(k for k, s in enumerate(shape) if s == 3) if dim is None else wrap_dim(dim, len(shape))
    if shape[axis] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {axis} must have length 3. Got {self._shape[axis]} and "
                           f"{other._shape[axis]}")
    return Call((self, other), (axis,), shape, self._dtype)


def _cross(a: Node, b: Node, axis: int) -> Node:
    a, b = build.broadcast(a, b)

    def rolled(x: Node, places: int) -> Node:
        return build.roll(x, -places, axis)

    return rolled(a, 1) * rolled(b, 2) - rolled(a, 2) * rolled(b, 1)


@composite("kron")
def _kron(self: Tensor, other: Tensor) -> Tensor:
    ndim = max(len(self._shape), len(other._shape))
    a, b = ((*(1,) * (ndim - len(t._shape)), *t._shape) for t in (self, other))
    left = call("reshape", self, [s for n in a for s in (n, 1)])
    right = call("reshape", other, [s for n in b for s in (1, n)])
    shape = tuple(n * m for n, m in zip(a, b, strict=True))
    return call("unsafe_view", call("mul", left, right), shape)  # type: ignore[no-any-return]


@op("inverse", build=lambda x: _inverse(x), backward="LinalgInvExBackward0", saved="result", to="mf", derivative="NegBackward0")
def _inverse_rule(self: Tensor) -> Call:
    from ..linear_algebra import check_invertible, column_major

    check_invertible("linalg.inv", self)
    return Call((self,), (), self._shape, self._dtype, column_major(self._shape))


def _inverse(x: Node) -> Node:
    from ....compiler.ir import f

    return f.inverse(x)
