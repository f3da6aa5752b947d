"""Lowering of matrix products: the loops that compute the same, for small sizes, and which labels BLAS would see."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .blas import routine
from .ir import Node
from .loopnest import Buffer, Index, IndexExpr, Kernel, Let, Literal, Load, Loop, Product, Side, Statement, Store, StoreAdd
from .lower import plus, symbols_read, times
from .products import Operand, Term
from .schedule import Plan, ProductStep
from .sizes import Size, floordiv, maximum, minimum, product

__all__ = ["lower_product", "place_of"]

LEAST = 1 << 22  # multiplications in a part, about a tenth of a millisecond
SHORTEST = 128  # rows or columns in a part
MOST_PARTS = 64


def lower_product(plan: Plan, step: ProductStep, name: str) -> list[Product]:
    """The products of a step, in order: the first writes the result, the others add to it."""
    dense = {n for s in plan.kernels for n in s.roots} | {s.node for s in plan.steps if isinstance(s, ProductStep)}
    return [_product(plan, step, term, f"{name}_{k}" if k else name, k > 0, dense) for k, term in enumerate(step.terms)]


def _side(plan: Plan, operand: Operand) -> Side:
    start, labels, steps = zip(*operand.walks, strict=True) if operand.walks else ((), (), ())
    return Side(plan.buffers[operand.base], start, labels, steps)


def _product(plan: Plan, step: ProductStep, term: Term, name: str, accumulate: bool, dense: set[Node]) -> Product:
    node, contraction = step.node, term.node
    stack, rows, inner, columns, swapped = groups(*contraction.params)
    sizes: dict[str, Size] = {}
    for x, labels in zip(contraction.inputs, contraction.params[:2], strict=True):
        sizes.update(zip(labels, x.shape, strict=True))
    extents = tuple((c, sizes[c]) for c in stack + rows + inner + columns)
    out = Side(plan.buffers[node], (0,) * node.ndim, tuple(contraction.param("out")), (1,) * node.ndim)
    left, right = _side(plan, term.left), _side(plan, term.right)
    left, right = (right, left) if swapped else (left, right)
    buffers = [Buffer(plan.buffers[n], n.dtype, n.ndim, contiguous=n in dense)
               for n in dict.fromkeys((term.left.base, term.right.base))]
    buffers.append(Buffer(out.buffer, node.dtype, node.ndim, written=True, contiguous=True))
    body = _loops(out, left, right, stack + rows + inner, columns, dict(extents), Literal(term.scale, node.dtype))
    if not accumulate:
        body = (*_fill(out, dict(extents), node.dtype), *body)
    read = symbols_read(body)  # every extent, so what `parts` reads as well
    loops = Kernel(f"{name}_loops", tuple(buffers), read, body)
    return Product(name, tuple(buffers), read, routine(node.dtype), out, left, right, (stack, rows, inner, columns), extents,
                   term.scale, accumulate, _parts(stack, rows, inner, columns, sizes), loops)


def _parts(stack: str, rows: str, inner: str, columns: str, sizes: Mapping[str, Size]) -> Size:
    """In how many parts a product runs, on one thread or many.

    Each packs the operand that it shares with the others again, so a part has some length along the axis that is cut.
    """
    matrices, m, k, n = (product([sizes[c] for c in labels]) for labels in (stack, rows, inner, columns))
    most = maximum(matrices, maximum(floordiv(m, SHORTEST), floordiv(n, SHORTEST)))
    return maximum(1, minimum(minimum(most, MOST_PARTS), floordiv(matrices * m * k * n, LEAST)))


def groups(left: str, right: str, out: str) -> tuple[str, str, str, str, bool]:
    """Labels of the stack, of the rows, of what is summed, of the columns; and whether the right operand has the rows.

    The last axis of the result is one of columns. Labels are in the order of the result's axes, or of the left operand's.
    """
    stack = "".join(c for c in out if c in left and c in right)
    inner = "".join(c for c in left if c not in out)
    lefts, rights = ("".join(c for c in out if c in own and c not in other) for own, other in ((left, right), (right, left)))
    swapped = out[-1] in lefts
    return (stack, rights, inner, lefts, True) if swapped else (stack, lefts, inner, rights, False)


def place_of(side: Side, at: Mapping[str, IndexExpr] | None = None) -> tuple[IndexExpr, ...]:
    """Where a side is at the current iteration, or at these indices of its labels."""
    return tuple(plus(times(Index(f"i_{label}") if at is None else at[label], by), start) if label else start
                 for start, label, by in zip(side.start, side.labels, side.steps, strict=True))


def _nest(labels: str, extents: Mapping[str, Size], body: tuple[Statement, ...], prefix: str = "i_") -> tuple[Statement, ...]:
    for label in reversed(labels):
        body = (Loop(f"{prefix}{label}", extents[label], body),)
    return body


def _loops(out: Side, left: Side, right: Side, outside: str, columns: str, extents: Mapping[str, Size],
           scale: Literal) -> tuple[Statement, ...]:
    """Sums in memory: the innermost loop is along what is dense in the result."""
    first: list[Statement] = [Load("v_left", left.buffer, place_of(left))]
    if scale.value != 1.0:
        first.append(Let("v_scaled", "mul", ("v_left", scale), scale.dtype))
    inside: tuple[Statement, ...] = (
        Load("v_right", right.buffer, place_of(right)),
        Let("v_product", "mul", ("v_scaled" if len(first) > 1 else "v_left", "v_right"), scale.dtype),
        StoreAdd(out.buffer, place_of(out), "v_product"))
    return _nest(outside, extents, (*first, *_nest(columns, extents, inside)))


def _fill(out: Side, extents: Mapping[str, Size], dtype: np.dtype[Any]) -> tuple[Statement, ...]:
    """Zeros in the result."""
    place = tuple(Index(f"z_{label}") for label in out.labels)
    return _nest("".join(out.labels), extents, (Store(out.buffer, place, Literal(0.0, dtype)),), "z_")
