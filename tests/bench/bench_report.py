"""Results as tables and as a picture.

`python tests/bench/bench_report.py` takes what the last run measured (.benchmarks/results.json), keeps it as the recorded results
beside this file, draws the picture, and rewrites the README's part. `--recorded` draws from what is recorded already.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_harness import HAND, OURS, Entry

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LATEST, RECORDED, PICTURE = ROOT / ".benchmarks" / "results.json", HERE / "recorded.json", HERE / "ratios.svg"
TITLES = {
    "W1": "`3a³ - b²`", "W2": "`x²y + xy` of two floats", "W3": "Rosenbrock", "W4": "logistic regression, 100,000 x 100",
    "W5": "network 784-256-10, batch 256, float32", "W6": "Black-Scholes, price and five greeks, 1e6 options",
    "W7": "Lennard-Jones energy and forces", "W8": "row-wise logsumexp, 10,000 x 1,000", "W9": "kinematic chain, 20 joints, scalar code",
    "W11": "Hessian, 50 variables", "W12": "gradient of six variables, 1e6 rows", "W13": "attention, 512 x 64, float32",
    "W14": "training step by Tensors and SGD, float32",
    "W15": "descents in a loop compiled by numba",
}
BUSY = 2.0  # the load average of the benchmark itself stays below
BEGIN, END = "<!-- benchmarks: begin (written by tests/bench/bench_report.py) -->", "<!-- benchmarks: end -->"


def seconds(value: float | None) -> str:
    """Three digits and a unit."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def statistic(entries: Sequence[Entry]) -> str:
    """Which turn's time is shown: the median one's; the fastest one's where other programs kept the machine busy."""
    return "min" if max((entry.load for entry in entries), default=0.0) > BUSY else "median"


def summary(entry: Entry, of: str) -> list[str]:
    """workload, case, ours, by hand, ours / hand, best rival, its name, ours / best rival."""
    best = entry.best_rival(of)
    hand = None if HAND in entry.aside else HAND

    def pair(other: str | None) -> list[str]:
        return [seconds(getattr(entry.times[other], of)), ratio(entry.ratio(other, of))] if other else ["-", "-"]

    rival_time, rival_ratio = pair(best)
    return [entry.workload, entry.case, seconds(getattr(entry.times[OURS], of)), *pair(hand), rival_time, best or "-", rival_ratio]


SUMMARY = ["", "case", "chainrule", "by hand", "ratio", "best rival", "", "ratio"]
START = ["program", "empty cache", "full cache"]


def start_row(row: dict[str, Any]) -> list[str]:
    return [row["name"], seconds(row["cold"]), seconds(row["warm"])]


def growth_row(row: dict[str, Any]) -> list[str]:
    return [row["name"], *map(seconds, row["seconds"]), f"n^{row['exponent']:.2f}"]


