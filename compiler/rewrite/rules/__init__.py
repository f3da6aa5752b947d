"""The rules, by family; where several fit, the first in this order is applied."""
from __future__ import annotations

from . import arithmetic, cancellation, choices, movement, real, stable

ALL_RULES = (*choices.RULES, *movement.RULES, *arithmetic.RULES, *stable.RULES, *cancellation.RULES, *real.RULES)

__all__ = ["ALL_RULES"]
