"""The table of torch's operations, by family. Importing this package fills it."""
from . import arithmetic, comparison, creation, functions, indexing, matrix, movement, picking, random, reducing, statistics, views, writing

__all__ = ["arithmetic", "comparison", "creation", "functions", "indexing", "matrix", "movement", "picking", "random", "reducing",
           "statistics", "views", "writing"]
