"""Every torch case with chainrule in torch's place; plain, and with all its intermediates looked at."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chainrule

FOLDER = Path(__file__).parents[1] / "torch_cases"


def load_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"torch_cases_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


cases, harness = load_module("cases"), load_module("harness")
PENDING = cases.pending()
RUNS = [pytest.param(case, variant, id=case.id + suffix)
        for case in cases.load()
        for variant, suffix in ((str, ""), (harness.observed, "@observed"))]  # fmt: skip


@pytest.mark.parametrize(("case", "variant"), RUNS)
def test_prints_what_torch_prints(case: Any, variant: Any, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.id in PENDING:
        request.applymarker(pytest.mark.xfail(strict=True, reason="listed in pending.txt"))
    harness.reset(chainrule)
    try:
        with harness.in_torchs_place(chainrule):
            printed = harness.run(variant(case.program), case.id)
    finally:
        harness.reset(chainrule)
    assert cases.normalized(printed) == case.expected


def test_pending_lists_existing_runs() -> None:
    assert {run.id for run in RUNS} >= PENDING


def test_case_ids_are_unique_and_recorded() -> None:
    loaded = list(cases.load())
    assert len({case.id for case in loaded}) == len(loaded) > 300
    assert [case.id for case in loaded if not case.expected] == []


@pytest.mark.oracle
@pytest.mark.parametrize("area", cases.AREAS)
def test_records_are_what_torch_prints(area: str) -> None:
    pytest.importorskip("torch")
    command = [sys.executable, str(FOLDER / "record.py"), "--check", area]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_observation_follows_every_assignment() -> None:
    program = "a, b = c[i] = f()\na += 1\nfor k in b:\n    d.e = k\nwith g() as (h, j):\n    pass\n"
    assert harness.observed(program).split("\n") == [
        "a, b = c[i] = f()",
        "observe_value(a)",
        "observe_value(b)",
        "observe_value(c)",
        "a += 1",
        "observe_value(a)",
        "for k in b:",
        "    observe_value(k)",
        "    d.e = k",
        "    observe_value(d)",
        "with g() as (h, j):",
        "    observe_value(h)",
        "    observe_value(j)",
        "    pass",
    ]


def test_no_other_torch_shows_through(monkeypatch: pytest.MonkeyPatch) -> None:
    outer = ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", outer)
    monkeypatch.setitem(sys.modules, "torch.fft", ModuleType("torch.fft"))
    stand_in = ModuleType("stand_in")
    with harness.in_torchs_place(stand_in):
        assert harness.run("import torch\nprint(torch.__name__)", "name") == "stand_in\n"
        with pytest.raises(ImportError):
            harness.run("import torch.fft", "submodule")
    assert sys.modules["torch"] is outer
    assert "torch.fft" in sys.modules
