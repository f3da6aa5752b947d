"""Tracing: plain NumPy code, called with `Traced` values, leaves its program behind."""

from __future__ import annotations

from .operands import Operand, apply_nodes, contains_traced, is_traced, lift, wrap
from .ramps import symbolic_ramps
from .session import Captured, Session, Specialisation, active_session, located, tracing
from .symint import SymInt, as_size, wrap_size
from .traced import Traced

__all__ = [
    "Captured",
    "Operand",
    "Session",
    "Specialisation",
    "SymInt",
    "Traced",
    "active_session",
    "apply_nodes",
    "as_size",
    "contains_traced",
    "is_traced",
    "lift",
    "located",
    "symbolic_ramps",
    "tracing",
    "wrap",
    "wrap_size",
]
