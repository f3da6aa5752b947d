"""Notation as presentation MathML.

The methods give text, in which elements stand between marks that no name has; `elements` makes letters, numbers and operators
of the text between them. So what has no layout of its own is written as the plain text is. What comes from lines of the user
can be an element of its own, with attributes that say so.
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from html import escape

from ..provenance import Site
from . import numbers
from .latex import GREEK, parted
from .layout import translated
from .lines import CLOSE, OPEN, rows
from .shown import Shown
from .terms import Function, Label
from .text import ADD, ATOM, INSIDE, MUL, POWER, Written
from .typeset import Typeset

__all__ = ["Mark", "MathML", "elements"]

Mark = Callable[[Iterable[Site]], str]  # attributes of an element that comes from these lines; empty: none

_TOKEN = re.compile(rf"{OPEN}(.*?){CLOSE}|(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|([^\W\d]\w*(?:\.\w+)*)|(\.\.\.|\*\*|[<>=!+]=|\s+|.)", re.DOTALL)
_ELEMENT = re.compile(f"{OPEN}.*?{CLOSE}")
_TIMES = "<mo lspace='0.1em' rspace='0.1em'>\u2062</mo>"  # invisible
_OPERATORS = {"-": "\u2212", "...": "…", "+=": "+=", "<=": "\u2264", ">=": "\u2265", "!=": "\u2260", "==": "="}
_CLOSED, _FENCES = (")", "]", "..."), ("|", "‖")
_WHERE = "<mtext>where\u00a0</mtext>"
_LEFT = "style='text-align:left'"
_CONSTANTS = {"pi": "π", "E": "e", "inf": "∞"}
_GREEK = {name: unicodedata.lookup(f"GREEK {'SMALL' if name.islower() else 'CAPITAL'} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}")
          for name in GREEK}
_SERIES = {"sum": "∑", "prod": "∏"}


def elements(text: str, goes_on: bool = False) -> str:
    """The text of a `MathML` writer as elements, in one row; `goes_on`: one that follows another."""
    parts = ["<mspace width='1.5em'/>"] if goes_on else []
    sign = not goes_on  # whether a minus that came now would be one, rather than a difference: there is nothing yet that it could follow
    for match in _TOKEN.finditer(text):
        name, number, letters, operator = match.groups()
        if operator == INSIDE or (operator and operator.isspace()):
            continue
        before, sign = sign, name[:1] != "/" if name is not None else operator is not None and operator not in _CLOSED
        if name is not None:
            parts.append(f"<{name}>")
        elif number is not None:
            parts.append(f"<mn>{number}</mn>")
        elif letters is not None:
            parts.append(f"<mi>{escape(letters)}</mi>")
        elif operator in ("*", "@"):
            parts.append(_TIMES)
        elif operator in _FENCES:
            parts.append(f"<mo fence='true' lspace='0' rspace='0'>{operator}</mo>")
            sign = before  # it opens where a sign could come
        else:
            first = goes_on and not any(part.startswith(("<mi", "<mn", "<mo")) for part in parts)
            form = " form='prefix'" if operator == "-" and before else " form='infix'" if first and operator in "+-" else ""
            parts.append(f"<mo{form}>{escape(_OPERATORS.get(operator, operator))}</mo>")
    return f"<mrow>{''.join(parts)}</mrow>"


def _in_rows(text: str) -> Iterator[str]:
    """The text as rows of elements, none of which is too wide."""
    for k, row in enumerate(rows(text)):
        yield elements(row, goes_on=k > 0)


def _element(name: str, *parts: str, attributes: str = "") -> str:
    """An element of rows; a row of one part is that part."""
    inner = parts[0] if name == "mrow" else "".join(_element("mrow", part) for part in parts)
    return f"{OPEN}{name}{attributes}{CLOSE}{inner}{OPEN}/{name}{CLOSE}"


class MathML(Typeset):
    """Text with marks; see `elements`."""

    def __init__(self, sizes: Callable[[str], str], symbols: Callable[[str], str], labels: Callable[[Label], str],
                 mark: Mark = lambda sites: "") -> None:
        """`mark`: gives what comes from lines of the user its attributes."""
        super().__init__(sizes, symbols, labels)
        self.mark = mark

    def of(self, shown: Shown) -> Written:
        text, strength = super().of(shown)
        attributes = self.mark(shown.sites) if shown.sites else ""
        return (_element("mrow", text, attributes=attributes) if attributes else text), strength

    def begins(self, text: str, sign: str) -> bool:
        return _ELEMENT.sub("", text).startswith(sign)

    def whole(self, main: str, definitions: list[tuple[str, str]]) -> str:
        """A formula and the definitions of its shared sub-terms, below each other."""
        lines = list(_in_rows(main))
        for k, (name, text) in enumerate(definitions):
            first, *others = _in_rows(f"{name} = {text}")
            indent = f"<mphantom>{_WHERE}</mphantom>"
            lines += [(indent if k else _WHERE) + first, *(indent + other for other in others)]
        if len(lines) == 1:
            return lines[0]
        return f"<mtable displaystyle='true'>{''.join(f'<mtr><mtd {_LEFT}>{line}</mtd></mtr>' for line in lines)}</mtable>"

    def rational(self, value: Fraction) -> Written:
        size = abs(value)
        if not numbers.is_fraction(size):
            return super().rational(value)
        text = _element("mfrac", str(size.numerator), str(size.denominator))
        return ("-" if value < 0 else "") + text, ADD if value < 0 else ATOM

    def constant(self, shown: Shown) -> Written:
        return _CONSTANTS.get(shown.data, shown.data), ATOM

    def symbol(self, shown: Shown) -> Written:
        return self.letters(self.symbol_name(shown.data)), ATOM

    def letters(self, name: str) -> str:
        """A name as mathematics: `x1` is x with an index, `alpha` a Greek letter."""
        stem, index = parted(name)
        if not stem.isidentifier() or not (index.isalnum() or not index):
            return name
        stem, index = (_GREEK.get(part, part) for part in (stem, index))
        return _element("msub", stem, index) if index else stem

    def product(self, shown: Shown) -> Written:
        coefficient, count = shown.data
        above, below = shown.args[:count], shown.args[count:]
        sign = "-" if coefficient < 0 else ""
        top, bottom = self.split(abs(coefficient))
        if not bottom and not below:
            return sign + self.side(top, above), ADD if sign else MUL
        return sign + _element("mfrac", self.side(top, above, True), self.side(bottom, below, True)), ADD if sign else MUL

    def side(self, front: list[str], factors: Sequence[Shown], alone: bool = False) -> str:
        """A product; `alone`: on one side of a fraction, where a single factor needs no brackets."""
        if alone and not front and len(factors) == 1:
            return self.write(factors[0])
        text = self.times(front) if front or factors else "1"
        for k, factor in enumerate(factors):  # arrays are multiplied by elements, which a product of matrices is not
            digit = "·" if factor.kind == "number" else "*"  # two numbers side by side would be read as one
            sign = "∘" if k and factor.axes and factors[k - 1].axes else digit if text else ""
            text += sign + self.factor(factor, k > 0 or bool(front))
        return text

    def root(self, shown: Shown) -> Written:
        return _element("msqrt", self.write(shown.args[0])), ATOM

    def template(self, function: Function) -> str:
        made = translated(function.names.latex, _element, _GREEK.__getitem__)
        return super().template(function) if made is None else made

    def apply(self, shown: Shown) -> Written:
        return self.binding(super().apply(shown), shown)

    def call(self, shown: Shown) -> Written:
        return self.binding(super().call(shown), shown)

    def binding(self, written: Written, shown: Shown) -> Written:
        """What is one element needs no brackets but as the base of a power."""
        template = self.template(shown.data[0])
        return (written[0], POWER) if template.startswith(OPEN) and template.endswith(CLOSE) else written

    def listed(self, texts: Sequence[str]) -> str:
        return ", ".join(texts)

    # ------------------------------------------------------------------------------------------ arrays
    def raised(self, text: str, above: str) -> str:
        return _element("msup", text, above)

    def lowered(self, text: str, below: str, above: str = "") -> str:
        return _element("msubsup", text, below, above) if above else _element("msub", text, below)

    def fraction(self, above: str, below: str) -> str:
        return _element("mfrac", above, below)

    def trace(self, shown: Shown) -> Written:
        return self.called("tr", self.write(shown.args[0]))

    # ------------------------------------------------------------------------------------------ indices
    def element(self, shown: Shown) -> Written:
        base, *indices = shown.args
        return _element("msub", self.inside(base, ATOM), ",".join(map(self.write, indices))), ATOM

    def delta(self, shown: Shown) -> Written:
        return _element("msub", "δ", ",".join(map(self.write, shown.args))), ATOM

    def series(self, shown: Shown) -> Written:
        function, bound = shown.data
        name = "sum" if function is None else function.name
        sign = _element("munder", _SERIES.get(name, name), ",".join(map(self.label_name, bound)))
        return f"{sign}{self.inside(shown.args[0], MUL)}", ADD
