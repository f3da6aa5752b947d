"""Direct calls: after a first call by the ordinary way, calls of the same kind go straight into emitted code.

Only calls whose program depends on nothing but their positional arguments: floats and arrays one by one, other arguments by
identity, nothing captured that would have to be looked at again. Whatever does not match goes the ordinary way.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...compiler.entry_spec import ArrayArgument, EntrySpec, FloatArgument, IgnoredArgument
from .execution import Request

if TYPE_CHECKING:
    from .decorated import Call
    from .derivatives import Chosen
    from .traced_program import TracedProgram

__all__ = ["DIRECT_METHODS", "DirectCalls", "entry_spec"]

DIRECT_METHODS = ("grad", "value_and_grad")
MOST_PROGRAMS = 4  # of one function and method; further ones are called the ordinary way


def entry_spec(call: Call, request: str, chosen: Chosen | None) -> EntrySpec | None:
    """How calls like this one map to the program's inputs and outputs; None where they cannot be made directly.

    Args:
        request: "value", "gradient" or "value_and_gradient".
        chosen: the differentiated arguments of a gradient.
    """
    bound, flat, program = call.bound, call.flat, call.program
    if bound.positional != len(bound.labels) or not all(bound.passed) or program.hidden or program.captures.watches_anything:
        return None
    arguments: list[Any] = []
    for tree, value, start in zip(flat.trees, bound.values, flat.starts, strict=True):
        if tree.kind == "weak" and type(value) is float:
            arguments.append(FloatArgument(start))
        elif tree.kind == "array" and value is flat.leaves[start]:
            arguments.append(ArrayArgument(start))
        elif tree.kind == "static":
            arguments.append(IgnoredArgument(value))
        else:
            return None
    if program.result.kind not in ("traced", "array", "weak"):  # a structure of outputs
        return None
    if chosen is None:
        return EntrySpec(tuple(arguments), 0)
    if any(tree.kind not in ("weak", "array") for tree in chosen.trees):
        return None
    first = 1 if request == "value_and_gradient" else 0
    places = range(first, first + len(chosen.leaves))
    gradients = tuple(places) if chosen.wrapped else places[0]
    return EntrySpec(tuple(arguments), (0, gradients) if first else gradients)


class DirectCalls:
    """The direct functions of one decorated function.

    Attributes:
        value: of the call itself; those of methods stand in the function's own dictionary.
    """

    def __init__(self) -> None:
        self.value: Callable[..., Any] | None = None
        self._made: dict[str, dict[TracedProgram, Callable[..., Any]]] = {}

    def entry(self, program: TracedProgram, request: Request, slow: Callable[..., Any], name: str) -> Callable[..., Any] | None:
        """The direct function for a request, made for this program and those before it; None where there is none.

        What one program's entry does not take is handed to that of the program before, and the last one's to `slow`.
        """
        made = self._made.setdefault(name, {})
        if program not in made:
            compiled = program.built(request).program
            if compiled is None or compiled.entry is None or len(made) >= MOST_PROGRAMS:
                return next(reversed(made.values()), None)
            made[program] = compiled.entry(next(reversed(made.values()), slow), name)
            program.stats.entries.append(made[program])
        return next(reversed(made.values()))