def terminal_tables(entries: Sequence[Entry], rows: dict[str, list[dict[str, Any]]]) -> None:
    """Print what a run measured: all contenders, medians and fastest turns, and the figure that a kernel by hand should reach."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 130)

    def show(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left")
        for position, column in enumerate(columns):
            table.add_column(column, justify="left" if position < 2 and column in ("", "case", "contender") else "right")
        for line in lines:
            table.add_row(*line)
        console.print(table)

    for entry in entries:
        lines = []
        for name, timing in sorted(entry.times.items(), key=lambda item: item[1].median):
            note = "not compared with" if name in entry.aside else f"figure, scaled: {seconds(entry.expected())}" if name == HAND else ""
            lines.append([name, seconds(timing.median), seconds(timing.min), str(timing.turns), ratio(entry.ratio(name)), note])
        lines += [[name, "-", "-", "-", "-", f"left out: {reason}"] for name, reason in entry.left_out.items()]
        show(f"{entry.workload}: {entry.case}", ["contender", "median", "fastest", "turns", "chainrule / it", "note"], lines)
    if entries:
        show("all, medians", SUMMARY, [summary(entry, "median") for entry in entries])
        show("all, fastest turns", SUMMARY, [summary(entry, "min") for entry in entries])
        probes = entries[0].probes
        console.print(f"probes: {probes['bandwidth']:.1f} GB/s copying, {probes['flops']:.0f} GFlop/s")
    if rows["start"]:
        show("from interpreter start to the first gradient", START, list(map(start_row, rows["start"])))
    if rows["growth"]:
        for sizes in sorted({tuple(row["sizes"]) for row in rows["growth"]}):
            chosen = [growth_row(row) for row in rows["growth"] if tuple(row["sizes"]) == sizes]
            show("growth of every stage", ["", *(f"{size:,}" for size in sizes), "growth"], chosen)


def markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---" if column in ("", "case", "program", "workload") else "---:" for column in columns]
    return "\n".join("| " + " | ".join(line) + " |" for line in (columns, rule, *lines))


def markdown(stored: dict[str, Any]) -> str:
    """The tables and the machine, as the README shows them."""
    entries = [Entry.from_json(entry) for entry in stored["entries"]]
    lines, of = [], statistic(entries)
    for entry in entries:
        _, case, *rest = summary(entry, of)
        best = f"{rest[3]} ({rest[4]})" if rest[4] != "-" else "-"
        lines.append([f"{TITLES[entry.workload]}: {case}" if case else TITLES[entry.workload], rest[0], rest[1], rest[2], best, rest[5]])
    parts = [markdown_table(["workload", "chainrule", "by hand", "ours / hand", "best rival", "ours / rival"], lines)]
    if stored.get("start"):
        parts.append("From the start of the interpreter to the first gradient, all imports included:")
        parts.append(markdown_table(START, list(map(start_row, stored["start"]))))
    for row in stored.get("growth", []):
        program, _, stage = row["name"].rpartition(": ")
        if stage == "total":
            sizes = ", ".join(f"{size:,}" for size in row["sizes"])
            times = ", ".join(map(seconds, row["seconds"]))
            stages = [(name, r) for r in stored["growth"] for of_program, _, name in [r["name"].rpartition(": ")]
                      if of_program == program and r is not row and r["seconds"][-1] > 0.01 * row["seconds"][-1]]
            by_stage = ", ".join(f"{name} {r['exponent']:.2f}" for name, r in stages)
            parts.append(f"Compiling without a cache, {program} {sizes}: {times} (grows as n^{row['exponent']:.2f}; "
                         f"exponents by stage: {by_stage}).")
    parts.append(machine(stored))
    if of == "min":
        parts.append("Other programs were running meanwhile, so the times are those of each one's fastest turn, not medians. "
                     "What waits for OpenBLAS's threads (network, attention) suffers most from them, on both sides.")
    return "\n\n".join(parts)


def machine(stored: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in stored["versions"].items())
    return f"Measured on {stored['date']}: {stored['processor']}; {versions}."


def draw(stored: dict[str, Any], path: Path) -> None:
    """Each case a line, each contender a mark: how many times as long as chainrule it takes, on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("svg" if path.suffix == ".svg" else "agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "chainrule", "font.size": 8})
    entries = [Entry.from_json(entry) for entry in stored["entries"]]
    marks = {HAND: ("k", "|"), "JAX": ("tab:green", "o"), "torch": ("tab:orange", "s"), "torch.compile": ("tab:red", "D")}
    others = ("tab:blue", "^")
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.19 * len(entries)), layout="constrained")
    shown, of = set(), statistic(entries)
    for line, entry in enumerate(entries):
        for name in (HAND, *entry.rivals(), *(name for name in entry.aside if name != HAND)):
            if name == HAND and HAND in entry.aside:
                continue
            color, mark = marks.get(name, others)
            label = "by hand (numba)" if name == HAND else name if name in marks else "other"
            size, edge = (9, 2) if mark == "|" else (4, 0)
            axes.plot(1 / entry.ratio(name, of), line, mark, color=color, markersize=size, markeredgewidth=edge,
                      label=None if label in shown else label)
            shown.add(label)
    axes.axvline(1, color="tab:blue", linewidth=1)
    axes.axvspan(1 / 1.25, 1, color="tab:blue", alpha=0.1, linewidth=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(entries)), [f"{entry.workload}  {entry.case or TITLES[entry.workload]}" for entry in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("time of a call, chainrule = 1: further right is slower")
    axes.set_title(f"{stored['processor']}, {stored['date']}, " + ", ".join(
        f"{name} {stored['versions'][name]}" for name in ("numba", "jax", "torch") if name in stored["versions"]), fontsize=8)
    figure.legend(loc="outside lower center", ncols=5, fontsize=7)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def rewrite(path: Path, text: str) -> None:
    """Put `text` between the markers of a file."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no line {BEGIN!r} followed by {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main(arguments: Sequence[str]) -> None:
    if "--recorded" not in arguments:
        RECORDED.write_text(LATEST.read_text())
    stored = json.loads(RECORDED.read_text())
    draw(stored, PICTURE)
    picture = f"![How long contenders take, by workload]({PICTURE.relative_to(ROOT).as_posix()})"
    rewrite(ROOT / "README.md", f"{picture}\n\n{markdown(stored)}")


if __name__ == "__main__":
    main(sys.argv[1:])
