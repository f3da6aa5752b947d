"""The decorated function: what `@grad` makes of a function of NumPy code."""
from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.entry_spec import EntrySpec
from ...compiler.errors import ArgumentError, ChainruleError, DifferentiationError
from ...compiler.pipeline import Kind, Options, Request
from ...compiler.provenance import at, user_site
from ...compiler.trace import active_session, is_traced
from . import derivatives, inline
from .captures import CaptureChangedError
from .derivatives import Chosen
from .direct import DIRECT_METHODS, DirectCalls, Method, Sizes, entry_spec
from .execution import Execution
from .inspection import TraceView
from .integers import Integers
from .signature import Bound, Flat, Parameters, describe
from .specification import Spec
from .stats import Stats
from .structure import Tree, unflatten
from .tensors import answered, apply, without_tensors
from .traced_program import TracedProgram, trace_call

if TYPE_CHECKING:
    from pathlib import Path

    from .jit import JitFunctions

__all__ = ["Call", "GradFunction", "grad"]

MAX_SIGNATURES = 128  # programs kept for one function; the least recently used go first
MAX_INSTANCES = 16  # whose methods are kept; programs keep instances as well
MAX_VARIANTS = 16  # programs of one signature that differ in guards


class Call:
    """One call: its arguments taken apart, and the program that serves it."""

    __slots__ = ("arrays", "bound", "flat", "function", "given", "program", "request")

    def __init__(self, function: GradFunction, bound: Bound, flat: Flat, program: TracedProgram, arrays: list[Any]) -> None:
        self.function, self.bound, self.flat, self.program, self.arrays = function, bound, flat, program, arrays
        self.given: Any = None  # of a jvp or hvp, its arguments as they were given
        self.request = Request("value")  # the latest

    def run(self, kind: Any, wrt: tuple[int, ...] = (), extra: Sequence[Any] = (), entry: EntrySpec | None = None,
            out: Sequence[Any] | None = None) -> list[Any]:
        """The outputs of a request.

        Args:
            extra: its further inputs.
            entry: how such calls may be made directly.
            out: an array, or None, for each output, which is written into it.
        """
        return self.execution(kind, wrt, extra, entry).run([*self.arrays, *extra], out)

    def execution(self, kind: Kind, wrt: tuple[int, ...] = (), extra: Sequence[Any] = (), entry: EntrySpec | None = None) -> Execution:
        """The program of a request, for arrays that lie in memory as these do."""
        self.request = self.program.request(kind, wrt, [*self.arrays, *extra])
        return self.program.execution(self.request, entry and replace(entry, orders=self.request.orders))

    def structured(self, outputs: Sequence[Any]) -> Any:
        """Outputs in the structure that the function returned."""
        return unflatten(self.program.result, iter([scalar(a) for a in outputs]))


def scalar(array: Any) -> Any:
    """A 0-d array as a NumPy scalar; any other as it is."""
    return array[()] if array.ndim == 0 else array


