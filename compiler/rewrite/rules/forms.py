"""Conditions on the form of a node that the stabilising rules ask for."""
from __future__ import annotations

from ...ir import Node, f
from ..pattern import MOVES

DEPTH = 16  # movements and choices that are looked through
TERMS = 6  # terms of an explicit sum that are looked at; longer ones are written with `sum`


def unmoved(node: Node) -> Node:
    """What is expanded, reshaped or permuted."""
    while node.op.name in MOVES:
        node = node.inputs[0]
    return node


def is_zero(node: Node) -> bool:
    """The constant 0."""
    return node.op.name == "const" and bool(node.value == 0)


def is_given(node: Node) -> bool:
    """An argument, or elements of one, or a number for some of them: not rounded."""
    for _ in range(DEPTH):
        if node.op.name in (*MOVES, "slice", "gather"):
            node = node.inputs[0]
        elif node.op.name == "where" and any(i.op.name == "const" for i in node.inputs[1:]):
            node = node.inputs[2] if node.inputs[1].op.name == "const" else node.inputs[1]
        else:
            break
    return node.op.name == "input"


def is_shifted(x: Node) -> bool:
    """A maximum has been subtracted already, by these rules or by hand."""
    x = unmoved(x)
    if x.op.name == "minimum":
        x = unmoved(x.inputs[0])
    if x.op.name != "sub":
        return False
    shift = unmoved(x.inputs[1])
    if shift.op.name == "where":
        shift = unmoved(shift.inputs[1])
    if shift.op.name == "stop_gradient":
        shift = unmoved(shift.inputs[0])
    return shift.op.name in ("max", "maximum")


def is_clipped(x: Node) -> bool:
    """A `where` has put another number for the elements on one side of a bound."""
    x = unmoved(x)
    if x.op.name == "neg":
        x = unmoved(x.inputs[0])
    return x.op.name == "where" and x.inputs[0].op.name in ("gt", "lt") and any(
        x.inputs[0].inputs[0] is branch for branch in x.inputs[1:])


BOUNDS = (("maximum", "ge", -1.0), ("minimum", "le", 1.0))


def unclipped(node: Node) -> Node:
    """What was kept between -1 and 1, by minimum and maximum or by clip."""
    for joined, test, bound in BOUNDS * 2:  # in either order
        rest = [i for i in node.inputs if i.op.name != "const" or i.value != bound]
        if node.op.name == joined and len(rest) == 1:
            node = rest[0]
        elif node.op.name == "where" and node.inputs[0].op.name == "or_" and len(rest) == 2:
            within, missing = node.inputs[0].inputs
            if within.op.name == test and within.inputs == node.inputs[1:] and missing.op.name == "isnan" and (
                    missing.inputs[0] is node.inputs[1]):
                node = node.inputs[1]
    return node


def is_bounded(x: Node) -> bool:
    """A `where` has put another number for some elements."""
    x = unmoved(x)
    if x.op.name == "neg":
        x = unmoved(x.inputs[0])
    return x.op.name == "where" and any(i.op.name == "const" for i in x.inputs[1:])


def is_sum_of(node: Node, op: str) -> bool:
    """Every term of a sum (explicit, or over axes, or a scaled one) is an `op` of something."""
    terms = [node]
    count = 0
    while terms:
        term = unmoved(terms.pop())
        count += 1
        if count > 2 * TERMS:
            return False
        if term.op.name in ("add", "sum"):
            terms += term.inputs
        elif (term.op.name == "mul" and term.inputs[1].op.name == "const" and term.inputs[1].value > 0) or (
            term.op.name == "div" and op == "square" and is_count(term.inputs[1])):
            terms.append(term.inputs[0])
        elif term.op.name == "contract" and op == "square":
            left, right, _ = term.params
            if term.inputs[0] is not term.inputs[1] or left != right:
                return False
        elif term.op.name != op:
            return False
    return True


def is_sum_of_exps(node: Node) -> bool:
    """Positive, and made of exponentials only."""
    return node.op.name in ("add", "sum", "mul", *MOVES) and is_sum_of(node, "exp")


def exponents(node: Node) -> list[Node] | None:
    """What is exponentiated in a sum of a few exponentials, None where it is anything else or was moved."""
    found, pending = [], [node]
    while pending:
        term = pending.pop()
        if term.op.name == "exp":
            found.append(term.inputs[0])
        elif term.op.name in ("add", "sum"):
            pending += term.inputs
        elif term.op.name == "mul" and term.inputs[1].op.name == "const" and term.inputs[1].value > 0:
            pending.append(term.inputs[0])
        else:
            return None
        if len(found) + len(pending) > TERMS:
            return None
    return found


def without_term(total: Node, term: Node) -> Node | None:
    """The sum without one of its terms, None where it is none, or the only one."""
    if total.op.name != "add":
        return None
    left, right = total.inputs
    if left is term:
        return right
    if right is term:
        return left
    for changed, kept in ((left, right), (right, left)):
        found = without_term(changed, term)
        if found is not None:
            return f.add(found, kept)
    return None


def is_unshifted_sum_of_exps(node: Node) -> bool:
    """A sum of exponentials none of which is shifted; a single one is no sum, and needs no shift."""
    term = node
    while term.op.name == "mul":
        term = term.inputs[0]
    found = exponents(node) if term.op.name != "exp" else None
    return bool(found) and not any(map(is_shifted, found or ()))


def is_sum_of_squares(node: Node) -> bool:
    """Never negative, and zero only where all that is squared is zero (or underflows)."""
    return node.op.name in ("add", "sum", "mul", "div", "contract", *MOVES) and is_sum_of(node, "square")


def is_count(node: Node) -> bool:
    """A positive constant, or the number of elements along axes."""
    node = unmoved(node)
    if node.op.name == "cast":
        node = unmoved(node.inputs[0])
    return node.op.name == "size" or (node.op.name == "const" and bool(node.value > 0))


def is_uniform(node: Node) -> bool:
    """One number everywhere: a constant, or a scalar that is expanded."""
    return node.op.name == "const" or not unmoved(node).shape


def is_softmax(node: Node) -> bool:
    """exp(x) / sum(exp(x))."""
    node = unmoved(node)
    if node.op.name != "div":
        return False
    top, below = node.inputs[0], unmoved(node.inputs[1])
    return top.op.name == "exp" and below.op.name == "sum" and below.inputs[0] is top
