"""Contenders of one computation: checked against each other, then timed in turns in one process.

A turn is one untimed call (unless calls are long), then a batch of calls long enough for the clock. The contender that has had the
least time so far is next, so that each one's turns are spread over the whole measurement, and what disturbs the machine disturbs
all of them. Between turns there is a pause until the idle threads of the last contender's pool stop spinning: those of NumPy's
OpenBLAS do so for a tenth of a second, on the processor that the next contender's threads need.
"""
from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np

BATCH_SECONDS = 0.01
PAUSE_SECONDS, LONGEST_PAUSE = 0.02, 0.5
LONG_SECONDS = 0.05
LEAST_TURNS = 5
OURS, HAND = "chainrule", "hand"

# What the probes gave where the figures of the workloads were measured: a quiet 2-core virtual machine, AMD Zen 4 with AVX-512.
WHEN_QUIET = {"bandwidth": 24.0, "flops": 105.0}


class Call:
    """`function(*args, **kwargs)`, timed as that statement: no closure stands between the clock and the function."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        names = {f"a{k}": value for k, value in enumerate(args)}
        written = [*names, *(f"{name}={name}" for name in kwargs)]
        self.run = lambda: function(*args, **kwargs)
        self.timer = timeit.Timer(f"function({', '.join(written)})", globals={"function": function, **names, **kwargs})


@dataclass
class Timing:
    """Seconds of one call: of the median turn, of the fastest turn, and how many turns there were."""

    median: float
    min: float
    turns: int


@dataclass
class Entry:
    """One case of one workload, measured.

    Attributes:
        workload, case: "W1", "vjp, n = 1,000".
        times: by contender. `chainrule` and `hand` are there always.
        aside: contenders that are shown but not compared with, because they do less (fixed outputs, say).
        left_out: contenders that could not run, with the reason.
        figure: what a good hand-written kernel took where it was first measured, in seconds; None where nobody had.
        load: the machine's load average while it was measured. Above 1 or so, other programs were running.
        bound: which probe (bench_probes.py) such a figure scales with.
    """

    workload: str
    case: str
    times: dict[str, Timing]
    aside: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=list)  # type: ignore[assignment]
    figure: float | None = None
    bound: str = "bandwidth"
    date: str = ""
    probes: dict[str, float] = field(default_factory=dict)
    load: float = 0.0

    def rivals(self) -> dict[str, Timing]:
        return {name: timing for name, timing in self.times.items() if name not in (OURS, HAND, *self.aside)}

    def best_rival(self, of: str = "median") -> str | None:
        rivals = self.rivals()
        return min(rivals, key=lambda name: getattr(rivals[name], of)) if rivals else None

    def ratio(self, other: str, of: str = "median") -> float:
        """Our time over another's, `of` the "median" turn or of the fastest ("min"): below 1, we are faster."""
        return getattr(self.times[OURS], of) / getattr(self.times[other], of)

    def expected(self) -> float | None:
        """The figure, scaled to what this machine could do while it was measured."""
        return None if self.figure is None else self.figure * WHEN_QUIET[self.bound] / self.probes[self.bound]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Entry:
        times = {name: Timing(**timing) for name, timing in stored["times"].items()}
        return cls(**{**stored, "times": times})


def leaves(value: Any) -> Iterator[np.ndarray]:
    """The arrays of a nested result, in order, whatever library they belong to."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    else:
        yield np.squeeze(np.asarray(value.detach() if hasattr(value, "detach") else value))


def check(results: dict[str, Any], tolerance: float) -> None:
    """Fail unless all results agree with the hand-written kernel's, relative to each array's largest element."""
    expected = list(leaves(results[HAND]))
    for name, result in results.items():
        found = list(leaves(result))
        assert len(found) == len(expected), f"{name} returns {len(found)} arrays, the kernel by hand {len(expected)}"
        for position, (ours, wanted) in enumerate(zip(found, expected, strict=True)):
            scale = float(np.max(np.abs(wanted), initial=0.0))
            np.testing.assert_allclose(ours, wanted, rtol=tolerance, atol=tolerance * scale, err_msg=f"result {position} of {name}")


def pause() -> None:
    """Sleep until no thread of this process runs."""
    end = time.perf_counter() + LONGEST_PAUSE
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(PAUSE_SECONDS)
        if time.process_time() - before < PAUSE_SECONDS / 10:
            return


def measure(calls: dict[str, Call], seconds: float) -> dict[str, Timing]:
    """Time contenders in turns, for so many seconds in all (more, if it takes more to give each its least number of turns)."""
    batch, once = {}, {}
    for name, call in calls.items():
        call.timer.timeit(1)
        number = 1
        while (spent := call.timer.timeit(number)) < BATCH_SECONDS / 4:
            number *= 4
        once[name] = spent / number
        batch[name] = max(1, round(BATCH_SECONDS / (spent / number)))
    spent_by = dict.fromkeys(calls, 0.0)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    deadline = time.perf_counter() + seconds
    while waiting := [name for name in calls if time.perf_counter() < deadline or len(samples[name]) < LEAST_TURNS]:
        name = min(waiting, key=spent_by.__getitem__)
        pause()
        started = time.perf_counter()
        if once[name] < LONG_SECONDS:
            calls[name].timer.timeit(1)
        samples[name].append(calls[name].timer.timeit(batch[name]) / batch[name])
        spent_by[name] += time.perf_counter() - started
    return {name: Timing(median(found), min(found), len(found)) for name, found in samples.items()}
