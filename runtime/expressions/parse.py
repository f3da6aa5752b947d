"""Text as compiled functions with derivatives: a grammar and a table of functions, so that nothing in it can run code."""
from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.provenance import at, user_site
from ..function import GradFunction
from .functions import CONSTANTS, FUNCTIONS, minus, negative, plus, power, suggestion, times
from .steps import Steps

__all__ = ["ParseError", "parse"]

LONGEST = 1_000_000  # characters
_SHOWN = 60  # characters of the text on either side of the caret

# Python's precedence: comparisons, sums, products, signs, powers.
_GRAMMAR = r"""
?start: comparison
?comparison: sum | sum COMPARED sum -> compared
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: signed | product "*" signed -> mul | product "/" signed -> div | product "//" signed -> floor_div | product "%" signed -> mod
?signed: power | "-" signed -> neg | "+" signed -> pos
?power: atom | atom "**" signed -> pow
?atom: NUMBER -> number | name | call | "(" comparison ")"
call: NAME "(" [comparison ("," comparison)*] ")"
name: NAME
COMPARED: "<=" | ">=" | "==" | "!=" | "<" | ">"
NUMBER: /(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?/
NAME: /((np|numpy|math|special|scipy\.special)\.)?[^\W\d]\w*/
%ignore /\s+/
"""
_COMPARED = {"<=": np.less_equal, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal, "<": np.less, ">": np.greater}
_OPERATORS: dict[str, Callable[..., Any]] = {"add": plus, "sub": minus, "mul": times,
    "div": np.divide, "floor_div": np.floor_divide, "mod": np.remainder,
}
_READABLE = {
    "NUMBER": "a number", "NAME": "a name", "LPAR": "'('", "RPAR": "')'", "COMMA": "','", "PLUS": "'+'", "MINUS": "'-'", "STAR": "'*'",
    "SLASH": "'/'", "COMPARED": "a comparison", "__ANON_0": "'//'", "PERCENT": "'%'", "__ANON_1": "'**'", "$END": "the end",
}
_INSTEAD = {
    **dict.fromkeys("^²³", "a power is written **"), **dict.fromkeys("×·", "a product is written *"), "√": "a root is written sqrt(...)",
    "−": "a difference is written -", "!": "a factorial is written factorial(...)", "|": "an absolute value is written abs(...)",
    "&": "of two conditions, both is a product: (x > 0)*(x < 1)", "∞": "infinity is written inf", "≤": "written <=", "≥": "written >=",
    "≠": "written !=", "=": "write an expression, without '='; a comparison is ==", **dict.fromkeys("[{", "arguments stand in parentheses"),
}


_WORDS = {
    "and": "of two conditions, both is a product: (x > 0)*(x < 1)", "or": "of two conditions, one is maximum(x < 0, x > 1)",
    "not": "the opposite of a condition is 1 - (x > 0)", "if": "a choice is written where(condition, x, y)",
    "lambda": "write the formula alone", "for": "there are no loops in a formula",
}


class ParseError(ArgumentError):
    """The text is no formula. The message shows where, with a caret.

    Attributes:
        text: the whole text.
        position: where, counted from 0.
    """

    def __init__(self, message: str, text: str, position: int) -> None:
        start = max(0, text.rfind("\n", 0, position) + 1, position - _SHOWN)
        stop = text.find("\n", position)
        stop = min(len(text) if stop < 0 else stop, position + _SHOWN)
        super().__init__(f"{message}{at(user_site())}\n    {text[start:stop]}\n    {' ' * (position - start)}^")
        self.text, self.position = text, position


def parse(text: str, args: str | Iterable[str] | None = None, *, wrt: Any = None, stabilise: bool = True,
          fastmath: bool = False, assume: Mapping[str, str | Sequence[str]] | None = None) -> GradFunction:
    """A formula in NumPy's notation as a function, compiled and differentiable like a decorated one.

    >>> f = parse("x**2*y + x*y")
    >>> print(f(3.0, 2.0), *f.grad(3.0, 2.0))
    24.0 14.0 12.0

    Args:
        text: numbers, names, `+ - * / // % **`, comparisons, parentheses, functions (`sin`, `np.sin`, `exp`, `where`, `erf`, ...) and
            the constants pi and e. It is read by a grammar: it cannot reach anything else.
        args: the names of the arguments, in order ("x y", "x, y" or a sequence); default: the names in the text, in the order in
            which they occur.
        wrt, stabilise, fastmath, assume: as for `grad`.

    Raises:
        ParseError: the text is no formula, or has an unknown function; the message shows where.
    """
    from lark.exceptions import UnexpectedInput

    if not isinstance(text, str):
        raise ArgumentError(f"parse reads text, not {type(text).__name__}{at(user_site())}; from_sympy takes SymPy expressions")
    if len(text) > LONGEST:
        raise ArgumentError(f"the text has {len(text):,} characters, {LONGEST:,} are allowed{at(user_site())}")
    given = None if args is None else args.replace(",", " ").split() if isinstance(args, str) else list(args)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _explained(error, text) from None
    reader = _Reader(text, tree, given)
    return GradFunction(reader.function, wrt, stabilise, fastmath, assume)


