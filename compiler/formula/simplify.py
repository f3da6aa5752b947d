"""SymPy's simplification of a formula of numbers: under a time limit, and only believed after a check by numbers."""
from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..op import all_ops
from .algebra import Table
from .cost import cost
from .identities import HEAVISIDE
from .shorter import shortened
from .terms import Term
from .tidy import tidied

__all__ = ["from_sympy", "simplified", "within"]

_POINTS = 4
_DIGITS = 30
_ATTEMPTS = 40


class _Expired(Exception):
    """Raised inside SymPy's thread when its time is up."""


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """The result of `work`, None where it takes longer or fails. The work runs in a thread that is then interrupted."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(work())
        except (_Expired, ArithmeticError, AttributeError, NotImplementedError, RecursionError, TypeError, ValueError):
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    while thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Expired))
        thread.join(0.05)
    return result[0] if result else None


def simplified(expression: Any, term: Term, seconds: float) -> Term | None:
    """A shorter term that SymPy finds equal, None where there is none."""
    import sympy

    found = within(seconds, lambda: sympy.simplify(expression))
    if found is None or not within(seconds, lambda: _agree(expression, found)):
        return None
    made = from_sympy(term.table, found)
    if made is None:
        return None
    made = shortened(term.table, tidied(term.table, made))
    return made if cost(made) < cost(term) else None


def _agree(one: Any, other: Any) -> bool:
    """Whether both have the same values, to 30 digits, at several points where they have real ones."""
    import random

    import sympy

    rng = random.Random(0)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    agreed = 0
    for _ in range(_ATTEMPTS):
        at = {s: _drawn(sympy, rng, s) for s in symbols}
        a, b = (e.subs(at).evalf(_DIGITS) for e in (one, other))
        if not (a.is_real and a.is_finite):
            continue
        if not (b.is_real and abs(a - b) <= sympy.Float(10) ** (5 - _DIGITS) * (1 + abs(a))):
            return False
        agreed += 1
        if agreed == _POINTS or not symbols:
            return True
    return False


def _drawn(sympy: Any, rng: Any, symbol: Any) -> Any:
    """A number that keeps what was promised of a symbol."""
    lowest = 1 if symbol.is_nonnegative else -300
    return sympy.Integer(rng.randint(lowest, 9)) if symbol.is_integer else sympy.Rational(rng.randint(lowest, 300), 97)


def from_sympy(table: Table, expression: Any) -> Term | None:
    """A SymPy expression of plain symbols as a term, None where it has a function that the op table has not."""
    import sympy

    by_name = {op.names.sympy: op for op in all_ops() if op.kind == "elementwise" and op.names.sympy}
    done: dict[Any, Term] = {}
    for node in sympy.postorder_traversal(expression):
        if node in done:
            continue
        made = _leaf(table, node) if not node.args else _node(table, node, [done.get(a) for a in node.args], by_name)
        if made is not None:
            done[node] = made
    return done.get(expression)


def _leaf(table: Table, node: Any) -> Term | None:
    import sympy

    if isinstance(node, sympy.Symbol):
        return table.at(node.name, ())
    if isinstance(node, sympy.Rational):
        return table.number(Fraction(int(node.p), int(node.q)))
    if isinstance(node, sympy.Float):
        return table.number(Fraction(str(float(node))))
    return {sympy.pi: table.pi, sympy.E: table.e, sympy.true: table.true}.get(node)


def _node(table: Table, node: Any, args: list[Term | None], by_name: dict[str, Any]) -> Term | None:
    import sympy

    known = [a for a in args if a is not None]
    if len(known) < len(args):
        return _pieces(table, node, args)
    if isinstance(node, sympy.Add):
        return table.add(*known)
    if isinstance(node, sympy.Mul):
        return table.mul(*known)
    if isinstance(node, sympy.Pow):
        return table.power(*known)
    if isinstance(node, sympy.exp):
        return table.exp(known[0])
    if isinstance(node, sympy.Heaviside):
        return table.apply(HEAVISIDE, known[:1])
    if isinstance(node, sympy.Piecewise):
        return _pieces(table, node, args)
    op = by_name.get(type(node).__name__) or by_name.get(_RELATIONS.get(type(node).__name__, ""))
    if op is None or op.params:
        return None
    made = known[0]
    if len(known) == 1:
        return table.apply(op, known)
    for other in known[1:]:
        made = table.apply(op, (made, other))
    return made


_RELATIONS = {"StrictLessThan": "Lt", "LessThan": "Le", "StrictGreaterThan": "Gt", "GreaterThan": "Ge", "Equality": "Eq",
              "Unequality": "Ne"}


def _pieces(table: Table, node: Any, args: list[Term | None]) -> Term | None:
    """A SymPy Piecewise, whose arguments are pairs, as nested choices."""
    import sympy

    if not isinstance(node, sympy.Piecewise):
        return None
    found: Term | None = None
    for value, condition in reversed(node.args):
        yes, holds = from_sympy(table, value), from_sympy(table, condition)
        if yes is None or holds is None:
            return None
        found = yes if found is None and holds is table.true else None if found is None else table.apply("where", (holds, yes, found))
        if found is None:
            return None
    return found