class GradFunction:
    """A function of NumPy code that is compiled, and that knows its derivatives.

    Calling it gives the value. `.grad`, `.value_and_grad`, `.jacobian`, `.hessian`, `.vjp`, `.jvp`, `.hvp` differentiate it.
    `.formula`, `.derivative`, `.ir`, `.source`, `.trace` and `.stats` show what was derived and done.
    `.jit` has the same functions for code compiled by numba, and `.export` writes them to a module of their own.
    """

    __wrapped__: Callable[..., Any]
    _name: str

    def __init__(self, function: Callable[..., Any], wrt: Any = None, stabilise: bool = True, fastmath: bool = False,
                 assume: Mapping[str, str | Sequence[str]] | None = None) -> None:
        if isinstance(function, GradFunction):
            function = function.__wrapped__
        if not callable(function):
            raise ArgumentError(f"grad decorates a function, not {describe(function)}{at(user_site())}")
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self._name = getattr(function, "__qualname__", None) or type(function).__qualname__
        self._name = self._name.rpartition("<locals>.")[2]
        self._parameters = Parameters(function, self._name, wrt)
        self._options = Options(stabilise=stabilise, fastmath=fastmath)
        self._promises = self._parameters.promises(assume or {})
        self._prefix: tuple[Any, ...] = ()
        self._programs: OrderedDict[tuple[Any, ...], list[TracedProgram]] = OrderedDict()
        self._integers = Integers(self._name)
        self._lock = threading.RLock()
        self._direct = DirectCalls()
        self._jit: JitFunctions | None = None
        self._methods: dict[int, GradFunction] = {}  # of instances, by their ids
        self.__dict__.update({name: Method.of(getattr(self, name)) for name in DIRECT_METHODS})
        self.stats = Stats()

    def __get__(self, instance: Any, owner: Any = None) -> GradFunction:
        if instance is None:
            return self
        found = self._methods.get(id(instance))  # what is found holds its instance, so nothing else has its id
        return self._bound_to(instance) if found is None else found

    def _bound_to(self, instance: Any) -> GradFunction:
        """The method of an instance: it shares programs and statistics with the function, and has direct calls of its own."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._prefix, made._direct, made._jit = (instance,), DirectCalls(), None
        for name in DIRECT_METHODS:
            del made.__dict__[name]
        made.__dict__.update({name: Method.of(getattr(made, name)) for name in DIRECT_METHODS})
        with self._lock:
            while len(self._methods) >= MAX_INSTANCES:
                del self._methods[next(iter(self._methods))]
            return self._methods.setdefault(id(instance), made)

    def __repr__(self) -> str:
        return f"<grad of {self._name}{self._parameters.signature or '(...)'}>"

    def _repr_latex_(self) -> str | None:
        """In notebooks, a function that was called is its formula, if that is short enough to be read."""
        return self._latest().equation if self._programs else None

    def __reduce__(self) -> Any:
        raise TypeError(f"{self._name} is decorated and cannot be pickled: pickle the undecorated function, {self._name}.__wrapped__, "
                        "and decorate it again")

    # ------------------------------------------------------------------------------------------------ calls
    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Bound, Flat]:
        bound = self._parameters.bind(self._prefix + args if self._prefix else args, kwargs)
        return bound, self._parameters.flatten(bound, len(self._prefix), self._integers.traced)

    def _found(self, bound: Bound, flat: Flat) -> Call:
        """The program for these arguments, traced if there is none."""
        program, arrays, _ = self._lookup(flat)
        if program is None or arrays is None:
            with self._lock:  # another thread may have traced it meanwhile
                program, arrays, reason = self._lookup(flat)
                if program is None or arrays is None:
                    self.stats.miss(reason or self._difference(bound, flat))
                    flat, program = self._with_integers(bound, flat)
                    arrays = [*flat.leaves, *program.hidden_arrays()]
        return Call(self, bound, flat, program, arrays)

    def _with_integers(self, bound: Bound, flat: Flat) -> tuple[Flat, TracedProgram]:
        """A new program; integers that keep changing are traced where the function allows it."""
        for label in self._integers.changing(bound, flat, len(self._prefix)):
            self._integers.traced.add(label)
            wider = self._parameters.flatten(bound, len(self._prefix), self._integers.traced)
            try:
                return wider, self._traced(bound, wider)
            except ChainruleError as error:
                self._integers.refuse(label, error)
        return flat, self._traced(bound, flat)

    def _traced(self, bound: Bound, flat: Flat) -> TracedProgram:
        """A new program, which is kept as the first of its signature."""
        program = trace_call(self.__wrapped__, self._name, bound, flat, self._options, self.stats, self._promises)
        variants = self._programs.setdefault(flat.key, [])
        variants.insert(0, program)
        del variants[MAX_VARIANTS:]
        self._programs.move_to_end(flat.key)
        if len(self._programs) > MAX_SIGNATURES:
            self._programs.popitem(last=False)
        return program

    def _lookup(self, flat: Flat) -> tuple[TracedProgram | None, list[Any] | None, str]:
        """A program whose guards hold, with its arrays; or why the nearest one does not serve."""
        reason = ""
        for program in self._programs.get(flat.key, ()):
            why = program.captures.changed()
            if not why:
                try:
                    arrays = [*flat.leaves, *program.hidden_arrays()]
                except CaptureChangedError as error:
                    why = str(error)
                else:
                    why = program.mismatch(arrays)
                    if not why:
                        return program, arrays, ""
            reason = reason or why
        return None, None, reason

    def _difference(self, bound: Bound, flat: Flat) -> str:
        """How a new signature differs from the latest one."""
        if not self._programs:
            return "first call"
        labels, _, trees = next(reversed(self._programs))
        if labels != bound.labels:
            return f"arguments ({', '.join(bound.labels)}) instead of ({', '.join(labels)})"
        changed = [f"{label}: {signature_text(new)} instead of {signature_text(old)}"
                   for label, old, new in zip(labels, trees, flat.trees, strict=True) if old != new]
        return "; ".join(changed) or "the call is made differently"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value, compiled: NumPy arrays and scalars, or Tensors where an argument is one."""
        direct = self._direct.value
        return self._value(*args, **kwargs) if direct is None else direct(*args, **kwargs)

    def _value(self, *args: Any, **kwargs: Any) -> Any:
        bound, flat = self._arguments(args, kwargs)
        if inside_trace(flat):
            return inline.call(self, self._prefix + args, kwargs)
        plain, with_tensors = without_tensors(flat)
        call = self._found(bound, plain)
        if not with_tensors:
            entry = entry_spec(call, "value", kwargs)
            result = call.structured(call.run("value", entry=entry))
            if entry is not None:
                self._direct.value = self._direct.entry(call.program, call.request, self._value, self._name)
            return result
        outputs = apply(call.program.differentiable, [*flat.leaves, *call.arrays[len(flat.leaves):]])
        return unflatten(call.program.result, iter(outputs))

    def _answer(self, bound: Bound, flat: Flat, chosen: Chosen, wrt: Any, derive: Callable[[Call, Chosen], Any]) -> Any:
        """What is derived of a call; Tensors where the arguments are."""
        plain, with_tensors = without_tensors(flat)
        call = self._found(bound, plain)
        if call.flat is not plain:  # an integer has become an input
            chosen = Chosen.of(self._parameters, bound, call.flat, wrt)
        return answered(derive(call, chosen), with_tensors)

    def _directly(self, method: str, call: Call, entry: EntrySpec | None, sizes: Sizes | None = None) -> None:
        """Let the next call like this one go directly, where it may; with `sizes`, only one with known shapes."""
        if entry is not None:
            slow = self.__dict__[method].method
            made = self._direct.entry(call.program, call.request, slow, f"{self._name}.{method}")
            if made is not None:
                self.__dict__[method].retarget(made if sizes is None else sizes.only(made, slow))

    def _directly_for_sizes(self, method: str, kind: Kind | None, args: tuple[Any, ...], call: Call, chosen: Chosen,
                            entry: EntrySpec | None) -> None:
        """The same for a whole matrix, which for other sizes may be computed in another way: the first way is the direct one."""
        if entry is not None and kind is not None:
            ways = self._direct.sizes.setdefault(method, {})
            if not ways or kind in ways:
                sizes = ways.setdefault(kind, Sizes())
                sizes.passed(args)
                self._directly(method, call, entry, sizes)

    # ------------------------------------------------------------------------------------------------ derivatives
    def grad(self, *args: Any, wrt: Any = None, out: Any = None, **kwargs: Any) -> Any:
        """Gradients of the scalar output: a tuple, or the bare gradient when one argument is differentiated.

        Each gradient has the shape and dtype of its argument.

        Args:
            *args, **kwargs: what the function is called with.
            wrt: names or positions of the arguments to differentiate by, for this call; default: those of the decoration.
            out: arrays to write the gradients into, in the form of the result, with None where one is to be made.

        Raises:
            DifferentiationError: the output is not one floating scalar, or an argument has no derivative.
            ArgumentError, ShapeError, DTypeError: an array of `out` is not like its gradient.
        """
        return self._value_and_grad(args, kwargs, wrt, out, False)

    def value_and_grad(self, *args: Any, wrt: Any = None, out: Any = None, **kwargs: Any) -> tuple[Any, Any]:
        """(value, gradients), in one fused evaluation; the gradients as `.grad` gives them."""
        made: tuple[Any, Any] = self._value_and_grad(args, kwargs, wrt, out, True)
        return made

    def _value_and_grad(self, args: tuple[Any, ...], kwargs: dict[str, Any], wrt: Any, out: Any, with_value: bool) -> Any:
        bound, flat = self._arguments(args, kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat):
            value, gradients = inline.value_and_grad(self, bound, flat, chosen)
            return (value, gradients) if with_value else gradients
        method = "value_and_grad" if with_value else "grad"
        direct = wrt is None and out is None

        def derive(call: Call, chosen: Chosen) -> Any:
            entry = entry_spec(call, method, kwargs, chosen) if direct else None
            result = derivatives.value_and_grad(call, chosen, with_value, entry, out)
            self._directly(method, call, entry)
            return result

        return self._answer(bound, flat, chosen, wrt, derive)

    def vjp(self, *args: Any, cotangent: Any, wrt: Any = None, **kwargs: Any) -> Any:
        """The cotangents of the arguments: the Jacobian transposed, times the cotangent of the output; in the form of `.grad`.

        Args:
            *args, **kwargs: what the function is called with.
            cotangent: of the output's structure and shapes.
            wrt: as for `.grad`.
        """
        bound, flat = self._arguments(args, kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat, cotangent):
            return inline.vjp(self, bound, flat, chosen, cotangent)

        def derive(call: Call, chosen: Chosen) -> Any:
            entry = entry_spec(call, "vjp", kwargs, chosen, cotangent) if wrt is None else None
            result = derivatives.vjp(call, chosen, cotangent, entry)
            self._directly("vjp", call, entry)
            return result

        return self._answer(bound, flat, chosen, wrt, derive)

    def jvp(self, args: Any, tangents: Any, *, wrt: Any = None, **kwargs: Any) -> Any:
        """The tangent of the output, in its structure: the Jacobian times the tangents of the arguments.

        Args:
            args: the arguments: a tuple, or the only one.
            tangents: one for each differentiated argument, of its shape: a tuple, or the only one.
            wrt: as for `.grad`.
        """
        bound, flat = self._arguments(tuple_of(args), kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat, tangents):
            return inline.jvp(self, bound, flat, chosen, tangents)[1]

        def derive(call: Call, chosen: Chosen) -> Any:
            call.given = args
            entry = entry_spec(call, "jvp", kwargs, chosen, tangents) if wrt is None else None
            result = derivatives.jvp(call, chosen, tangents, entry)
            self._directly("jvp", call, entry)
            return result

        return self._answer(bound, flat, chosen, wrt, derive)

    def value_and_jvp(self, args: Any, tangents: Any, *, wrt: Any = None, **kwargs: Any) -> Any:
        """(output, its tangent): `.jvp` with the value it computes on the way."""
        bound, flat = self._arguments(tuple_of(args), kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat, tangents):
            return inline.jvp(self, bound, flat, chosen, tangents)
        return self._answer(bound, flat, chosen, wrt, lambda call, chosen: derivatives.value_and_jvp(call, chosen, tangents))

    def hvp(self, args: Any, vectors: Any, *, wrt: Any = None, **kwargs: Any) -> Any:
        """The Hessian of a scalar output times vectors: a tuple, or the bare product when one argument is differentiated.

        Args:
            args: the arguments: a tuple, or the only one.
            vectors: one for each differentiated argument, of its shape: a tuple, or the only one.
            wrt: as for `.grad`.
        """
        bound, flat = self._arguments(tuple_of(args), kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat, vectors):
            return inline.hvp(self, bound, flat, chosen, vectors)

        def derive(call: Call, chosen: Chosen) -> Any:
            call.given = args
            entry = entry_spec(call, "hvp", kwargs, chosen, vectors) if wrt is None else None
            result = derivatives.hvp(call, chosen, vectors, entry)
            self._directly("hvp", call, entry)
            return result

        return self._answer(bound, flat, chosen, wrt, derive)

    def jacobian(self, *args: Any, wrt: Any = None, mode: str | None = None, **kwargs: Any) -> Any:
        """Derivatives of every output element by every argument element, in the structure of the outputs.

        Args:
            mode: "forward", "reverse", or None for the cheaper one by sizes.

        Returns:
            For each output leaf: an array of shape out_shape + in_shape, or a tuple of them when several arguments are
            differentiated.
        """
        if mode not in (None, "forward", "reverse"):
            raise ArgumentError(f"mode={mode!r}{at(user_site())}: 'forward', 'reverse' or None is expected")
        bound, flat = self._arguments(args, kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat):
            return inline.jacobian(self, bound, flat, chosen, mode)

        def derive(call: Call, chosen: Chosen) -> Any:
            direct = wrt is None and mode is None and not kwargs
            entry = entry_spec(call, "jacobian", kwargs, chosen) if direct else None
            result, kind = derivatives.jacobian(call, chosen, mode, entry)
            self._directly_for_sizes("jacobian", kind, args, call, chosen, entry)
            return result

        return self._answer(bound, flat, chosen, wrt, derive)

    def hessian(self, *args: Any, wrt: Any = None, **kwargs: Any) -> Any:
        """Second derivatives of the scalar output, of shape argument + argument.

        Returns:
            An array; when several arguments are differentiated, a tuple of tuples: `[i][j]` is by argument i, then by j.
        """
        bound, flat = self._arguments(args, kwargs)
        chosen = Chosen.of(self._parameters, bound, flat, wrt)
        if inside_trace(flat):
            return inline.hessian(self, bound, flat, chosen)

        def derive(call: Call, chosen: Chosen) -> Any:
            entry = entry_spec(call, "hessian", kwargs, chosen) if wrt is None and not kwargs else None
            result, whole = derivatives.hessian(call, chosen, entry)
            self._directly_for_sizes("hessian", "hessian" if whole else None, args, call, chosen, entry)
            return result

        return self._answer(bound, flat, chosen, wrt, derive)

    # ------------------------------------------------------------------------------------------------ inspection
    def trace(self, *examples: Any, **kwargs: Any) -> TraceView:
        """The function specialised for these arguments, for looking at: it is traced, and not run.

        Args:
            *examples, **kwargs: example arguments, or descriptions of them: `cr.spec("n d", cr.float64)`.

        Returns:
            A view with `.formula`, `.derivative(...)`, `.ir(stage)`, `.source(which)` and `.explain()`.
        """
        bound, flat = self._arguments(examples, kwargs)
        if any(isinstance(leaf, Spec) for leaf in flat.leaves):
            with self._lock:
                return TraceView(self, self._traced(bound, flat))
        return TraceView(self, self._found(bound, flat).program)

    def _latest(self) -> TraceView:
        """The latest signature; of a function that was never called, the one for scalars.

        Raises:
            DifferentiationError: the function needs arrays.
        """
        with self._lock:
            if self._programs:
                return TraceView(self, next(reversed(self._programs.values()))[0])
        names = [p.name for p in self._parameters.parameters.values() if p.default is p.empty
                 and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][len(self._prefix):]
        try:
            return self.trace(*[1.5] * len(names))
        except Exception as error:
            raise DifferentiationError(f"{self._name} was never called, and cannot be traced with numbers for its arguments"
                                       f"{at(user_site())} ({error}): call it once, or {self._name}.trace(...) with example arrays or "
                                       "cr.spec(\"n d\", cr.float64)") from error

    @property
    def formula(self) -> Any:
        """The value as a formula, for the kind of arguments that came last; for numbers, if it was never called."""
        return self._latest().formula

    def derivative(self, *names: str) -> Any:
        """The formula of the derivative by these arguments, one after the other; without names, by the first argument.

        `derivative("x", "y")` is the second derivative, by x and then by y.
        """
        return self._latest().derivative(*names)

    def plot(self, name: str, low: float, high: float, *, orders: int = 1, points: int = 400, log: bool = False, ax: Any = None,
             sliders: Mapping[str, tuple[float, float]] | None = None, **others: Any) -> Any:
        """Draw the function, which gives a number, and its derivatives by one argument that is a number, with matplotlib.

        Where curves have poles, or ends at which they are infinite, what they are elsewhere is in the picture.

        Args:
            name: the argument that goes from `low` to `high`; `others` are values for the rest.
            orders: how many derivatives.
            points: how many are computed.
            log: whether the argument has a logarithmic scale.
            ax: matplotlib axes to draw into; default: new ones.
            sliders: in notebooks, arguments that can be moved, with their ranges: `sliders={"k": (0, 5)}`. They start at their numbers
                in `others`, at their defaults, or in the middle.

        Returns:
            The axes; with sliders, a widget.

        Raises:
            ArgumentError: an argument is unknown or has no value, the function gives more than a number, or matplotlib (for sliders,
                ipywidgets) is not installed.
        """
        from .plotting import Across, plot, sliding

        across = Across(name, low, high, points, log)
        if sliders is None:
            return plot(self, across, orders, ax, others)
        if ax is not None:
            raise ArgumentError(f"a picture with sliders is a widget of its own{at(user_site())}: give plot() sliders or ax")
        return sliding(self, across, orders, sliders, others)

    def ir(self, stage: str = "simplified") -> Any:
        """The program at a stage: "traced", "differentiated", "simplified" or "scheduled"; for the arguments that came last."""
        return self._latest().ir(stage)

    def source(self, which: str = "gradient") -> str:
        """The generated code, readable: of the "value", "gradient" or "value_and_gradient"; for the arguments that came last."""
        return self._latest().source(which)

    def explain(self) -> Any:
        """A report of every stage, for the arguments that came last: the source with what each line made, formulas, derivations, IR,
        kernels, generated code, costs. `.print()` it, look at it in a notebook, or write one HTML file with `.save("loss.html")`.
        """
        return self._latest().explain()

    @property
    def jit(self) -> JitFunctions:
        """The function and its derivatives as numba functions, for code compiled by `numba.njit`: `.value`, `.grad`, `.value_and_grad`,
        `.jacobian`, `.hessian`.
        """
        from .jit import JitFunctions  # with it comes numba

        with self._lock:
            if self._jit is None:
                self._jit = JitFunctions(self)
            return self._jit

    def export(self, path: Any, *, overwrite: bool = False) -> Path:
        """Write the function and its derivatives as a Python module that needs NumPy and numba only, for the arguments that came last.

        The module has `value`, `grad` and `value_and_grad`, or `value` and `jacobian` where the value is no number. Arguments that are
        neither numbers nor arrays, and arrays that the function captured, are as they were; of these, those of more than 1,000 elements
        are in a file beside the module, with `.npz` instead of `.py`, which it loads.

        Args:
            path: of the module. A file that `export` did not write is left alone, unless `overwrite` is true.

        Returns:
            The path.

        Raises:
            ArgumentError: a step of the program has no source, with the user's line; or the file exists.
        """
        from .export import export

        return export(self, path, overwrite)


