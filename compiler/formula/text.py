"""Notation as plain text, in the manner of NumPy."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from ..op import Names
from . import numbers
from .shown import Shown
from .terms import Function, Label

__all__ = ["ATOM", "Writer", "Written", "fill"]

COMPARISON, ADD, MUL, POWER, ATOM = range(5)
Written = tuple[str, int]  # the text, and how tightly its outermost sign binds

_OPENING = ("(", ",", "{{", "}}", "|", "[", "\\\\")
_CLOSING = (")", ",", "}}", "|", r"\right", "]", "&", r"\\", r"\end")
_COMPARISON = re.compile(r"\{0\} (==?|!=|<=?|>=?|\\neq|\\leq|\\geq) \{1\}")
_PLACE = re.compile(r"\{(\w+)\}|\{\{|\}\}")


def fill(template: str, args: Sequence[Written], params: Mapping[str, Any], enclose: Callable[[str], str]) -> Written:
    """A template with its operands; those that no bracket of the template encloses get brackets where they need them."""
    comparison = _COMPARISON.fullmatch(template) is not None
    plain = _PLACE.sub(lambda m: m.group()[0] if m.group() in ("{{", "}}") else "\0", template)

    def put(match: re.Match[str]) -> str:
        if match.group() in ("{{", "}}"):
            return match.group()[0]
        name = match.group(1)
        if not name.isdigit():
            return str(params[name])
        text, strength = args[int(name)]
        before, after = template[: match.start()].rstrip(), template[match.end():].lstrip()
        closed = before.endswith(_OPENING) and after.startswith(_CLOSING)
        return text if closed or strength >= (ADD if comparison else ATOM) else enclose(text)

    atomic = plain.endswith((")", "|", "}")) or plain == "\0"
    return _PLACE.sub(put, template), ATOM if atomic else COMPARISON if comparison else ADD


class Writer:
    """Plain text. One method for each kind of notation; each gives the text and how tightly it binds."""

    def __init__(self, sizes: Callable[[str], str], names: Callable[[str], str]) -> None:
        """`sizes`: how a size symbol is written, `names`: a symbol."""
        self.size_name = sizes
        self.symbol_name = names

    def write(self, shown: Shown) -> str:
        """The text of a whole formula."""
        return self.of(shown)[0]

    def of(self, shown: Shown) -> Written:
        method: Callable[[Shown], Written] = getattr(self, shown.kind)
        return method(shown)

    def inside(self, shown: Shown, at_least: int) -> str:
        """The text of an operand, in brackets where it binds less than that."""
        text, strength = self.of(shown)
        return text if strength >= at_least else self.enclose(text)

    def enclose(self, text: str) -> str:
        return f"({text})"

    # ------------------------------------------------------------------------------------------ leaves
    def number(self, shown: Shown) -> Written:
        return self.rational(shown.data)

    def rational(self, value: Fraction) -> Written:
        return numbers.text(value), ADD if value < 0 else MUL if numbers.is_fraction(value) else ATOM

    def constant(self, shown: Shown) -> Written:
        return {"E": "e"}.get(shown.data, shown.data), ATOM

    def size(self, shown: Shown) -> Written:
        return self.size_name(shown.data), ATOM

    def symbol(self, shown: Shown) -> Written:
        return self.symbol_name(shown.data), ATOM

    # ------------------------------------------------------------------------------------------ arithmetic
    def add(self, shown: Shown) -> Written:
        parts = []
        for k, (negative, arg) in enumerate(zip(shown.data, shown.args, strict=True)):
            text = self.inside(arg, MUL)
            parts.append(("-" if negative else "") + text if k == 0 else (" - " if negative else " + ") + text)
        return "".join(parts), ADD

    def product(self, shown: Shown) -> Written:
        coefficient, count = shown.data
        above, below = shown.args[:count], shown.args[count:]
        sign = "-" if coefficient < 0 else ""
        top, bottom = self.split(abs(coefficient))
        upper = [*top, *(self.factor(s, k > 0 or bool(top)) for k, s in enumerate(above))] or ["1"]
        lower = [*bottom, *(self.factor(s, True) for s in below)]
        text = self.times(upper)
        if lower:
            text += "/" + (lower[0] if len(lower) == 1 else f"({self.times(lower)})")
        return sign + text, ADD if sign else MUL

    def split(self, coefficient: Fraction) -> tuple[list[str], list[str]]:
        """A coefficient above and below the line."""
        if numbers.is_fraction(coefficient):
            above = [] if coefficient.numerator == 1 else [str(coefficient.numerator)]
            return above, [str(coefficient.denominator)]
        return ([] if coefficient == 1 else [numbers.text(coefficient)]), []

    def times(self, factors: Sequence[str]) -> str:
        return "*".join(factors)

    def factor(self, shown: Shown, follows: bool) -> str:
        """A factor; a product of matrices behind another factor, or a quotient, needs brackets."""
        weak = shown.kind in ("matmul", "outer", "scaled", "product")
        return self.inside(shown, POWER if follows and weak else MUL if not weak else MUL)

    def power(self, shown: Shown) -> Written:
        base, exponent = shown.args
        if base.kind == "constant" and base.data == "E":
            return self.exponential(exponent)
        return f"{self.inside(base, ATOM)}**{self.inside(exponent, ATOM)}", POWER

    def exponential(self, exponent: Shown) -> Written:
        return f"exp({self.write(exponent)})", ATOM

    def root(self, shown: Shown) -> Written:
        return f"sqrt({self.write(shown.args[0])})", ATOM

    def apply(self, shown: Shown) -> Written:
        function, params = shown.data
        names = dict(zip(getattr(function, "params", ()), params, strict=True))
        return fill(self.template(function), [self.of(a) for a in shown.args], names, self.enclose)

    def template(self, function: Function) -> str:
        """How a function is written."""
        names: Names = function.names
        return names.text or f"{function.name}({{0}})"

    # ------------------------------------------------------------------------------------------ arrays
    def label(self, label: Label) -> str:
        return label.name
