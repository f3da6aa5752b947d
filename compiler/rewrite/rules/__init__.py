"""The rules, by family; where several fit, the first in this order is applied."""
from __future__ import annotations

from . import (
    angles,
    arithmetic,
    cancellation,
    choices,
    diagonals,
    differences,
    divergences,
    error_functions,
    exponentials,
    hyperbolic,
    likelihoods,
    logarithms,
    moments,
    movement,
    powers,
    quadratics,
    real,
    shares,
    squares,
    stable,
)

ALL_RULES = (*choices.RULES, *diagonals.RULES, *movement.RULES, *arithmetic.RULES, *error_functions.RULES, *logarithms.RULES, *shares.RULES,
             *hyperbolic.RULES, *moments.RULES, *angles.RULES, *squares.RULES, *stable.RULES, *cancellation.RULES, *quadratics.RULES,
             *divergences.RULES, *likelihoods.RULES, *powers.RULES, *exponentials.RULES, *differences.RULES, *real.RULES)
COMPRESSION = (*choices.CONVERSIONS, *movement.RULES, *diagonals.RULES)  # what contracts deltas
ORDINARY = tuple(rule for rule in ALL_RULES if rule not in diagonals.SUMS)  # these would be tried on every product of a sum

__all__ = ["ALL_RULES", "COMPRESSION", "ORDINARY"]