@cache
def _parser() -> Any:
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _explained(error: Any, text: str) -> ParseError:
    from lark.exceptions import UnexpectedCharacters

    position = len(text) if getattr(error, "pos_in_stream", None) in (None, -1) else error.pos_in_stream
    if getattr(getattr(error, "token", None), "type", "") == "$END":
        position = len(text.rstrip())
    found = text[position:position + 1]
    expected = sorted({_READABLE.get(name, name) for name in getattr(error, "accepts", None) or getattr(error, "expected", None)
                       or getattr(error, "allowed", None) or ()})
    if not text.strip():
        return ParseError("the text is empty: a formula such as x**2 + 1 is expected", text, 0)
    what = f"{found!r} is not expected here" if found.strip() else "the formula ends too early"
    token = str(getattr(error, "token", ""))
    word = re.search(r"([^\W\d]\w*)\s+$", text[max(0, position - _SHOWN):position])  # what stands before
    if found in _INSTEAD:
        what += f": {_INSTEAD[found]}"
    elif token in _WORDS or (word and word[1] in _WORDS):
        what = f"{token if token in _WORDS else word[1]} is not expected here: {_WORDS.get(token) or _WORDS[word[1]]}"  # type: ignore[index]
    elif token in _COMPARED and "'+'" in expected:
        what += ": comparisons are not chained; write (x > 0)*(x < 1)"
    elif word and word[1] in FUNCTIONS and "'*'" in expected:
        what += f": the argument of {word[1]} stands in parentheses"
    elif isinstance(error, UnexpectedCharacters) and found.strip() and not (found.isalnum() or found in "_.("):
        what = f"{found!r} is no part of a formula"
    elif "'*'" in expected and (found.isalnum() or found == "("):
        what += ": a product is written *"
    elif expected:
        what += f": {', '.join(e for e in expected if e != 'the end') or 'the end of the formula'} would be"
    return ParseError(what, text, position)


class _Reader:
    """Reads a syntax tree into steps, without recursion."""

    def __init__(self, text: str, tree: Any, given: Sequence[str] | None) -> None:
        self.text = text
        order = self._order(tree)
        self.names = self._arguments(order, given)
        self.steps = Steps(list(self.names))
        self.known: dict[int, int] = {}
        self.decimals: set[float] = set()
        for node in order:
            self.known[id(node)] = self._made(node, [self.known[id(c)] for c in _subtrees(node)])
        self.function = self.steps.function("formula", self.known[id(tree)], text)
        self.function.decimals = frozenset(self.decimals)  # type: ignore[attr-defined]

    @staticmethod
    def _order(tree: Any) -> list[Any]:
        """The trees, those below first, from left to right."""
        order: list[Any] = []
        stack = [tree]
        while stack:
            node = stack.pop()
            order.append(node)
            stack += _subtrees(node)
        return order[::-1]

    def _arguments(self, order: Sequence[Any], given: Sequence[str] | None) -> dict[str, int]:
        found: dict[str, int] = {}
        for node in order:
            if node.data == "name":
                name, position = str(node.children[0]), node.children[0].start_pos
                if _bare(name) in CONSTANTS and (given is None or name not in given):
                    continue
                if given is not None and name not in given:
                    raise ParseError(f"{name} is no argument: the arguments are {', '.join(given) or 'none'}", self.text, position)
                odd = next((k for k in range(len(name)) if not name[:k + 1].isidentifier()), None) if "." not in name else None
                if odd is not None:
                    raise ParseError(f"{name[odd]!r} is no part of a name{f': {_INSTEAD[name[odd]]}' if name[odd] in _INSTEAD else ''}",
                                     self.text, position + odd)
                if keyword.iskeyword(name):
                    raise ParseError(f"{name} is a word of Python's, and no name for an argument", self.text, position)
                if "." in name:
                    raise ParseError(f"{name} is no constant: pi, e, inf and nan are", self.text, position)
                found[name] = min(position, found.get(name, position))
        if given is not None:
            for name in given:
                if not name.isidentifier():
                    raise ArgumentError(f"{name!r} cannot be the name of an argument{at(user_site())}")
            return {name: k for k, name in enumerate(given)}
        return {name: k for k, name in enumerate(sorted(found, key=found.__getitem__))}

    def _made(self, node: Any, parts: list[int]) -> int:
        steps, kind = self.steps, node.data
        if kind == "number":
            written = str(node.children[0])
            if written.isdigit() and len(written) < 16:
                return steps.constant(int(written))
            self.decimals.add(float(written))
            return steps.constant(float(written))
        if kind == "name":
            name = str(node.children[0])
            return self.names[name] if name in self.names else steps.constant(CONSTANTS[_bare(name)])
        if kind == "neg":
            return steps.apply("negative", negative, *parts)
        if kind == "pos":
            return parts[0]
        if kind == "pow":
            return steps.apply("power", power, *parts)
        if kind == "compared":
            operator = str(node.children[1])
            return steps.apply(operator, _COMPARED[operator], *parts)
        if kind == "call":
            return self._call(node.children[0], parts)
        return steps.apply(kind, _OPERATORS[kind], *parts)

    def _call(self, token: Any, parts: list[int]) -> int:
        name = _bare(str(token))
        row = FUNCTIONS.get(name)
        if row is None:
            raise ParseError(f"there is no function {token}{suggestion(name)}", self.text, token.start_pos)
        if not row.takes(len(parts)):
            raise ParseError(f"{token} takes {row.expected}, not {len(parts)}", self.text, token.start_pos)
        return self.steps.apply(row.name, row.call, *parts)


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def _subtrees(node: Any) -> list[Any]:
    return [child for child in node.children if hasattr(child, "data")]
