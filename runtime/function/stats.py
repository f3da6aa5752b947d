"""What a decorated function has done so far."""
from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Stats"]


@dataclass
class Stats:
    """Counters of one decorated function.

    Attributes:
        compiles: programs built (one for each signature and kind of request).
        cache_hits: calls that found their program.
        traces: how often the function itself was run to be traced.
        kernels, temporaries, bytes, flops: of the latest program: its kernels, the arrays it keeps between them, their size and
            an estimate of its arithmetic for the example's sizes.
        seconds: by stage.
        specialisations: sizes that became plain numbers, each with the line that asked for it.
        misses: for each call that found no program: what was different, or which guard failed.
    """

    compiles: int = 0
    cache_hits: int = 0
    traces: int = 0
    kernels: int = 0
    temporaries: int = 0
    bytes: int = 0
    flops: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    specialisations: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Count time spent in a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def __str__(self) -> str:
        stages = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in self.seconds.items())
        lines = [f"compiles: {self.compiles}   cache hits: {self.cache_hits}   traces: {self.traces}",
                 f"latest program: {self.kernels} kernels, {self.temporaries} temporaries, {self.bytes} bytes, about {self.flops} flops",
                 f"seconds: {stages or 'none yet'}"]
        lines += [f"specialised: {note}" for note in self.specialisations]
        lines += [f"miss: {reason}" for reason in self.misses]
        return "\n".join(lines)

    __repr__ = __str__
