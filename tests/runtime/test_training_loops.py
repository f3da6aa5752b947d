"""What a training loop runs, once its structure has repeated: which kernels, how many programs, and that it learns what torch learns."""
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import chainrule as torch
from chainrule.runtime.tensor import compiled, evaluate, plan


@pytest.fixture
def counted(monkeypatch):
    """The programs that are compiled during a test, from a state in which nothing is known."""
    for table in (evaluate._programs, evaluate._tiers, plan._plans):
        table.clear()
    made = []
    original = compiled.compile_structure

    def compile_structure(structure, wanted):
        made.append(original(structure, wanted))
        return made[-1]

    monkeypatch.setattr(compiled, "compile_structure", compile_structure)
    return made


def shape_of(program):
    """The kinds of steps of a compiled program; of row blocks their members."""
    found = []
    for step in program.program.scheduled.steps:
        members = [type(m.step).__name__ for m in getattr(step, "members", ())]
        found.append((type(step).__name__, members) if members else type(step).__name__)
    return found


def classified(sizes, rows=24, seed=0):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layers = []
    for a, b in pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    x = torch.tensor(rng.normal(size=(rows, sizes[0])).astype(np.float32))
    y = torch.tensor(rng.integers(0, sizes[-1], rows))
    return model, x, y


def test_a_network_runs_in_row_blocks_with_nothing_copied(counted):
    model, x, y = classified((12, 16, 5))
    step = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(evaluate.MANY + 2):
        step.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        step.step()
    backward, update = counted
    products = ["Product", "Kernel", "Product", "Kernel", "Product", "Product", "Kernel", "Product", "Kernel"]
    assert shape_of(backward) == ["Kernel", ("RowBlocks", products), "Kernel"], "how many targets count; the rows; their mean"
    assert len(shape_of(update)) == 4, "a kernel for each parameter"
