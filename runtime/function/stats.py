"""What a decorated function has done so far."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from ...compiler.entry_spec import hits, latest_bytes, latest_streamed
from ...compiler.ir import Graph
from .execution import Execution
from .tables import table

__all__ = ["Stats"]

MOST_MISSES = 100


@dataclass
class Stats:
    """Counters of one decorated function.

    Attributes:
        compiles: programs built (one for each signature and kind of request).
        ordinary_hits: calls that found their program, but not its direct entry.
        entries: the direct entries, which count their calls.
        traces: how often the function itself was run to be traced.
        kernels, temporaries, bytes: of the latest program: its kernels, the arrays it keeps between them, and their size for the
            example's sizes.
        programs: those that were built, which know what their latest run took.
        seconds: by stage, under the names of `compiler.stages.STAGES`.
        specialisations: sizes that became plain numbers, each with the line that asked for it.
        misses: for each of the latest calls that found no program: what was different, or which guard failed.
        sweeps: Jacobians and Hessians that are put together from one product for each row or column, with the reason.
    """

    compiles: int = 0
    ordinary_hits: int = 0
    entries: list[Callable[..., Any]] = field(default_factory=list, repr=False)
    programs: WeakSet[Execution] = field(default_factory=WeakSet, repr=False)
    traces: int = 0
    kernels: int = 0
    temporaries: int = 0
    bytes: int = 0
    flops_of: Callable[[], int] = field(default=lambda: 0, repr=False)
    boundaries_of: Callable[[], list[str]] = field(default=list, repr=False)
    seconds: dict[str, float] = field(default_factory=dict)
    specialisations: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    sweeps: list[str] = field(default_factory=list)

    @property
    def cache_hits(self) -> int:
        """Calls that found their program."""
        return self.ordinary_hits + sum(map(hits, self.entries))

    @property
    def peak_bytes(self) -> int:
        """Bytes of results, temporaries and partial results in the latest call of each program, of the one that took the most."""
        runs = [made.program.latest_bytes for made in self.programs if made.program is not None]
        return max([*runs, *map(latest_bytes, self.entries)], default=0)

    @property
    def streamed_bytes(self) -> int:
        """Bytes of results that were written past the caches in the latest call of each program, of the one that wrote the most."""
        runs = [made.program.latest_streamed for made in self.programs if made.program is not None]
        return max([*runs, *map(latest_streamed, self.entries)], default=0)

    @property
    def flops(self) -> int:
        """An estimate of the latest program's arithmetic for the example's sizes, in additions."""
        return self.flops_of()

    @property
    def boundaries(self) -> list[str]:
        """Why the latest program's steps are not one: a reason between each two neighbours."""
        return self.boundaries_of()

    def miss(self, reason: str) -> None:
        """Note why a call found no program. A call that fails again and again notes it each time: the latest are kept."""
        self.misses.append(reason)
        del self.misses[:-MOST_MISSES]

    def count(self, made: Execution, graph: Graph) -> None:
        """Count a program that was built, of a graph."""
        self.compiles += 1
        self.programs.add(made)
        self.kernels = made.kernels
        self.temporaries, self.bytes = made.temporaries(graph.hints)
        self.flops_of, self.boundaries_of = made.flops, made.boundaries
        self.add_seconds(made.seconds)

    def add_seconds(self, seconds: Mapping[str, float]) -> None:
        """Count time spent in stages."""
        for stage, spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def sweep(self, reason: str) -> None:
        """Note why a matrix is not computed in one piece."""
        if reason not in self.sweeps:
            self.sweeps.append(reason)

    def _facts(self) -> list[tuple[str, str]]:
        """What there is to say: (heading, text)."""
        stages = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in self.seconds.items())
        return [
            ("compiles", f"{self.compiles}"), ("cache hits", f"{self.cache_hits}"), ("traces", f"{self.traces}"),
            ("latest program", f"{self.kernels} kernels, {self.temporaries} temporaries, {self.bytes} bytes, about {self.flops} flops"),
            ("memory of results and temporaries of the latest calls", f"{self.peak_bytes} bytes at most"),
            ("results written past the caches in the latest calls", f"{self.streamed_bytes} bytes at most"),
            ("seconds", stages or "none yet"),
            *((f"between steps {k} and {k + 1}", reason) for k, reason in enumerate(self.boundaries)),
            *(("specialised", note) for note in self.specialisations),
            *(("miss", reason) for reason in self.misses),
            *(("in parts", reason) for reason in self.sweeps)]

    def __str__(self) -> str:
        return "\n".join(f"{heading}: {text}" for heading, text in self._facts())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return table("", (), self._facts())
