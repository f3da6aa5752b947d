"""The equations of `einsum`: torch's checks, and which operation torch's evaluation ends with."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def check_equation(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[str, tuple[int, ...]]:
    """The equation with an explicit output, and the shape of the result.

    Raises:
        RuntimeError: torch's, where the equation does not fit.
    """
    text = equation.replace(" ", "")
    left, arrow, out = text.partition("->")
    terms = left.split(",")
    if len(terms) > len(shapes):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    if len(terms) < len(shapes):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    extent: dict[str, int] = {}
    dots: tuple[int, ...] = ()
    for k, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        named = term.replace("...", "")
        if "." in named or not all(c in LETTERS for c in named):
            bad = next(c for c in named if c not in LETTERS)
            raise RuntimeError(f"einsum(): invalid subscript given at index {term.index(bad)} in the equation string, "
                               "subscripts must be in [a-zA-Z]")
        if ("..." in term and len(shape) < len(named)) or ("..." not in term and len(shape) != len(named)):
            problem = "is more than" if "..." in term else "does not match"
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(named)}) {problem} the "
                               f"number of dimensions ({len(shape)}) for operand "
                               f"{k}{'' if '...' in term else ' and no ellipsis was given'}")
        depth = len(shape) - len(named)
        own: dict[str, int] = {}
        before = term.find("...") if "..." in term else len(shape)
        for position, label in enumerate(named):
            size = shape[position if position < before else position + depth]
            if label in named[:position] and own[label] != size:
                raise RuntimeError(f"einsum(): subscript {label} is repeated for operand {k} but the sizes don't "
                                   f"match, {size} != {own[label]}")
            own[label] = size
            known = extent.get(label, 1)
            if known not in (1, size) and size != 1:
                raise RuntimeError(f"einsum(): subscript {label} has size {size} for operand {k} which does not "
                                   f"broadcast with previously seen size {known}")
            extent[label] = size if known == 1 else known
        if "..." in term:
            from .common import broadcast

            dots = broadcast(dots, shape[before:before + depth])
    if not arrow:
        counts = Counter(left.replace(".", "").replace(",", ""))
        out = ("..." if "..." in left else "") + "".join(sorted(c for c, n in counts.items() if n == 1))
    for label in out.replace("...", ""):
        if label not in extent:
            raise RuntimeError(f"einsum(): output subscript {label} does not appear in the equation for any input "
                               "operand")
        if out.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the output")
    shape_out: list[int] = []
    for piece in out.replace("...", ".") if "..." in out else out:
        shape_out += list(dots) if piece == "." else [extent[piece]]
    return f"{left}->{out}", tuple(shape_out)


def last_operation(text: str) -> str:
    """The name of the grad_fn of torch's result."""
    left, _, out = text.partition("->")
    terms = left.split(",")
    if len(terms) == 1:
        summed = set(terms[0]) - set(out)
        return "SumBackward1" if summed else "PermuteBackward0" if len(set(terms[0])) == len(terms[0]) else "DiagonalBackward0"
    labels = set("".join(terms))
    return "ViewBackward0" if labels - set(out) else "MulBackward0"
