"""The op table, by family. Importing this package declares every op."""
from __future__ import annotations

from . import contraction, elementwise, factorizations, indexing, leaves, linalg, movement, reduction

__all__ = ["contraction", "elementwise", "factorizations", "indexing", "leaves", "linalg", "movement", "reduction"]
