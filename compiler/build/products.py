"""Products of matrices and tensors in terms of the one contraction."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .. import sizes
from ..errors import ShapeError
from ..ir import Node, f
from ..op import Shape
from ..ops.rules import aval_text
from ..sizes import Size
from .basics import broadcast_shapes, broadcast_to
from .moving import iota, permute

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_SEARCHED = 8  # operands; the search looks at 3**n pairs of sets of them


def matmul(x: Node, y: Node) -> Node:
    """`x @ y` by NumPy's rule: vectors, matrices, stacks of them with broadcast leading axes.

    Raises:
        ShapeError: an operand is 0-d, or the inner sizes differ.
    """
    if not x.ndim or not y.ndim:
        raise ShapeError(f"matmul needs operands of at least one dimension: {aval_text(x)} @ {aval_text(y)}")
    inner_x, inner_y = x.ndim - 1, max(y.ndim - 2, 0)
    if not sizes.equal(x.shape[inner_x], y.shape[inner_y]):
        hint = ""
        if y.ndim == 2 and sizes.equal(x.shape[inner_x], y.shape[1]):
            hint = f". Did you mean the transpose of the second, of shape {tuple(reversed(y.shape))}?"
        raise ShapeError(f"matmul contracts axis {inner_x - x.ndim} of the first (size {x.shape[inner_x]}) with axis "
                         f"{inner_y - y.ndim} of the second (size {y.shape[inner_y]}): {aval_text(x)} @ {aval_text(y)}{hint}")
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2], what="matmul")
    x, y = _spread(x, batch), _spread(y, batch)
    labels_x, labels_y = LETTERS[: max(x.ndim - 2, 0)], LETTERS[: max(y.ndim - 2, 0)]
    rows, columns = "y" * (x.ndim > 1), "z" * (y.ndim > 1)
    stack = max(labels_x, labels_y, key=len)
    return f.contract(x, y, left=labels_x + rows + "x", right=labels_y + "x" + columns, out=stack + rows + columns)


def _spread(x: Node, batch: Shape) -> Node:
    """Leading axes broadcast, unless there are none: the contraction shares a plain matrix over the stack."""
    return x if x.ndim <= 2 else broadcast_to(x, (*batch, *x.shape[-2:]))


def outer(x: Node, y: Node) -> Node:
    """x[i] * y[j] of two vectors."""
    return f.contract(x, y, left="x", right="y", out="xy")


def tensordot(x: Node, y: Node, axes_x: Sequence[int], axes_y: Sequence[int]) -> Node:
    """Sum over pairs of axes."""
    left = list(LETTERS[: x.ndim])
    right = list(LETTERS[x.ndim: x.ndim + y.ndim])
    for a, b in zip(axes_x, axes_y, strict=True):
        right[b] = left[a]
    out = [c for k, c in enumerate(left) if k not in axes_x] + [c for k, c in enumerate(right) if k not in axes_y]
    return f.contract(x, y, left="".join(left), right="".join(right), out="".join(out))


def _parse(equation: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    equation = equation.replace(" ", "")
    inputs, arrow, out = equation.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(nodes):
        raise ShapeError(f"einsum: {len(terms)} terms in {equation!r} for {len(nodes)} operands")
    used = set(equation)
    spare = [c for c in LETTERS if c not in used]
    depth = max((n.ndim - len(t.replace("...", "")) for t, n in zip(terms, nodes, strict=True) if "..." in t), default=0)
    dots = "".join(spare[:depth])
    full = []
    for term, node in zip(terms, nodes, strict=True):
        explicit = len(term.replace("...", ""))
        if "..." in term:
            term = term.replace("...", dots[len(dots) - (node.ndim - explicit):] if node.ndim > explicit else "")
        if len(term) != node.ndim:
            raise ShapeError(f"einsum: term {term!r} of {equation!r} does not fit {aval_text(node)}")
        full.append(term)
    if arrow:
        out = out.replace("...", dots)
    else:
        counts = Counter("".join(terms).replace(".", ""))
        out = dots + "".join(sorted(c for c, n in counts.items() if n == 1))
    known = set("".join(full))
    if len(set(out)) != len(out) or not set(out) <= known:
        raise ShapeError(f"einsum: the output of {equation!r} repeats a label or has one that no operand has")
    return full, out


def _diagonals(node: Node, term: str) -> tuple[Node, str]:
    """A label that occurs twice in a term means the diagonal of those axes."""
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            if not sizes.equal(node.shape[first], node.shape[second]):
                raise ShapeError(f"einsum: label {label!r} names axes of sizes {node.shape[first]} and {node.shape[second]}")
            ramp = iota((node.shape[first],), 0)
            node = f.gather(node, ramp, ramp, axes=(first, second))
            term = label + term[:first] + term[first + 1: second] + term[second + 1:]
    return node, term


def _sum_out(node: Node, term: str, keep: set[str]) -> tuple[Node, str]:
    axes = tuple(k for k, label in enumerate(term) if label not in keep)
    if axes:
        node, term = f.sum(node, axes=axes), "".join(c for c in term if c in keep)
    return node, term


def einsum(equation: str, *nodes: Node) -> Node:
    """`np.einsum` of operands of one dtype, as pairwise contractions in the order that multiplies least, by the example's sizes.

    Raises:
        ShapeError: the equation does not fit the operands.
    """
    terms, out = _parse(equation, nodes)
    extents: dict[str, Shape] = {}
    work: list[tuple[Node, str]] = []
    for node, term in zip(nodes, terms, strict=True):
        for label, size in zip(term, node.shape, strict=True):
            extents[label] = broadcast_shapes(extents.get(label, (1,)), (size,), what=f"einsum label {label!r}")
        work.append(_diagonals(node, term))
    work = [(_stretch(node, term, extents), term) for node, term in work]
    for i, j in contraction_order([term for _, term in work], out, {c: _hint(shape[0]) for c, shape in extents.items()}):
        (a, left), (b, right) = work[i], work[j]
        others = set(out).union(*(t for k, (_, t) in enumerate(work) if k not in (i, j)))
        a, left = _sum_out(a, left, others | set(right))
        b, right = _sum_out(b, right, others | set(left))
        made = "".join(c for c in dict.fromkeys(left + right) if c in others)
        if len(work) == 2:
            made = out if set(out) == set(made) else made
        work = [w for k, w in enumerate(work) if k not in (i, j)] + [(f.contract(a, b, left=left, right=right, out=made), made)]
    node, term = _sum_out(*work[0], set(out))
    return permute(node, [term.index(c) for c in out])


def _stretch(node: Node, term: str, extents: dict[str, Shape]) -> Node:
    return broadcast_to(node, tuple(extents[c][0] for c in term))


def _hint(size: Size) -> int:
    """A size, or the example's."""
    if isinstance(size, int):
        return size
    return sizes.active.context.hint(size) if sizes.active.context is not None else 100


