"""How many threads large kernels run on. Results do not depend on it."""
from __future__ import annotations

from ..compiler.errors import ArgumentError
from ..compiler.native import workers

__all__ = ["get_num_threads", "set_num_threads"]


def set_num_threads(count: int) -> None:
    """How many threads large kernels may use, the calling one included.

    Raises:
        ArgumentError: not a whole number of at least 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ArgumentError(f"the number of threads is a whole number of at least 1, not {count!r}")
    workers.count = count


def get_num_threads() -> int:
    """How many threads large kernels may use."""
    return workers.count
