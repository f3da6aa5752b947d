"""The table of torch's operations, by family. Importing this package fills it."""
from . import (
    activations,
    arithmetic,
    class_losses,
    comparison,
    creation,
    functions,
    indexing,
    linalg,
    losses,
    margin_losses,
    matrix,
    movement,
    normalization,
    parts,
    picking,
    random,
    reducing,
    scalars,
    statistics,
    views,
    windows,
    writing,
)

__all__ = ["activations", "arithmetic", "class_losses", "comparison", "creation", "functions", "indexing", "linalg",
           "losses", "margin_losses", "matrix", "movement", "normalization", "parts", "picking", "random",
           "reducing", "scalars", "statistics", "views", "windows", "writing"]
