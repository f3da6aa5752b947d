"""Symbolic sizes: what the axes of traced arrays are measured in.

A `Size` is a plain int, or a `SizeExpr`: a polynomial with integer coefficients over atoms. An atom is a `Symbol` (the
size of one axis of one input) or an `Opaque` application that no polynomial expresses (floor division, remainder,
minimum, maximum). Expressions are interned: equal forms are the same object, so `is`, `==` and hashing are cheap and a
size may be part of the identity of an IR node.

Whether two *different* forms are equal is a question for a `SizeContext`: it knows the example's sizes (the hints),
answers by them, and records the answer as a `Guard` that every later call must satisfy.
"""
from __future__ import annotations

from .binding import Binding, bind, bindings
from .context import UNBACKED, Guard, SizeContext, active, equal, less, resolve
from .expressions import (
    Atom,
    Opaque,
    Size,
    SizeExpr,
    Symbol,
    evaluate,
    floordiv,
    maximum,
    minimum,
    mod,
    never_negative,
    parse_size,
    product,
    substitute,
    symbol,
    symbols_of,
    total,
)

__all__ = [
    "UNBACKED", "Atom", "Binding", "Guard", "Opaque", "Size", "SizeContext", "SizeExpr", "Symbol", "active", "bind", "bindings",
    "equal", "evaluate", "floordiv", "less", "maximum", "minimum", "mod", "never_negative", "parse_size", "product", "resolve",
    "substitute", "symbol", "symbols_of", "total",
]
