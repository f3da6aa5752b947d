"""The rules, by family; where several fit, the first in this order is applied."""
from __future__ import annotations

from . import arithmetic, cancellation, choices, diagonals, movement, real, stable

COMPRESSION = (*choices.CONVERSIONS, *movement.RULES, *diagonals.RULES)
ALL_RULES = (*choices.RULES, *diagonals.RULES, *movement.RULES, *arithmetic.RULES, *stable.RULES, *cancellation.RULES, *real.RULES)

__all__ = ["ALL_RULES", "COMPRESSION"]
