"""Notation as plain text, in the manner of NumPy."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from ..op import Names
from ..sizes import Size, SizeExpr, floordiv
from . import numbers
from .algebra import Table
from .shown import Shown, runs
from .terms import Function, Label

__all__ = ["ATOM", "Writer", "Written", "fill"]

COMPARISON, ADD, MUL, POWER, ATOM = range(5)
Written = tuple[str, int]  # the text, and how tightly its outermost sign binds

INSIDE = "\ue002"  # in a template: an operand that stands here needs no brackets
_OPENING = ("(", ",", "{{", "}}", "|", r"\lvert", "[", "\\\\", INSIDE)
_CLOSING = (")", ",", "}}", "|", r"\right", "]", "&", r"\\", r"\end", INSIDE)
_COMPARISON = re.compile(r"\{0\} (==?|!=|<=?|>=?|\\neq|\\leq|\\geq) \{1\}")
_RAISED = re.compile(r"\w*\{0\}?\^\{\{.*\}\}")
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

    atomic = plain.endswith((")", "|", "}", "]", r"\rvert")) or plain == "\0"
    strength = POWER if _RAISED.fullmatch(template) else ATOM if atomic else COMPARISON if comparison else ADD
    return _PLACE.sub(put, template), strength


class Writer:
    """Plain text. One method for each kind of notation; each gives the text and how tightly it binds."""

    def __init__(self, sizes: Callable[[str], str], symbols: Callable[[str], str], labels: Callable[[Label], str]) -> None:
        """`sizes`: how a size symbol is written, `symbols`: an argument, `labels`: an index."""
        self.size_name = sizes
        self.symbol_name = symbols
        self.label_name = labels

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
        above, below = ([] if part == 1 else [numbers.text(part)] for part in numbers.over_and_below(coefficient))
        return above, below

    def times(self, factors: Sequence[str]) -> str:
        return "*".join(factors)

    def factor(self, shown: Shown, follows: bool) -> str:
        """A factor; a product of matrices behind another factor, or a quotient, needs brackets."""
        weak = shown.kind in ("matmul", "outer", "scaled", "product")
        return self.inside(shown, POWER if follows and weak else MUL)

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
    def size_text(self, size: Size) -> str:
        """A size in the names of this writer."""
        from .arrange import Arranger

        table = Table()
        return self.write(Arranger(table, {}).show(table.size(size)))

    def transpose(self, shown: Shown) -> Written:
        return f"{self.inside(shown.args[0], ATOM)}.T", ATOM

    def matmul(self, shown: Shown) -> Written:
        factors = [self.repeated(a, count) for a, count in runs(shown.args)]
        return self.beside([text if strength >= POWER else self.enclose(text) for text, strength in factors]), MUL

    def beside(self, factors: Sequence[str]) -> str:
        """A product of matrices."""
        return " @ ".join(factors)

    def repeated(self, matrix: Shown, count: int) -> Written:
        """A power of a matrix."""
        if count > 2:
            return self.called("matrix_power", self.write(matrix), str(count))
        return " @ ".join([self.inside(matrix, POWER)] * count), POWER

    def scaled(self, shown: Shown) -> Written:
        front, array = shown.args
        if front.kind == "number" and front.data == -1:
            return f"-{self.inside(array, MUL)}", ADD
        text, strength = self.of(front)
        negative = self.begins(text, "-")
        if front.kind == "matmul" or (strength < MUL and not negative):
            text = self.enclose(text)
        return f"{text} * {self.inside(array, MUL)}", ADD if negative else MUL

    def begins(self, text: str, sign: str) -> bool:
        """Whether the first sign of a text is this."""
        return text.startswith(sign)

    def called(self, name: str, *args: str) -> Written:
        return f"{name}({', '.join(args)})", ATOM

    def diag(self, shown: Shown) -> Written:
        return self.called("diag", self.write(shown.args[0]))

    def diagonal(self, shown: Shown) -> Written:
        return self.called("diag", self.write(shown.args[0]))

    def trace(self, shown: Shown) -> Written:
        return self.called("trace", self.write(shown.args[0]))

    def outer(self, shown: Shown) -> Written:
        left, right = shown.args
        return f"{self.inside(left, POWER)} @ {self.inside(right, ATOM)}.T", MUL

    def eye(self, shown: Shown) -> Written:
        return self.called("eye", *map(self.size_text, shown.data))

    def position(self, shown: Shown) -> Written:
        return self.called("arange", self.size_text(shown.data))

    def full(self, shown: Shown) -> Written:
        """A value that is constant along some axes."""
        (inner,) = shown.args
        sizes = ", ".join(self.size_text(label.size) for label in shown.axes)
        if inner.kind == "number" and inner.data == 1:
            return self.called("ones", sizes)
        if inner.kind == "number" and inner.data == 0:
            return self.called("zeros", sizes)
        if not inner.axes:
            return f"{self.inside(inner, MUL)}*ones({sizes})", MUL
        if shown.ndim == 2 and inner.ndim == 1:
            if inner.axes[0] == shown.axes[0]:
                return f"{self.inside(inner, MUL)} @ ones({self.size_text(shown.axes[1].size)}).T", MUL
            return f"ones({self.size_text(shown.axes[0].size)}) @ {self.inside(inner, ATOM)}.T", MUL
        return self.called("broadcast", self.write(inner), f"({sizes})")

    def spread(self, shown: Shown) -> Written:
        return f"{self.inside(shown.args[0], ATOM)}[{self.spreading(shown)}]", ATOM

    def spreading(self, shown: Shown) -> str:
        """The index that gives an array further axes of size 1."""
        places = range(min(shown.data), shown.ndim)
        return ", ".join(":" if k in shown.data else "None" for k in places)

    def along(self, shown: Shown) -> Written:
        kind, places = shown.data
        name = kind[1].name if isinstance(kind, tuple) else kind
        return self.called(self.reduction(name), self.write(shown.args[0]), *self.axis(places))

    def reduction(self, name: str) -> str:
        return name

    def axis(self, places: tuple[int, ...] | None) -> list[str]:
        return [] if places is None else [f"axis={places[0] if len(places) == 1 else places}"]

    def call(self, shown: Shown) -> Written:
        function, params = shown.data
        if getattr(function, "runs", "") == "rows":  # a loop; there may be nothing that it walks along
            return self.called(function.name, *(self.write(a) for a in shown.args if not any(label.size == 0 for label in a.axes)))
        if function.name == "concatenate" and all(map(_is_one_element, shown.args)):
            return self.vector([self.write(a.args[0]) for a in shown.args])
        named = {name: self.parameter(value) for name, value in zip(function.params, params, strict=True)}
        template = self.template(function)
        args = [self.of(a) for a in shown.args]
        if getattr(function, "arity", 1) is None and "{1}" not in template:
            args = [(self.listed([text for text, _ in args]), ATOM)]
        if "axis" in named and named["axis"] != "None" and "axis" not in template and shown.args[0].ndim > 1:
            template = self.with_axis(template)
        return fill(template, args, named, self.enclose)

    def vector(self, elements: Sequence[str]) -> Written:
        """A vector of numbers."""
        return f"[{', '.join(elements)}]", ATOM

    def listed(self, texts: Sequence[str]) -> str:
        """Several arrays as one operand."""
        return f"[{', '.join(texts)}]"

    def with_axis(self, template: str) -> str:
        """The template of a function that takes an axis, with it."""
        return template.removesuffix(")") + ", axis={axis})"

    def parameter(self, value: Any) -> str:
        """A parameter of an op: an axis, a shape."""
        if isinstance(value, tuple):
            return f"({', '.join(map(self.parameter, value))}{',' if len(value) == 1 else ''})"
        return self.size_text(value) if isinstance(value, SizeExpr) else str(value)

    def take(self, shown: Shown) -> Written:
        """Slices and fixed places."""
        base, *rest = shown.args
        return f"{self.inside(base, ATOM)}[{self.subscript(shown.data, rest)}]", ATOM

    def subscript(self, specs: Sequence[tuple[str, Size, Size, int]], args: Sequence[Shown]) -> str:
        values = iter(args)
        parts = []
        for kind, size, dimension, step in specs:
            if kind in ("whole", "new"):
                parts.append(":" if kind == "whole" else "None")
            elif kind == "slice":
                parts.append(self.slice(next(values), size, dimension, step))
            else:
                parts.append(self.write(next(values)))
        while len(parts) > 1 and parts[-1] == ":":
            parts.pop()
        return ", ".join(parts)

    def slice(self, start: Shown, size: Size, dimension: Size, step: int) -> str:
        """`1:`, `:-1`, `::2`, `::-1`."""
        first = 0
        if start.kind == "number":
            first = int(start.data)
            if step > 1 and floordiv(dimension - first + step - 1, step) == size:
                return f"{first or ''}::{step}"
            stop = self.stop(first + step * size, dimension) if step > 0 else "" if first + step * size == -1 else None
        else:
            stop = None
        if step < 0 and not stop and size == dimension:
            return "::-1" if step == -1 else f"::{step}"
        text = "" if first == 0 and start.kind == "number" else self.write(start)
        if stop is None:
            stop = f"{self.write(start)} + {self.size_text(step * size)}" if step > 0 else ""
        return f"{text}:{stop}" + (f":{step}" if step != 1 else "")

    def stop(self, stop: Size, dimension: Size) -> str:
        left = dimension - stop
        if not isinstance(left, int):
            return self.size_text(stop)
        return "" if left <= 0 else f"-{left}"

    def pad(self, shown: Shown) -> Written:
        return self.called("pad", self.write(shown.args[0]), f"({', '.join(map(self.size_text, shown.data))})")

    def gather(self, shown: Shown) -> Written:
        base, *indices = shown.args
        return f"{self.inside(base, ATOM)}[{', '.join(map(self.write, indices))}]", ATOM

    # ------------------------------------------------------------------------------------------ indices
    def label(self, shown: Shown) -> Written:
        return self.label_name(shown.data), ATOM

    def element(self, shown: Shown) -> Written:
        base, *indices = shown.args
        return f"{self.inside(base, ATOM)}[{','.join(map(self.write, indices))}]", ATOM

    def delta(self, shown: Shown) -> Written:
        return self.called("delta", *map(self.write, shown.args))

    def series(self, shown: Shown) -> Written:
        function, bound = shown.data
        name = "sum" if function is None else function.name
        labels = "_".join(map(self.label_name, bound))
        return f"{name}_{labels} {self.inside(shown.args[0], MUL)}", ADD


def _is_one_element(shown: Shown) -> bool:
    """Whether it is a vector of one number."""
    return shown.kind == "full" and [label.size for label in shown.axes] == [1] and not shown.args[0].axes
