"""NumPy's functions on traced values: importing this package fills the table."""

from __future__ import annotations

from . import calculus, choosing, linear, making, products, reducing, shaping
from .registry import FUNCTIONS, call, row

__all__ = ["FUNCTIONS", "calculus", "call", "choosing", "linear", "making", "products", "reducing", "row", "shaping"]
