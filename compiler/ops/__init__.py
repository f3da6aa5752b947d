"""The op table, by family. Importing this package declares every op."""
from __future__ import annotations

from . import contraction, control, elementwise, factorizations, indexing, leaves, linalg, lu, movement, reduction, special

__all__ = [
    "contraction", "control", "elementwise", "factorizations", "indexing", "leaves", "linalg", "lu", "movement", "reduction", "special",
]
