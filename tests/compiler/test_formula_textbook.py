"""Derivatives of textbook functions: their text, its length beside SymPy's, and their values to 50 digits."""
from __future__ import annotations

import ast
import random
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
from textbook_derivatives import CASES, TextbookDerivative, operations, python

import chainrule as cr
from chainrule.compiler.formula import functions, shorter
from chainrule.compiler.formula.algebra import Table
from chainrule.compiler.formula.arrange import Arranger
from chainrule.compiler.formula.terms import Add, At, Mul, Term, postorder
from chainrule.compiler.formula.text import Writer

DIGITS = 50
POINTS = 3
NAMES: dict[str, Any] = {
    "abs": abs, "arccos": mpmath.acos, "arccosh": mpmath.acosh, "arcsin": mpmath.asin, "arctan": mpmath.atan, "arctan2": mpmath.atan2,
    "arctanh": mpmath.atanh, "e": mpmath.e,
    "cos": mpmath.cos, "cosh": mpmath.cosh, "digamma": mpmath.digamma, "erf": mpmath.erf, "exp": mpmath.exp,
    "Phi": mpmath.ncdf, "phi": mpmath.npdf,
    "lgamma": mpmath.loggamma, "log": mpmath.log, "pi": mpmath.pi, "polygamma": mpmath.psi,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "sign": mpmath.sign, "sin": mpmath.sin, "sinh": mpmath.sinh,
    "sqrt": mpmath.sqrt, "tan": mpmath.tan, "tanh": mpmath.tanh, "exact": mpmath.mpf,
    "where": lambda condition, yes, no: yes if condition else no,
    "maximum": max, "heaviside": lambda x, half: half if x == 0 else int(x > 0),
}


class _ExactNumbers(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("exact", ast.Load()), [ast.Constant(repr(node.value))], [])  # 0.1 in all digits


def value_of(text: str) -> Callable[[dict[str, Any]], Any]:
    """The value of a formula at arguments, with as many digits as mpmath has."""
    tree = _ExactNumbers().visit(ast.parse(python(text), mode="eval"))
    code = compile(ast.fix_missing_locations(tree), text, "eval")
    return lambda at: eval(code, {**NAMES, **at})


def points(case: TextbookDerivative) -> list[dict[str, Any]]:
    """Arguments at which the function is real."""
    names = sorted({n.id for n in ast.walk(ast.parse(case.function, mode="eval")) if isinstance(n, ast.Name)} - NAMES.keys())
    function, draw, found = value_of(case.function), random.Random(case.function), []
    for _ in range(100):
        at = {name: mpmath.mpf(draw.randint(20, 260)) / 100 for name in names}
        value = function(at)
        if mpmath.im(value) == 0 and mpmath.isfinite(value):
            found.append(at)
            if len(found) == POINTS:
                return found
    raise AssertionError(f"no points for {case.function}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.function} by {case.by}")
def test_textbook_form_and_value(case: TextbookDerivative) -> None:
    names = case.by.split()
    made = cr.parse(case.function).derivative(*names)
    assert str(made) == case.derivative
    assert operations(case.derivative) <= case.diff
    function, derivative = value_of(case.function), value_of(case.derivative)
    with mpmath.workdps(DIGITS + 10):
        for at in points(case):
            orders = tuple(names.count(name) for name in at)
            expected = mpmath.diff(lambda *values, at=tuple(at): function(dict(zip(at, values, strict=True))), tuple(at.values()), orders)
            assert abs(derivative(at) - expected) <= mpmath.mpf(10) ** -DIGITS * (1 + abs(expected)), at


def test_textbook_forms_are_shorter_than_sympys_simplification() -> None:
    longer = [case for case in CASES if operations(case.derivative) > case.simplify]
    assert [case.function for case in longer] == [
        "1/(exp((E - mu)/(k*T)) + 1)",  # a sigmoid, where SymPy has a cosh
        "(sin(x) - cos(x))/(sin(x) + cos(x))",  # a square of sin(x) + cos(x), where SymPy has sin(2*x) + 1
    ]
    ours, theirs = (sum(counts) for counts in zip(*((operations(c.derivative), c.simplify) for c in CASES), strict=True))
    assert ours <= 0.9 * theirs


# ------------------------------------------------------------------------------------------------ the table of ways
WAYS = list(dict.fromkeys([*shorter.SUMS, *shorter.PRODUCTS, *functions.CALLS]))


def corpus() -> list[tuple[Table, Term]]:
    """The terms that are met on the way to the textbook forms."""
    found = []
    for case in CASES:
        made = cr.parse(case.function).derivative(*case.by.split())
        assert str(made)
        table = made._canonical.table
        table.effort = 0
        found += [(table, term) for term in list(table.shortest)]
    return found


def test_every_way_gives_equal_terms_and_is_needed() -> None:
    used = set()
    with mpmath.workdps(30):
        for table, term in corpus():
            for way in WAYS:
                if (way in shorter.SUMS and not isinstance(term, Add)) or (way in shorter.PRODUCTS and not isinstance(term, Mul)):
                    continue
                for candidate in way(table, term):
                    if candidate is not term:
                        used.add(way)
                        agree(table, term, candidate, way.__name__)
    assert {way.__name__ for way in WAYS} - {way.__name__ for way in used} == set()


def agree(table: Table, one: Term, other: Term, way: str) -> None:
    names = sorted({t.name for t in postorder([one, other]) if isinstance(t, At)})
    texts = [Writer(str, str, str).write(Arranger(table, {n: () for n in names}).show(t)) for t in (one, other)]
    values = [value_of(t) for t in texts]
    draw = random.Random(0)
    for _ in range(4):
        at = {name: mpmath.mpf(draw.randint(20, 260)) / 100 for name in names}
        try:
            a, b = (v(at) for v in values)
        except ZeroDivisionError:
            continue
        if mpmath.im(a) == 0 and mpmath.isfinite(a) and mpmath.im(b) == 0:
            assert abs(a - b) <= mpmath.mpf(10) ** -20 * (1 + abs(a)), f"{way}: {texts[0]} -> {texts[1]} at {at}"

