"""Formulas: the mathematics of a graph and of its derivatives, as text, LaTeX, NumPy source and SymPy expressions.

IR -> terms (`read`, `algebra`: what is equal over the reals) -> terms as people factor them (`tidy`) -> notation
(`arrange`, `matrix`, `indexed`) -> writers (`text`, `latex`, `source`, `symbolic`).
"""
from __future__ import annotations

from .formula import Formula, derivative, formula

__all__ = ["Formula", "derivative", "formula"]
