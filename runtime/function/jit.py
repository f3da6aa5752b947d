"""`loss.jit`: the function and its derivatives as numba functions, for loops that are compiled.

Each is a dispatcher of numba's around one call of an intrinsic. When numba types that call, the function is traced for the types of
the arguments: they say ranks and dtypes, and sizes are symbols. What a trace relies on of sizes is checked where it runs.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler import derivation
from ...compiler.assemble import planned
from ...compiler.errors import ArgumentError, ChainruleError, LoweringError
from ...compiler.ir import Node
from ...compiler.jit_code import compile_functions, inlinable, linkable_functions
from ...compiler.provenance import at, user_site
from ...compiler.trace import Session
from .captures import CaptureChangedError
from .derivatives import Chosen, request_of
from .direct import WHOLE_FORMS, IndirectError, result_of
from .jit_calls import Call, Leaf, Variant, is_static, leaves_of, numba_function, numbas, result_type
from .signature import Bound, Flat
from .specification import Spec
from .structure import Tree

if TYPE_CHECKING:
    from .decorated import GradFunction
    from .traced_program import TracedProgram

__all__ = ["JitFunctions"]

# Examples of sizes, where no call has left better ones: one of them for all axes. The first has many divisors, and small ones serve
# functions that take an array apart.
HINTS = (12, 60, 2, 3, 4, 5, 6, 7, 8, 9, 10)
MOST_VARIANTS = 4  # programs that one call chooses from
_kept: list[Any] = []  # code and captured arrays: numba never frees what it has compiled


class JitFunctions:
    """The numba functions of a decorated function: `.value`, `.grad`, `.value_and_grad`, `.jacobian`, `.hessian`.

    They take the function's own arguments and return what its methods of these names return; a tuple of gradients is a tuple. They
    may be called from code compiled by `numba.njit`, with `nogil`, `parallel` or `cache`, passed to it as arguments, or called from
    Python. A float is a Python float; lists and dicts are tuples in numba's world.
    """

    def __init__(self, function: GradFunction) -> None:
        self._function = function
        self._made: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<numba functions of {self._function._name}: {', '.join(WHOLE_FORMS)}>"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *WHOLE_FORMS]

    def __getattr__(self, name: str) -> Any:
        if name not in WHOLE_FORMS:
            raise AttributeError(f"{self._function._name}.jit has no {name!r}; it has {', '.join(WHOLE_FORMS)}")
        with self._function._lock:
            if name not in self._made:
                self._made[name] = self._dispatcher(name)
            return self._made[name]

    def _dispatcher(self, form: str) -> Any:
        function = self._function
        names, star, defaults = _parameters(function)
        return numba_function(function, form, names, star, defaults, _Typed(function, form).call)


def _parameters(function: GradFunction) -> tuple[list[str], str, dict[str, Any]]:
    """The names of parameters, that of `*name`, and defaults; those for keywords only keep their defaults.

    Raises:
        ArgumentError: numba cannot call such a function.
    """
    names, star, defaults = [], "", {}
    if function._parameters.signature is None:
        raise ArgumentError(f"{function._name} has no signature, so there is no numba function of it{at(user_site())}")
    for parameter in list(function._parameters.parameters.values())[len(function._prefix):]:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            star = parameter.name
        elif parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
            if parameter.default is not parameter.empty:
                defaults[parameter.name] = parameter.default
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise ArgumentError(f"{function._name} takes {parameter.name!r} by keyword only, which numba functions cannot{at(user_site())}")
    return names, star, defaults


class _Example(Spec):
    """An array of a rank and dtype, with a size that is tried for its axes."""

    def __init__(self, ndim: int, dtype: np.dtype[Any], hint: int) -> None:
        super().__init__((hint,) * ndim, dtype)

    def make_input(self, session: Session, name: str, promise: str) -> Node:
        return session.input([size for size in self.sizes if isinstance(size, int)], self.dtype, name, promise=promise)


class _Typed:
    """One method of a decorated function, for any types of arguments."""

    def __init__(self, function: GradFunction, form: str) -> None:
        self.function, self.form = function, form
        self._calls: dict[tuple[Any, ...], Call] = {}

    def call(self, numba_types: tuple[Any, ...], generator: Any) -> Call:
        """What calls with arguments of these types do.

        Raises:
            ChainruleError: they cannot be compiled.
        """
        if numba_types not in self._calls:
            self._calls[numba_types] = self._made(numba_types, generator)
        return self._calls[numba_types]

    def _made(self, numba_types: tuple[Any, ...], generator: Any) -> Call:
        leaves = leaves_of(numba_types)
        programs, bound, flat = self._programs(numba_types)
        variants = [self._variant(program, bound, flat, leaves, generator) for program in programs]
        returned = {result_type(v.result, v.layout.outputs) for v in variants}
        if len(returned) > 1:
            variants, returned = variants[:1], {result_type(variants[0].result, variants[0].layout.outputs)}
        _kept.append(variants)
        function = self.function
        return Call(f"{function._name}.jit.{self.form}", leaves, variants, returned.pop())

    # ------------------------------------------------------------------------------------------- tracing
    def _arguments(self, numba_types: tuple[Any, ...], hint: int) -> tuple[Bound, Flat]:
        types, function = numbas("core.types"), self.function
        values = [*function._prefix, *(_example(t, hint) for t in numba_types)]
        bound = function._parameters.bind(tuple(values), {})
        first = len(function._prefix)
        given = [not isinstance(t, types.Omitted) for t in numba_types]
        bound = bound._replace(passed=(*bound.passed[:first], *given, *bound.passed[first + len(given):]))
        traced = [label for label, t in zip(bound.labels[first:], numba_types, strict=False) if not is_static(t)]
        return bound, function._parameters.flatten(bound, first, traced)

    def _programs(self, numba_types: tuple[Any, ...]) -> tuple[list[TracedProgram], Bound, Flat]:
        """Programs of such arguments: those of earlier calls, the more special ones first; else a new one."""
        function = self.function
        bound, flat = self._arguments(numba_types, HINTS[0])
        general: list[TracedProgram] = []
        special: list[TracedProgram] = []
        for key, programs in list(function._programs.items()):
            if key[:2] == flat.key[:2] and tuple(map(_of_any_sizes, key[2])) == tuple(map(_of_any_sizes, flat.key[2])):
                (general if key == flat.key else special).extend(p for p in programs if not p.captures.changed())
        if not general:
            general = [self._traced(numba_types)]
        return [*special[:MOST_VARIANTS - 1], *general][:MOST_VARIANTS], bound, flat

    def _traced(self, numba_types: tuple[Any, ...]) -> TracedProgram:
        failed: Exception | None = None
        for hint in HINTS:
            try:
                return self.function._traced(*self._arguments(numba_types, hint))
            except (ChainruleError, ValueError, IndexError, TypeError) as error:
                failed = failed or error
            if not any(leaf.ndim for leaf in leaves_of(numba_types)):
                break
        assert failed is not None
        listed = ", ".join(map(str, numba_types))
        raise ArgumentError(f"{self.function._name} cannot be traced for ({listed}) with any sizes that were tried: {failed}. "
                            "Where it needs particular sizes, call it once from Python with such arrays first") from failed

    # ------------------------------------------------------------------------------------------- compiling
    def _variant(self, program: TracedProgram, bound: Bound, flat: Flat, leaves: Sequence[Leaf], generator: Any) -> Variant:
        function, form = self.function, self.form
        chosen = None if form == "value" else Chosen.of(function._parameters, bound, flat, None)
        try:
            result = result_of(program, form, chosen)
        except IndirectError:
            raise ArgumentError(f"{function._name} returns a structure that numba has not: return arrays, numbers and "
                                "tuples of them") from None
        request = request_of(form, program, chosen)
        graph = derivation.derive(program.graph, request, program.options)[1]
        plan, steps = planned(graph, request)
        try:
            captured = [np.asarray(hidden.fetch()) for hidden in program.hidden]
            if inlinable(graph):
                library, layout, symbol = linkable_functions(plan, steps, generator)
                return Variant(layout, result, captured, symbol, library, None)
            functions, layout = compile_functions(plan, steps)
            return Variant(layout, result, captured, "", None, functions)
        except LoweringError as error:
            raise ArgumentError(f"{function._name}.jit.{form} cannot run without Python: {error}") from error
        except CaptureChangedError as error:
            raise ArgumentError(f"{function._name}.jit.{form}: {error}") from error


def _of_any_sizes(tree: Tree) -> Tree:
    """A structure without which axes have size 1."""
    children = tuple(map(_of_any_sizes, tree.children))
    return tree._replace(info=tree.info[:2] if tree.kind == "array" else tree.info, children=children)


def _example(numba_type: Any, hint: int) -> Any:
    """An argument of this type, for a trace."""
    types = numbas("core.types")

    if isinstance(numba_type, types.Omitted):
        return numba_type.value
    if isinstance(numba_type, types.Literal):
        return numba_type.literal_value
    if isinstance(numba_type, types.NoneType):
        return None
    if isinstance(numba_type, types.BaseTuple):
        items = [_example(t, hint) for t in numba_type]
        made: Callable[..., Any] = getattr(numba_type, "instance_class", tuple)
        return made(*items) if hasattr(made, "_fields") else tuple(items)
    leaf = Leaf.of(numba_type)
    if leaf.ndim is None:
        return 1.5 if leaf.dtype == np.float64 else 1 if leaf.dtype == np.int64 else Spec((), leaf.dtype)
    return _Example(leaf.ndim, leaf.dtype, hint)


