"""Fixtures of the tests of Tensors."""
import pytest

from chainrule.runtime.optimizers import steps
from chainrule.runtime.tensor import compiled, evaluate, plan


@pytest.fixture
def counted(monkeypatch):
    """The programs that are compiled during a test, from a state in which nothing is known."""
    for table in (evaluate._programs, evaluate._tiers, plan._plans, steps._plans):
        table.clear()
    made = []
    original = compiled.compile_structure

    def compile_structure(structure, wanted):
        made.append(original(structure, wanted))
        return made[-1]

    monkeypatch.setattr(compiled, "compile_structure", compile_structure)
    return made
