"""Views of what was derived for one signature: formulas, IR, generated code."""
from __future__ import annotations

import inspect
import re
import tokenize
from typing import TYPE_CHECKING, Any

from ...compiler.errors import ArgumentError, DifferentiationError, NotYetError
from ...compiler.provenance import at, user_site
from .execution import Execution, Request

if TYPE_CHECKING:
    from ..report import Report
    from .decorated import GradFunction
    from .traced_program import TracedProgram

__all__ = ["TraceView", "not_yet"]

_KINDS = {"value": "value", "gradient": "gradient", "grad": "gradient", "value_and_gradient": "value_and_gradient",
          "value_and_grad": "value_and_gradient"}
MOST_OF_EQUATION = 60  # nodes
_STAGES = ("traced", "differentiated", "simplified", "scheduled")


def not_yet(what: str, instead: str) -> NotYetError:
    """The error for a part of the contract that is not built yet."""
    return NotYetError(f"{what} is not available yet{at(user_site())}: {instead}")


def _literals(function: Any) -> frozenset[float]:
    """The decimals in a function's code, and in that of the functions inside; not 1/3 and 3/2, whose values Python writes there."""
    known: frozenset[float] | None = getattr(function, "decimals", None)  # of what was parsed
    if known is not None:
        return known
    found: set[float] = set()
    code = getattr(function, "__code__", None)
    todo = [] if code is None else [code]
    while todo:
        for item in todo.pop().co_consts:
            if isinstance(item, float):
                found.add(item)
            elif hasattr(item, "co_consts"):
                todo.append(item)
    return frozenset(found - _of_whole_numbers(code)) if found else frozenset()


def _of_whole_numbers(code: Any) -> set[float]:
    """The values of quotients of whole numbers in a function's source; none where there is no source."""
    try:
        tokens = list(tokenize.generate_tokens(iter(inspect.getsourcelines(code)[0]).__next__))
    except (OSError, TypeError, tokenize.TokenError, SyntaxError):
        return set()
    quotients = set()
    for one, sign, other in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if sign.string == "/" and one.string.isdecimal() and other.string.isdecimal() and int(other.string):
            quotients.add(int(one.string) / int(other.string))
    return quotients - {float(t.string) for t in tokens if t.type == tokenize.NUMBER and "." in t.string and t.string[-1] not in "jJ"}


class TraceView:
    """One signature of a decorated function, for looking at."""

    def __init__(self, function: GradFunction, program: TracedProgram) -> None:
        self._function, self._program = function, program

    def __repr__(self) -> str:
        inputs = ", ".join(f"{n.param('name')}: {n!r}" for n in self._program.graph.inputs)
        return f"<{self._program.name} traced for {inputs}>"

    @property
    def formula(self) -> Any:
        """The value as a formula; of several outputs, the first."""
        return self.output(0)

    def output(self, position: int) -> Any:
        """One of the outputs as a formula."""
        return self._formulas().formula(self._program.graph, position, **self._allowed)

    @property
    def equation(self) -> str | None:
        """LaTeX of the value, as that of a function of its arguments; None where it would fill a page."""
        graph = self._program.graph
        if len(graph) > MOST_OF_EQUATION or len(graph.outputs) != 1:
            return None
        from ...compiler.formula.latex import symbol

        arguments = ", ".join(symbol(str(n.param("name"))) for n in graph.inputs[: self._program.leaves])
        return rf"$\displaystyle {symbol(self._program.name)}\left({arguments}\right) = {self.formula.latex}$"

    def derivative(self, *names: str) -> Any:
        """The formula of the derivative by these arguments, one after the other.

        Raises:
            ArgumentError: there is no argument of that name.
        """
        known = [str(n.param("name")) for n in self._program.graph.inputs[: self._program.leaves]]
        names = names or tuple(known[:1])
        for name in names:
            if name not in known:
                raise ArgumentError(f"{self._program.name} has no argument {name!r}{at(user_site())}; it has {', '.join(known)}")
        return self._formulas().derivative(self._program.graph, *names, **self._allowed)

    @property
    def _allowed(self) -> dict[str, Any]:
        """What the passes may do, the lines that their steps come from, and the decimals that are written there."""
        program = self._program
        captured = {str(n.param("name")): h.fetch for n, h in zip(program.graph.inputs[program.leaves:], program.hidden, strict=True)}
        return {"captured": captured, "stabilise": program.options.stabilise, "fastmath": program.options.fastmath, "lines": program.sites,
                "literals": _literals(self._function.__wrapped__)}

    def _formulas(self) -> Any:
        try:
            from ...compiler import formula  # type: ignore[attr-defined,unused-ignore]
        except ImportError as error:
            raise not_yet(f"the formula of {self._program.name}", ".ir(stage) shows the program") from error
        return formula

    def ir(self, stage: str = "simplified") -> Any:
        """The program at a stage: traced, differentiated, simplified (graphs), or scheduled (the kernels that run).

        Raises:
            ArgumentError: there is no such stage.
        """
        if stage not in _STAGES:
            raise ArgumentError(f"ir({stage!r}){at(user_site())}: the stages are {', '.join(_STAGES)}")
        if stage == "traced":
            return self._program.graph
        execution = self._execution("gradient")
        if stage == "scheduled":
            if execution.program is None:
                raise not_yet("the schedule of an interpreted program", "unset CHAINRULE_TIER")
            return execution.program.scheduled
        return execution.differentiated if stage == "differentiated" else execution.simplified

    def source(self, which: str = "gradient") -> str:
        """The generated code of the value, gradient or value_and_gradient.

        Raises:
            ArgumentError: none of these.
        """
        if which not in _KINDS:
            raise ArgumentError(f"source({which!r}){at(user_site())}: 'value', 'gradient' or 'value_and_gradient' is expected")
        return self._execution(_KINDS[which]).source()

    def explain(self) -> Report:
        """A report of every stage: `print` it, look at it in a notebook, or `.save("loss.html")`."""
        from ..report import Report, gather  # nobody else needs what draws it

        return Report(gather(self, self._function.__wrapped__, self._program, self._function.stats))

    def differentiated(self) -> tuple[Request, Execution]:
        """The latest program with a gradient, which is built if there is none; of the value, where it has no gradient."""
        for request, made in self._program.executions():
            if request.kind in ("gradient", "value_and_gradient"):
                return request, made
        made = self._execution("gradient")
        return next((request, found) for request, found in self._program.executions() if found is made)

    def _chosen(self) -> tuple[int, ...]:
        """The float leaves of the arguments that the decoration names; of all, where it names none."""
        leaves = [(k, re.split(r"[.\[]", str(n.param("name")))[0]) for k, n in enumerate(self._program.graph.inputs[: self._program.leaves])
                  if n.dtype.kind == "f"]
        parameters = self._function._parameters
        names = dict(enumerate(parameters.parameters))
        asked = {names.get(item % len(names), "") if isinstance(item, int) else item for item in parameters.wrt or ()}
        return tuple(k for k, name in leaves if name in asked) or tuple(k for k, _ in leaves)

    def _execution(self, kind: str) -> Execution:
        """The program of a kind for the arguments that the function differentiates; of the value, when there is no gradient."""
        program, wrt = self._program, self._chosen()
        for request, made in program.executions():
            if request.kind == kind:
                return made
        try:
            return program.execution(Request(kind, wrt if kind != "value" else ()))  # type: ignore[arg-type]
        except (DifferentiationError, ValueError):
            return program.execution(Request("value"))
