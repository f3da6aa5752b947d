"""The threads that run blocks of large kernels: a pool of sleeping workers, made when it is first needed.

Results do not depend on the number of threads. A forked child starts with no workers and makes its own.
"""
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..compiler.errors import ArgumentError

if TYPE_CHECKING:  # it costs as much as a tenth of `import chainrule`, and scalars never need it
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["get_num_threads", "set_num_threads", "spread"]


class _Pool:
    def __init__(self) -> None:
        self.count = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.executor: ThreadPoolExecutor | None = None

    def workers(self) -> ThreadPoolExecutor:
        with self.lock:
            if self.executor is None:
                from concurrent.futures import ThreadPoolExecutor

                self.executor = ThreadPoolExecutor(self.count - 1, thread_name_prefix="chainrule")
            return self.executor

    def resize(self, count: int) -> None:
        with self.lock:
            old, self.executor, self.count = self.executor, None, count
        if old is not None:
            old.shutdown(wait=False)


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.reset)


def spread(tasks: Sequence[Callable[[], None]]) -> None:
    """Run tasks on the calling thread and the workers, and wait for all. A task must release the GIL to gain by it."""
    helpers = min(_pool.count, len(tasks)) - 1
    remaining = iter(tasks)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                task = next(remaining, None)
            if task is None:
                return
            task()

    others = [_pool.workers().submit(work) for _ in range(helpers)] if helpers > 0 else []
    try:
        work()
    finally:
        for other in others:
            other.result()


def set_num_threads(count: int) -> None:
    """How many threads large kernels may use, the calling one included.

    Raises:
        ArgumentError: not a whole number of at least 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ArgumentError(f"the number of threads is a whole number of at least 1, not {count!r}")
    _pool.resize(count)


def get_num_threads() -> int:
    """How many threads large kernels may use."""
    return _pool.count
