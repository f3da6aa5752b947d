"""The torch cases: small programs that print, and what torch 2.13 prints for them.

One text file per area holds its cases one after another:

    === name
    the program, starting with `import torch`
    ---
    the recorded output

`record.py` rewrites the outputs; `pending.txt` lists the runs chainrule does not pass yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).parent
PENDING = DIRECTORY / "pending.txt"
AREAS = (
    "accumulate", "leaf", "backward_arg", "scalar", "zero_grad", "no_grad", "requires_grad", "retain_graph",
    "retain_grad", "create_graph", "autograd_grad", "functional", "hooks", "inplace", "views", "detach", "broadcast",
    "dtype", "print", "index", "reduce", "shape", "matmul", "linalg", "pointwise", "nn", "optim", "numpy", "custom",
)  # fmt: skip


class Case(NamedTuple):
    area: str
    name: str
    program: str
    expected: str

    @property
    def id(self) -> str:
        return f"{self.area}/{self.name}"


def area_file(area: str) -> Path:
    return DIRECTORY / f"{area}.txt"


def parse(area: str, text: str) -> Iterator[Case]:
    """The cases in `text`; a case without a `---` line has not been recorded, and expects ''."""
    head, *blocks = ("\n" + text).split("\n=== ")
    if head.strip():
        raise ValueError(f"{area}: text before the first case: {head.strip()[:60]!r}")
    for block in blocks:
        name, _, body = block.partition("\n")
        program, _, expected = body.partition("\n---\n")
        yield Case(area, name.strip(), program.strip("\n") + "\n", normalized(expected))


def render(cases: Iterable[Case]) -> str:
    return "\n".join(f"=== {case.name}\n{case.program}---\n{case.expected}\n" for case in cases)


def normalized(text: str) -> str:
    """`text` without trailing blanks on lines and at its end: what two outputs are compared by."""
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip()


def load(areas: Iterable[str] = AREAS) -> Iterator[Case]:
    for area in areas:
        path = area_file(area)
        if path.exists():
            yield from parse(area, path.read_text(encoding="utf-8"))


def pending() -> frozenset[str]:
    """Ids of the runs that are expected to fail: `area/name`, or `area/name@observed`."""
    lines = PENDING.read_text(encoding="utf-8").splitlines() if PENDING.exists() else []
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
