"""Loops, branches and checkpoints of exported programs: functions of Python source for their bodies, and for their loops.

What numba can compile as a whole has `@_compiled`: kernels, loops and branches. A body with routines of NumPy's (linear algebra,
sorting) runs in Python, as the loop around it does.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .emit_source import size_text
from .export_text import scalar_type, statement, tuple_text
from .ir import Node
from .sizes import bindings

if TYPE_CHECKING:
    from .export_source import Exported
    from .ir import Graph

__all__ = ["run"]

FIRST = 64  # states of a loop of unknown length that there is room for at first


def run(exported: Exported, node: Node, operands: Sequence[str]) -> tuple[str, bool]:
    """An expression for an op with bodies, of its operands; and whether numba compiles it in other functions."""
    return _RUNS[node.op.runs](exported, node, list(operands))


def _further(node: Node, body: Graph) -> dict[str, str]:
    """The sizes that a body reads and its inputs do not have: their names in it, and what they are where it is called."""
    known = bindings([x.shape for x in body.inputs]).keys()
    return {name: size_text(size) for name, size in zip(node.param("names"), node.param("values"), strict=True)
            if name not in known and name in body.symbols()}


def _once(exported: Exported, node: Node, operands: list[str]) -> tuple[str, bool]:
    chooses = operands[0]
    bodies: list[Graph] = [node.param(name) for name in node.op.bodies]
    given = operands[len(operands) - len(bodies[0].inputs):]
    calls, compiled = [], True
    for body in bodies:
        further = _further(node, body)
        name, itself = exported.function(body, list(further))
        calls.append(f"{name}({', '.join([*given, *further.values()])})")
        compiled = compiled and itself
    return (calls[0] if len(calls) == 1 else f"{calls[0]} if {chooses}[()] else {calls[1]}"), compiled


def _loop(exported: Exported, node: Node, operands: list[str], kind: str, rows: int, lines: Callable[[str, str], list[str]],
          ) -> tuple[str, bool]:
    """A function of a loop: `lines` are its statements, from how a step is called (with `{}` for the state) and the dtype."""
    body: Graph = node.param("body")
    further = _further(node, body)
    step, compiled = exported.function(body, list(further))
    walked = [f"rows_{k}" for k in range(rows)]
    constants = [f"given_{k}" for k in range(len(operands) - 1 - rows)]
    parts = [f"np.asarray({name}[k])" if x.ndim == 0 else f"{name}[k]" for name, x in zip(walked, body.inputs[1:], strict=False)]
    nothing = [] if rows else ["nothing"]
    calling = f"{step}({', '.join(['{}', *parts, *nothing, *constants, *further])})"
    made = lines(calling, scalar_type(node.dtype))
    head = ["state", *walked, *constants, *further]
    name = exported.add(kind, head, made, compiled)
    return f"{name}({', '.join([*operands, *further.values()])})", compiled


def _rows(exported: Exported, node: Node, operands: list[str]) -> tuple[str, bool]:
    def every(step: str, dtype: str) -> list[str]:
        return [*statement(1, f"states = np.empty({_states('rows_0.shape[0] + 1', node)}, np.{dtype})"),
                *statement(1, "states[0] = state"), *statement(1, "for k in range(rows_0.shape[0]):"),
                *statement(2, f"states[k + 1] = {step.format('states[k]')}"), *statement(1, "return states")]

    def last(step: str, dtype: str) -> list[str]:
        return [*statement(1, "state = state.copy()"), *statement(1, "for k in range(rows_0.shape[0]):"),
                *statement(2, f"state = {step.format('state')}"), *statement(1, "return state")]

    return _loop(exported, node, operands, "scan", node.param("rows"), last if node.param("last") else every)


def _until(exported: Exported, node: Node, operands: list[str]) -> tuple[str, bool]:
    def nothing(dtype: str) -> list[str]:
        return statement(1, f"nothing = np.empty(0, np.{dtype})")

    def goes_on(state: str) -> str:
        return f"{state}[-1] != 0.0" if node.inputs[0].ndim == 1 else f"np.any({state}[..., -1] != 0.0)"

    def every(step: str, dtype: str) -> list[str]:
        return [*nothing(dtype), *statement(1, f"states = np.empty({_states(str(FIRST), node)}, np.{dtype})"),
                *statement(1, "states[0] = state"), *statement(1, "k = 0"), *statement(1, f"while {goes_on('states[k]')}:"),
                *statement(2, "if k + 1 == states.shape[0]:"),
                *statement(3, f"more = np.empty({_states('2 * states.shape[0]', node)}, np.{dtype})"),
                *statement(3, "more[: k + 1] = states"), *statement(3, "states = more"),
                *statement(2, f"states[k + 1] = {step.format('states[k]')}"), *statement(2, "k += 1"),
                *statement(1, "return states[: k + 1].copy()")]

    def last(step: str, dtype: str) -> list[str]:
        return [*nothing(dtype), *statement(1, "state = state.copy()"), *statement(1, f"while {goes_on('state')}:"),
                *statement(2, f"state = {step.format('state')}"), *statement(1, "return state")]

    return _loop(exported, node, operands, "while", 0, every if node.op.binds else last)


def _states(count: str, node: Node) -> str:
    return tuple_text([count, *(f"state.shape[{axis}]" for axis in range(node.inputs[0].ndim))])


_RUNS: Mapping[str, Callable[[Exported, Node, list[str]], tuple[str, bool]]] = {"once": _once, "rows": _rows, "until": _until}
