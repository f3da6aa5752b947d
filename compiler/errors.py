"""Errors, one class for each phase, each also the built-in that a user would catch; and warnings.

A message says what happened, the actual shapes and dtypes, where in the user's source, and what to do.
"""
from __future__ import annotations

__all__ = [
    "ArgumentError",
    "BatchError",
    "ChainruleError",
    "DTypeError",
    "DifferentiationError",
    "IndexingError",
    "InternalError",
    "LoweringError",
    "NotYetError",
    "ShapeError",
    "TraceError",
    "UnrolledLoopWarning",
]


class ChainruleError(Exception):
    """Base of every error that chainrule raises on purpose."""


class ArgumentError(ChainruleError, TypeError):
    """A call does not fit: an unknown name in `wrt`, a missing argument, an argument of an unsupported type."""


class TraceError(ChainruleError, TypeError):
    """A traced value was used where a number is needed (`if`, `float()`), after its trace, or by an unknown function."""


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit together: broadcasting, contraction, reshape, concatenate."""


class BatchError(ShapeError):
    """A program that cannot be applied to many examples at once: a size in it would differ between them."""


class DTypeError(ChainruleError, TypeError):
    """An element type that an operation, or differentiation, cannot take."""


class IndexingError(ChainruleError, IndexError):
    """An index that is out of range or of a kind that cannot be traced."""


class DifferentiationError(ChainruleError, ValueError):
    """A derivative that does not exist: of a non-scalar output, with respect to an integer argument, of an unknown op."""


class LoweringError(ChainruleError, RuntimeError):
    """Code generation failed; the interpreter can still run the program."""


class NotYetError(ChainruleError, NotImplementedError):
    """Part of the public contract that is not built yet."""


class InternalError(ChainruleError, RuntimeError):
    """An invariant of the compiler does not hold. Please report it with the IR that the message contains."""


class UnrolledLoopWarning(RuntimeWarning):
    """A Python loop became so many operations that compiling them takes seconds; the message names the line."""
