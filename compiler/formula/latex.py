"""Notation as LaTeX."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from . import numbers
from .shown import Shown, make
from .terms import Function, Label
from .text import ADD, ATOM, MUL, POWER, Writer, Written

__all__ = ["GREEK", "Latex"]

GREEK = frozenset(  # names that LaTeX has a letter for
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi",
     "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma",
     "Upsilon", "Phi", "Psi", "Omega"])


def symbol(name: str) -> str:
    """A name as mathematics: `x1` is x with an index, `sigma_x` a Greek letter with one."""
    stem, _, index = name.partition("_")
    if not index:
        stem = name.rstrip("0123456789") or name
        index = name[len(stem):]
    stem = f"\\{stem}" if stem in GREEK else stem if len(stem) == 1 else rf"\mathrm{{{_escaped(stem)}}}"
    if not index:
        return stem
    inner = f"\\{index}" if index in GREEK else index if len(index) == 1 or index.isdigit() else rf"\mathrm{{{_escaped(index)}}}"
    return f"{stem}_{{{inner}}}"


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


class Latex(Writer):
    """LaTeX mathematics."""

    def enclose(self, text: str) -> str:
        return rf"\left({text}\right)"

    def rational(self, value: Fraction) -> Written:
        sign, size = "-" if value < 0 else "", abs(value)
        if numbers.is_fraction(size):
            return rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}", ADD if sign else ATOM
        text = numbers.text(size)
        if "e" in text:
            digits, _, exponent = text.partition("e")
            text = rf"{digits} \cdot 10^{{{int(exponent)}}}"
        return sign + text, ADD if sign else MUL if "cdot" in text else ATOM

    def constant(self, shown: Shown) -> Written:
        return {"pi": r"\pi", "E": "e", "inf": r"\infty", "nan": r"\mathrm{nan}",
                "true": r"\mathrm{true}", "false": r"\mathrm{false}"}[shown.data], ATOM

    def symbol(self, shown: Shown) -> Written:
        return symbol(self.symbol_name(shown.data)), ATOM

    def product(self, shown: Shown) -> Written:
        coefficient, count = shown.data
        above, below = shown.args[:count], shown.args[count:]
        sign = "-" if coefficient < 0 else ""
        top, bottom = self.split(abs(coefficient))
        lower = self.joined(bottom, below)
        scalar = bool(above) and all(not s.axes for s in above)
        if not lower or (above and below == () and not scalar) or (above and not top and below == () and not _short(above)):
            front = rf"\frac{{{self.joined(top, []) or '1'}}}{{{lower}}} " if lower else self.joined(top, [])
            text = front + (" " if front and not front.endswith(" ") else "") + self.joined([], above, bool(front))
        else:
            text = rf"\frac{{{self.joined(top, above) or '1'}}}{{{lower}}}"
        return sign + text.strip(), ADD if sign else MUL

    def joined(self, numbers_first: Sequence[str], factors: Sequence[Shown], follows: bool = False) -> str:
        parts = list(numbers_first)
        tensor = False
        alone = len(numbers_first) + len(factors) == 1 and not follows
        for s in factors:
            text = self.of(s)[0] if alone else self.inside(s, MUL)
            if tensor and s.axes:
                parts.append(r"\circ")
            elif parts and text[:1].isdigit():
                parts.append(r"\cdot")
            tensor = tensor or bool(s.axes)
            parts.append(text)
        return " ".join(parts)

    def power(self, shown: Shown) -> Written:
        base, exponent = shown.args
        above = self.write(exponent)
        if base.kind == "constant" and base.data == "E":
            return f"e^{{{above}}}", POWER
        if base.axes and exponent.kind == "number":
            above = rf"\circ {above}" if exponent.data > 0 else rf"\circ\left({above}\right)"
        if base.kind == "apply" and not base.axes and exponent.kind == "number":
            text = self.of(base)[0]
            head, bracket, rest = text.partition(r"\left(")
            if bracket and head in _POWERED and text.endswith(r"\right)"):
                return f"{head}^{{{above}}}{bracket}{rest}", POWER
        return f"{self.inside(base, ATOM)}^{{{above}}}", POWER

    def root(self, shown: Shown) -> Written:
        return rf"\sqrt{{{self.write(shown.args[0])}}}", ATOM

    def template(self, function: Function) -> str:
        return function.names.latex or rf"\operatorname{{{{{_escaped(function.name)}}}}}\left({{0}}\right)"

    # ------------------------------------------------------------------------------------------ arrays
    def transpose(self, shown: Shown) -> Written:
        text, strength = self.of(shown.args[0])
        if text.endswith("^{-1}") and strength == POWER:
            return text.removesuffix("1}") + r"\mathsf T}", POWER
        return rf"{text if strength >= ATOM else self.enclose(text)}^{{\mathsf T}}", POWER

    def matmul(self, shown: Shown) -> Written:
        text, strength = super().matmul(shown)
        return text.replace(" @ ", " "), strength

    def repeated(self, matrix: Shown, count: int) -> Written:
        text = self.inside(matrix, POWER)
        if count == 1:
            return text, POWER
        if text.endswith("^{-1}"):
            return f"{text.removesuffix('1}')}{count}}}", POWER
        return f"{self.inside(matrix, ATOM) if matrix.kind != 'transpose' else self.enclose(text)}^{{{count}}}", POWER

    def scaled(self, shown: Shown) -> Written:
        text, strength = super().scaled(shown)
        return text.replace(" * ", " ", 1), strength

    def called(self, name: str, *args: str) -> Written:
        shown = _OPERATORS.get(name, rf"\operatorname{{{_escaped(name)}}}")
        return rf"{shown}\left({', '.join(args)}\right)", ATOM

    def outer(self, shown: Shown) -> Written:
        left, right = shown.args
        return rf"{self.inside(left, POWER)} {self.inside(right, ATOM)}^{{\mathsf T}}", MUL

    def eye(self, shown: Shown) -> Written:
        shape = r" \times ".join(map(self.size_text, shown.data))
        return "I" if len(shown.data) == 1 else f"I_{{{shape}}}", ATOM

    def full(self, shown: Shown) -> Written:
        (inner,) = shown.args
        shape = r" \times ".join(self.size_text(label.size) for label in shown.axes)
        ones = rf"\mathbf{{1}}_{{{shape}}}"
        if inner.kind == "number" and inner.data == 1:
            return ones, ATOM
        return f"{self.inside(inner, MUL)} {ones}" if not inner.axes else self._repeated(inner, shown.axes), MUL

    def _repeated(self, inner: Shown, axes: Sequence[Label]) -> str:
        """A vector repeated along another axis."""
        text = self.inside(inner, POWER)
        if len(axes) == 2 and inner.ndim == 1:
            column = inner.axes[0] == axes[0]
            return rf"{text} \mathbf{{1}}^{{\mathsf T}}" if column else rf"\mathbf{{1}} {self.inside(inner, ATOM)}^{{\mathsf T}}"
        return text

    def spread(self, shown: Shown) -> Written:
        return self._repeated(shown.args[0], shown.axes), MUL

    def add(self, shown: Shown) -> Written:
        rows = [make("row", [a], shown.axes) if a.axes and a.ndim < shown.ndim else a for a in shown.args]
        return super().add(make("add", rows, shown.axes, shown.data))

    def row(self, shown: Shown) -> Written:
        """A vector that is repeated in every row of a matrix."""
        return self._repeated(shown.args[0], shown.axes), MUL

    def along(self, shown: Shown) -> Written:
        kind, places = shown.data
        (inner,) = shown.args
        if kind == "norm" and places is None:
            return rf"\left\lVert {self.write(inner)} \right\rVert{'_F' if inner.ndim == 2 else ''}", ATOM
        if kind in ("sum", "mean") and places is None and _is_square(inner):
            front = ""
            if kind == "mean":
                count = " ".join(self.size_text(label.size) for label in inner.axes)
                front = rf"\frac{{1}}{{{count}}} "
            index = "_F" if inner.ndim == 2 else ""
            return rf"{front}\left\lVert {self.write(inner.args[0])} \right\rVert{index}^{{2}}", MUL if front else POWER
        if kind == "sum" and inner.ndim == 1:
            return rf"\mathbf{{1}}^{{\mathsf T}} {self.inside(inner, POWER)}", MUL
        if kind == "sum" and inner.ndim == 2 and places is None:
            return rf"\mathbf{{1}}^{{\mathsf T}} {self.inside(inner, POWER)} \mathbf{{1}}", MUL
        if kind == "sum" and inner.ndim == 2:
            matrix = self.inside(inner, POWER) if places == (1,) else rf"{self.inside(inner, ATOM)}^{{\mathsf T}}"
            return rf"{matrix} \mathbf{{1}}", MUL
        return super().along(shown)

    def axis(self, places: tuple[int, ...] | None) -> list[str]:
        return [] if places is None else [rf"\text{{axis {', '.join(map(str, places))}}}"]

    def listed(self, texts: Sequence[str]) -> str:
        return r",\ ".join(texts)

    def with_axis(self, template: str) -> str:
        return template.removesuffix(r"\right)") + r", \text{{axis }} {axis}\right)"

    def take(self, shown: Shown) -> Written:
        base, *rest = shown.args
        return f"{self.inside(base, ATOM)}_{{{self.subscript(shown.data, rest)}}}", ATOM

    def gather(self, shown: Shown) -> Written:
        base, *indices = shown.args
        return f"{self.inside(base, ATOM)}_{{{', '.join(map(self.write, indices))}}}", ATOM

    # ------------------------------------------------------------------------------------------ indices
    def element(self, shown: Shown) -> Written:
        base, *indices = shown.args
        separator = " " if all(i.kind == "label" for i in indices) else ", "
        return f"{self.inside(base, ATOM)}_{{{separator.join(map(self.write, indices))}}}", ATOM

    def delta(self, shown: Shown) -> Written:
        return rf"\delta_{{{', '.join(map(self.write, shown.args))}}}", ATOM

    def series(self, shown: Shown) -> Written:
        function, bound = shown.data
        name = {None: r"\sum", "prod": r"\prod"}.get(getattr(function, "name", None), rf"\{getattr(function, 'name', '')}")
        return rf"{name}_{{{', '.join(map(self.label_name, bound))}}} {self.inside(shown.args[0], MUL)}", ADD


def _is_square(shown: Shown) -> bool:
    return shown.kind == "power" and shown.args[1].kind == "number" and shown.args[1].data == 2


_OPERATORS = {"trace": r"\operatorname{tr}", "max": r"\max", "min": r"\min"}
_POWERED = frozenset((r"\sin", r"\cos", r"\tan", r"\sinh", r"\cosh", r"\tanh", r"\log"))


def _short(above: Sequence[Shown]) -> bool:
    """Whether a numerator is short enough to stand over a number: x/2, but 1/2 (x + y)."""
    return all(s.kind in ("symbol", "power", "size", "constant", "apply", "root", "element") for s in above)
