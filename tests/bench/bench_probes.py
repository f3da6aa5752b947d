"""What this machine can do at this moment: memory traffic and arithmetic, with all cores.

A figure that was measured elsewhere, or on a quieter day, is scaled by one of these before a kernel is compared with it.
"""
from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np
from bench_hand import split


@numba.njit(nogil=True)
def _copy(start: int, stop: int, source: np.ndarray, target: np.ndarray) -> None:
    for i in range(start, stop):
        target[i] = source[i] + 1.0


@numba.njit(nogil=True, fastmath=True)
def _multiply_add(start: int, stop: int, x: np.ndarray, rounds: int) -> None:
    for block in range(start, stop):
        row = x[block]
        for _ in range(rounds):
            for i in range(64):
                row[i] = row[i] * 0.999 + 0.001


def _fastest(seconds: float, function: Any, *args: Any) -> float:
    function(*args)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        function(*args)
        best = min(best, time.perf_counter() - started)
    return best


def probe() -> dict[str, float]:
    """GB/s of reading one large array and writing another; GFlop/s of multiply-adds on what fits into registers."""
    large = np.ones(10**7), np.ones(10**7)
    copied = _fastest(0.4, split, _copy, large[0].size, *large)
    small, rounds = np.ones((16, 64)), 20_000
    multiplied = _fastest(0.3, split, _multiply_add, len(small), small, rounds)
    return {"bandwidth": 2 * large[0].nbytes / copied / 1e9, "flops": 2.0 * small.size * rounds / multiplied / 1e9}
