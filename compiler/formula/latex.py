"""Notation as LaTeX."""
from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from . import numbers
from .shown import Shown
from .terms import Function
from .text import ADD, ATOM, MUL, POWER, Written
from .typeset import Typeset

__all__ = ["GREEK", "Latex", "parted", "symbol"]

GREEK = frozenset(  # names that LaTeX has a letter for
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi",
     "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma",
     "Upsilon", "Phi", "Psi", "Omega"])


_PART = re.compile(r"(\w+)\[(?:'(\w+)'|(\d+))\]")


def symbol(name: str) -> str:
    """A name as mathematics: `x1` is x with an index, `sigma_x` a Greek letter with one."""
    stem, index = parted(name)
    stem = f"\\{stem}" if stem in GREEK else stem if len(stem) == 1 else rf"\mathrm{{{_escaped(stem)}}}"
    if not index:
        return stem
    inner = f"\\{index}" if index in GREEK else index if len(index) == 1 or index.isdigit() else rf"\mathrm{{{_escaped(index)}}}"
    return f"{stem}_{{{inner}}}"


def parted(name: str) -> tuple[str, str]:
    """A name and its index, if it has one: of `x1`, `sigma_x`, and of parts of arguments, `params['W']` and `params[0]`."""
    part = _PART.fullmatch(name)
    if part is not None:
        return part[1], part[2] or part[3]
    stem, _, index = name.partition("_")
    if not index:
        stem = name.rstrip("0123456789") or name
        index = name[len(stem):]
    return stem, index


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


class Latex(Typeset):
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
        if base.kind == "apply" and not base.axes and exponent.kind == "number":
            text = self.of(base)[0]
            head, bracket, rest = text.partition(r"\left(")
            if bracket and head in _POWERED and text.endswith(r"\right)"):
                return f"{head}^{{{self.write(exponent)}}}{bracket}{rest}", POWER
        return super().power(shown)

    def root(self, shown: Shown) -> Written:
        return rf"\sqrt{{{self.write(shown.args[0])}}}", ATOM

    def template(self, function: Function) -> str:
        return function.names.latex or rf"\operatorname{{{{{_escaped(function.name)}}}}}\left({{0}}\right)"

    # ------------------------------------------------------------------------------------------ arrays
    turned = r"\mathsf T"
    one = r"\mathbf{1}"
    zero = r"\mathbf{0}"
    by = r"\times"
    ring = r"\circ"

    def raised(self, text: str, above: str) -> str:
        return f"{text}^{{{above}}}"

    def lowered(self, text: str, below: str, above: str = "") -> str:
        return f"{text}_{{{below}}}" + (f"^{{{above}}}" if above else "")

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def length(self, text: str) -> str:
        return rf"\left\lVert {text} \right\rVert"

    def beside(self, factors: Sequence[str]) -> str:
        return " ".join(factors)

    def scaled(self, shown: Shown) -> Written:
        text, strength = super().scaled(shown)
        return text.replace(" * ", " ", 1), strength

    def called(self, name: str, *args: str) -> Written:
        shown = _OPERATORS.get(name, rf"\operatorname{{{_escaped(name)}}}")
        return rf"{shown}\left({', '.join(args)}\right)", ATOM

    def axis(self, places: tuple[int, ...] | None) -> list[str]:
        return [] if places is None else [rf"\text{{axis {', '.join(map(str, places))}}}"]

    def vector(self, elements: Sequence[str]) -> Written:
        return rf"\left[{self.listed(elements)}\right]", ATOM

    def listed(self, texts: Sequence[str]) -> str:
        return r",\ ".join(texts)

    def with_axis(self, template: str) -> str:
        return template.removesuffix(r"\right)") + r", \text{{axis }} {axis}\right)"

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


_OPERATORS = {"exp": r"\exp", "trace": r"\operatorname{tr}", "max": r"\max", "min": r"\min"}
_POWERED = frozenset((r"\sin", r"\cos", r"\tan", r"\sinh", r"\cosh", r"\tanh", r"\log"))


def _short(above: Sequence[Shown]) -> bool:
    """Whether a numerator is short enough to stand over a number: x/2, but 1/2 (x + y)."""
    return all(s.kind in ("symbol", "power", "size", "constant", "apply", "root", "element") for s in above)
