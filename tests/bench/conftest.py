"""The fixture `bench`, which compares contenders; the table at the end; the results as JSON (`--bench-results`)."""
from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from bench_harness import HAND, OURS, Call, Entry, check, measure
from bench_report import terminal_tables
from bench_rivals import Elsewhere

_LIBRARIES = ("chainrule", "numpy", "numba", "jax", "torch", "casadi", "autograd", "pytensor")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench-results", default=".benchmarks/results.json", help="where benchmarks keep their results (JSON)")
    parser.addoption("--bench-seconds", type=float, default=1.5, help="how long each case of a benchmark is measured")
    parser.addoption("--bench-python", default="", help="an interpreter with PyTensor and autograd; without it they are left out")
    parser.addoption("--bench-alone", action="store_true", help="only chainrule and the kernel by hand, no other library; kept nowhere")


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.filterwarnings("default"))  # what other libraries deprecate must not keep them from running


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


class Results:
    """The results file: what this run measured replaces what an earlier one did, case by case."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"entries": [], "start": [], "growth": []}
        self.entries: list[Entry] = []
        self.rows: dict[str, list[dict[str, Any]]] = {"start": [], "growth": []}

    def write(self) -> None:
        measured = {(entry.workload, entry.case) for entry in self.entries}
        kept = [entry for entry in self.stored["entries"] if (entry["workload"], entry["case"]) not in measured]
        self.stored["entries"] = sorted([*kept, *(entry.as_json() for entry in self.entries)],
                                        key=lambda entry: int(entry["workload"][1:]))  # a sort keeps the order of cases
        for kind, rows in self.rows.items():
            programs = {row["name"].partition(":")[0] for row in rows}  # all stages of a program are replaced at once
            self.stored[kind] = [row for row in self.stored.get(kind, []) if row["name"].partition(":")[0] not in programs] + rows
        self.stored |= {"processor": _processor(), "system": platform.platform(), "versions": _versions(),
                        "date": datetime.now(UTC).date().isoformat()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.stored, indent=1) + "\n")


class Bench:
    """Compares the contenders of one case, and remembers."""

    def __init__(self, results: Results, probes: dict[str, float], config: pytest.Config) -> None:
        self.results, self.probes = results, probes
        self.seconds, self.alone = config.getoption("--bench-seconds"), config.getoption("--bench-alone")
        self.python = config.getoption("--bench-python")

    def compare(self, workload: str, case: str, ours: Call, hand: Call, rivals: dict[str, Any], *, tolerance: float = 1e-9,
                figure: float | None = None, bound: str = "bandwidth", aside: tuple[str, ...] = ()) -> Entry:
        """Check contenders against the kernel by hand, then time them. `rivals` are functions that build calls."""
        calls, left_out, elsewhere = {OURS: ours, HAND: hand}, {}, {}
        results = {name: call.run() for name, call in calls.items()}
        for name, rival in () if self.alone else rivals.items():
            try:
                if isinstance(rival, Elsewhere):
                    if self.python:
                        results[name], elsewhere[name] = rival.run(self.python, self.seconds / 3)
                    continue
                call = rival()
                results[name] = call.run()
            except Exception as error:  # whatever keeps a library from running here is its reason
                left_out[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else ''}"
            else:
                calls[name] = call
        check(results, tolerance)
        del results
        times = measure(calls, self.seconds) | elsewhere
        entry = Entry(workload, case, times, [name for name in aside if name in calls], left_out, figure, bound,
                      datetime.now(UTC).isoformat(timespec="seconds"), self.probes, os.getloadavg()[0])
        self.results.entries.append(entry)
        return entry

    def record(self, kind: str, row: dict[str, Any]) -> None:
        """Remember a row of another table: "start" or "growth"."""
        self.results.rows[kind].append(row)


_results = pytest.StashKey[Results]()


@pytest.fixture(scope="session")
def _probes() -> dict[str, float]:
    from bench_probes import probe

    return probe()


@pytest.fixture
def bench(request: pytest.FixtureRequest, _probes: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Programs are compiled as users compile them: from the disk cache if they are there, without verifying each pass."""
    monkeypatch.setenv("CHAINRULE_VERIFY", "0")
    monkeypatch.setenv("CHAINRULE_CACHE", "1")
    config = request.config
    if _results not in config.stash:
        config.stash[_results] = Results(config.rootpath / config.getoption("--bench-results"))
    yield Bench(config.stash[_results], _probes, config)
    if not config.getoption("--bench-alone"):
        config.stash[_results].write()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if _results not in config.stash:
        return
    results = config.stash[_results]
    terminal_tables(results.entries, results.rows)
    terminalreporter.write_line(f"results: {results.path}")