def contraction_order(terms: Sequence[str], out: str, extents: Mapping[str, int]) -> list[tuple[int, int]]:
    """Which operands to contract, pair by pair: of those left, two leave and their product joins at the end.

    The fewest multiplications for up to eight operands, found by dynamic programming over sets of operands; with more, the
    cheapest pair at each step.
    """
    count = len(terms)
    if count > MOST_SEARCHED:
        return _greedy(list(terms), out, extents)
    everything = (1 << count) - 1
    inside = [set[str]()] * (everything + 1)  # of each set of operands, the labels in it
    for chosen in range(1, everything + 1):
        lowest = chosen & -chosen
        inside[chosen] = inside[chosen ^ lowest] | set(terms[lowest.bit_length() - 1])
    kept = [inside[chosen] & (set(out) | inside[everything ^ chosen]) for chosen in range(everything + 1)]
    best: dict[int, tuple[float, int]] = {1 << k: (0.0, 0) for k in range(count)}  # cost, and one side of the last pair
    for chosen in range(1, everything + 1):
        if chosen in best:
            continue
        lowest, found = chosen & -chosen, (math.inf, 0)
        part = (chosen - 1) & chosen
        while part:
            if part & lowest:  # each split once
                rest = chosen ^ part
                price = best[part][0] + best[rest][0] + _multiplications(kept[part] | kept[rest], extents)
                found = min(found, (price, part))
            part = (part - 1) & chosen
        best[chosen] = found
    order: list[tuple[int, int]] = []
    standing = [1 << k for k in range(count)]
    for chosen in sorted(_inner_sets(best, everything), key=int.bit_count):
        left = best[chosen][1]
        i, j = sorted((standing.index(left), standing.index(chosen ^ left)))
        order.append((i, j))
        standing = [s for k, s in enumerate(standing) if k not in (i, j)] + [chosen]
    return order


def _inner_sets(best: Mapping[int, tuple[float, int]], everything: int) -> list[int]:
    """The sets of more than one operand that the best tree contracts."""
    found, stack = [], [everything]
    while stack:
        chosen = stack.pop()
        left = best[chosen][1]
        if left:
            found.append(chosen)
            stack += [left, chosen ^ left]
    return found


def _multiplications(labels: Iterable[str], extents: Mapping[str, int]) -> float:
    return math.prod(float(extents[c]) for c in labels)


def _greedy(terms: list[str], out: str, extents: Mapping[str, int]) -> list[tuple[int, int]]:
    order: list[tuple[int, int]] = []
    while len(terms) > 1:
        pairs = [(i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))]
        i, j = min(pairs, key=lambda pair: _multiplications({*terms[pair[0]], *terms[pair[1]]}, extents))
        order.append((i, j))
        rest = [term for k, term in enumerate(terms) if k not in (i, j)]
        others = set(out).union(*rest)
        terms = [*rest, "".join(c for c in dict.fromkeys(terms[i] + terms[j]) if c in others)]
    return order