def tuple_of(args: Any) -> tuple[Any, ...]:
    """The arguments of a jvp or hvp: a tuple of them, or the only one."""
    if isinstance(args, tuple) and not hasattr(args, "_fields"):
        return args
    return tuple(args) if isinstance(args, list) else (args,)


def inside_trace(flat: Flat, *others: Any) -> bool:
    """Whether a call is made by a function that is being traced, with its values."""
    if active_session() is None:
        return False
    from .structure import flatten

    leaves = list(flat.leaves)
    for other in others:
        flatten(other, leaves)
    return any(is_traced(leaf) for leaf in leaves)


def signature_text(tree: Tree) -> str:
    """What an argument's part of a signature says."""
    if tree.kind == "weak":
        return "a float"
    if tree.kind == "array":
        dtype, ndim, ones, *promises = tree.info
        stretched = f" with axes {ones} of size 1" if ones else ""
        return f"{np.dtype(dtype)} with {ndim} axes{stretched}{', '.join(['', *promises])}"
    if tree.kind == "static":
        return repr(tree.info)
    return f"{tree.kind} of ({', '.join(map(signature_text, tree.children))})"


def grad(function: Callable[..., Any] | None = None, *, wrt: Any = None, stabilise: bool = True, fastmath: bool = False,
         assume: Mapping[str, str | Sequence[str]] | None = None) -> Any:
    """Compile a function of NumPy code, and differentiate it.

    Use as `@grad`, or with options: `@grad(wrt=("w", "b"))`.

    >>> @grad
    ... def volume(radius, height):
    ...     return np.pi * radius**2 * height
    >>> print(volume(1.0, 2.0), volume.grad(1.0, 2.0)[1])
    6.283185307179586 3.141592653589793
    >>> print(volume.derivative("radius"))
    2*pi*radius*height

    Args:
        function: plain NumPy inside: operators, methods, indexing, `np.*` on its arguments. It runs when it is traced, on the
            first call for each kind of arguments; what it prints or draws at random happens then, and only then.
        wrt: the arguments to differentiate with respect to, by name or position; default: every float argument of the call.
        stabilise: replace overflow and undefined values by their limits (log(1 + exp(x)) is right at 1000).
        fastmath: allow rewrites that hold for real numbers only.
        assume: what you promise of arguments, as in `{"x": "positive", "n": ("nonnegative", "integer")}`: formulas and programs
            may rest on it. Compiled programs do not check it: where an argument breaks a promise (a nan breaks none), the result
            is that of the formula that the promise led to. The interpreter checks it (CHAINRULE_TIER=interpret).

    Returns:
        A `GradFunction`.

    Raises:
        ArgumentError: not a function, an unknown name in `wrt`, a parameter with a reserved name, or a promise that is unknown or
            contradicts another.
    """
    if function is None:
        return lambda decorated: GradFunction(decorated, wrt, stabilise, fastmath, assume)
    return GradFunction(function, wrt, stabilise, fastmath, assume)

