"""Functions that are written as mathematics: SymPy expressions and text, compiled and differentiated as NumPy code is."""
from __future__ import annotations

from .from_sympy import from_sympy
from .parse import ParseError, parse

__all__ = ["ParseError", "from_sympy", "parse"]
