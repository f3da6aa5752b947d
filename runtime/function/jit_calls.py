"""Calls of compiled programs in numba's world: types of arguments and results, and the code around a program."""
from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.entry_spec import DictResult, ListResult, Structure
from ...compiler.errors import ArgumentError, ChainruleError
from ...compiler.jit_code import FAILED, STOPPED, Functions, Layout, Registered
from ...compiler.provenance import at

if TYPE_CHECKING:
    from .decorated import GradFunction

__all__ = ["Call", "Leaf", "Variant", "emit_call", "is_static", "leaves_of", "numba_function", "numbas", "result_type"]

Value = Any  # llvmlite has no annotations
Outputs = Sequence[tuple[np.dtype[Any], tuple[Any, ...]]]


def numbas(name: str) -> Any:
    """A module of numba's, of which type checkers know little."""
    return importlib.import_module(f"numba.{name}")


@dataclass(frozen=True)
class Leaf:
    """A number or an array among the arguments.

    Attributes:
        dtype: as the program takes it.
        ndim: None of a number.
        path: positions that lead to it: the argument, then of tuples in it.
        type: numba's; of an argument that was left out, its default.
    """

    dtype: np.dtype[Any]
    ndim: int | None
    path: tuple[int, ...]
    type: Any

    @classmethod
    def of(cls, numba_type: Any, path: tuple[int, ...] = ()) -> Leaf:
        """The leaf of a type.

        Raises:
            ArgumentError: neither a number nor an array of a dtype that can be traced.
        """
        types = numbas("core.types")
        from numba.np.numpy_support import as_dtype

        if isinstance(numba_type, types.Omitted) and type(numba_type.value) is float:
            return cls(np.dtype(np.float64), None, path, numba_type)
        if isinstance(numba_type, types.Array) and numba_type.aligned:
            dtype = numba_type.dtype
            if isinstance(dtype, (types.Float, types.Integer, types.Boolean)):
                return cls(as_dtype(dtype), numba_type.ndim, path, numba_type)
        if isinstance(numba_type, (types.Float, types.Integer, types.Boolean)) and not isinstance(numba_type, types.Literal):
            return cls(as_dtype(types.unliteral(numba_type)), None, path, numba_type)
        raise ArgumentError(f"an argument of numba's type {numba_type} is neither a number nor an array that can be traced")


def is_static(numba_type: Any) -> bool:
    """Whether an argument of this type is known when the function is traced."""
    types = numbas("core.types")

    return isinstance(numba_type, (types.NoneType, types.Literal)) or (
        isinstance(numba_type, types.Omitted) and not isinstance(numba_type.value, (float, np.ndarray, np.generic, tuple, list, dict)))


def leaves_of(numba_types: Sequence[Any], path: tuple[int, ...] = ()) -> list[Leaf]:
    """The leaves of arguments, in the order in which a program takes them."""
    types = numbas("core.types")

    leaves: list[Leaf] = []
    for k, t in enumerate(numba_types):
        if isinstance(t, types.BaseTuple):
            leaves += leaves_of(list(t), (*path, k))
        elif not is_static(t):
            leaves.append(Leaf.of(t, (*path, k)))
    return leaves


@dataclass(frozen=True)
class Variant:
    """One program that a call may run.

    Attributes:
        result: positions of outputs in the structure that is returned.
        captured: the arrays that follow the arguments.
        symbol: prefix of the names of its functions in `library`, which is linked; "": `functions` are called.
    """

    layout: Layout
    result: Structure
    captured: list[Any]
    symbol: str
    library: Any
    functions: Functions | None


@dataclass(frozen=True)
class Call:
    """What calls with arguments of some types do: run the first variant whose demands hold."""

    name: str
    leaves: list[Leaf]
    variants: list[Variant]
    type: Any


def result_type(result: Structure, outputs: Outputs) -> Any:
    """Numba's type of a result.

    Raises:
        ArgumentError: numba has none.
    """
    types = numbas("core.types")

    if result is None:
        return types.none
    if isinstance(result, int):
        return _output_type(*outputs[result])
    if isinstance(result, ListResult | DictResult):
        raise ArgumentError("numba functions return no lists and dicts: use tuples")
    return types.Tuple([result_type(item, outputs) for item in result])


def _output_type(dtype: np.dtype[Any], shape: tuple[Any, ...]) -> Any:
    types = numbas("core.types")
    from numba.np.numpy_support import from_dtype

    return types.Array(from_dtype(dtype), len(shape), "C") if shape else from_dtype(dtype)


def numba_function(function: GradFunction, form: str, names: Sequence[str], star: str, defaults: Mapping[str, Any],
                   typed: Callable[[tuple[Any, ...], Any], Call]) -> Any:
    """A dispatcher with the parameters of a function; `typed` is asked what calls with arguments of some types do."""
    import numba
    from numba.core import errors

    types, its, extending = (numbas(name) for name in ("core.types", "core.config", "extending"))
    if its.DISABLE_JIT:
        return function if form == "value" else getattr(function, form)
    parameters = [*(f"{name}=_default_{name}" if name in defaults else name for name in names), *([f"*{star}"] if star else [])]
    listed = "".join(f"{name}, " for name in (*names, *([star] if star else [])))

    left_out = types.Opaque(f"default of {function._name}")

    class Default:
        """Stands for a default, of which numba would say the type only."""

        _numba_type_ = left_out

    def define(context: Any, *given: Any) -> Any:
        arguments = tuple(types.Omitted(defaults[name]) if t is left_out else t for name, t in zip(names, given, strict=False))
        arguments += tuple(given[-1]) if star else ()
        try:
            call = typed(arguments, _generator())
        except ChainruleError as error:
            wanted = {k for k, t in enumerate(given) if isinstance(t, (types.Integer, types.Boolean)) and not isinstance(t, types.Literal)}
            if wanted:  # the function may need the number itself, which a caller that has it written down can give
                raise errors.ForceLiteralArg(wanted, lambda args, kws: args) from error
            raise errors.TypingError(f"{type(error).__name__}: {error}") from error

        def generate(context: Any, builder: Any, signature: Any, values: Sequence[Value]) -> Value:
            if star:
                values = [*values[:-1], *numbas("core.cgutils").unpack_tuple(builder, values[-1])]
            return emit_call(context, builder, call, values)

        return call.type(*given), generate

    namespace = {"_define": define, **{f"_default_{name}": Default() for name in defaults}}
    title = os.path.join(os.path.dirname(__file__), f"<{function._name}.jit.{form}>")  # a place of ours, where messages name lines
    exec(compile(f"def _body(context, {listed}):\n    return _define(context, {listed})\n", title, "exec"), namespace)
    namespace["_body"] = extending.intrinsic(namespace["_body"])
    exec(compile(f"def {form}({', '.join(parameters)}):\n    return _body({listed})\n", title, "exec"), namespace)
    plain: Any = namespace[form]
    code = function.__wrapped__.__code__ if hasattr(function.__wrapped__, "__code__") else None
    told = repr((code and (code.co_code, code.co_consts, code.co_names), function._options, form)).encode()
    plain.__module__ = function.__wrapped__.__module__ or __name__
    # Numba's object cache brings functions of other processes along, by name: another function must have another name.
    plain.__qualname__ = f"{function._name}.jit.{form}_{blake2b(told, digest_size=8).hexdigest()}"
    plain.__doc__ = f"`{function._name}.{form}` for compiled code.\n\n{function.__doc__ or ''}"
    return numba.njit(nogil=True, forceinline=True)(plain)


@functools.cache
def _generator() -> Any:
    """What makes the code of functions that numba compiles for processors."""
    from numba.core.registry import cpu_target

    return cpu_target.target_context.codegen()


# ------------------------------------------------------------------------------------------------ code
def emit_call(context: Any, builder: Any, call: Call, values: Sequence[Value]) -> Value:
    """The code of a call, with the values of its arguments; what it returns is the caller's."""
    return _Emitter(context, builder, call).emit(values)


class _Emitter:
    def __init__(self, context: Any, builder: Any, call: Call) -> None:
        from llvmlite import ir

        self.context, self.builder, self.called = context, builder, call
        self.cgutils = numbas("core.cgutils")
        self.long, self.pointer = ir.IntType(64), ir.IntType(8).as_pointer()
        self.result = self.words(1, context.get_value_type(call.type))

    def words(self, count: int, kind: Any = None) -> Value:
        """Memory of the function that is being built, for its whole run."""
        return self.cgutils.alloca_once(self.builder, kind or self.long, size=max(1, count))

    def put(self, words: Value, number: int, value: Value) -> None:
        kind = words.type.pointee
        stored = value if value.type == kind else self.builder.ptrtoint(value, kind) if kind == self.long else \
            self.builder.bitcast(value, kind)
        self.builder.store(stored, self.builder.gep(words, [self.long(number)]))

    def get(self, words: Value, number: int) -> Value:
        return self.builder.load(self.builder.gep(words, [self.long(number)]))

    @contextmanager
    def seldom(self, number: Value, expected: int) -> Iterator[None]:
        """What is done where a number is the expected one, which is seldom."""
        with self.builder.if_then(self.builder.icmp_unsigned("==", number, self.long(expected)), likely=False):
            yield

    def leave(self, kind: type[Exception], message: str) -> None:
        """Raise an exception of this text."""
        self.context.call_conv.return_user_exc(self.builder, kind, (f"{self.called.name}{message}",))

    def emit(self, values: Sequence[Value]) -> Value:
        builder = self.builder
        given = [word for leaf in self.called.leaves for word in self.leaf(leaf, values)]
        done = builder.append_basic_block("done")
        for number, variant in enumerate(self.called.variants):
            words = [*given, *(word for array in variant.captured for word in self.captured(array))]
            inputs = self.words(len(words))
            for k, word in enumerate(words):
                self.put(inputs, k, word)
            sizes = self.words(sum(len(shape) for _, shape in variant.layout.outputs))
            unmet = builder.call(self.function(variant, "check", inputs.type, sizes.type), [inputs, sizes])
            with builder.if_then(builder.icmp_unsigned("==", unmet, self.long(0)), likely=True):
                self.run(variant, inputs, sizes)
                builder.branch(done)
            if number == len(self.called.variants) - 1:
                for k, demand in enumerate(variant.layout.demands):
                    with self.seldom(unmet, k + 1):
                        self.leave(ValueError, f" needs {demand.text}{at(demand.site)}, which does not hold. Other sizes are compiled "
                                               "where Python has called the function with them before numba compiles this call")
                builder.unreachable()
        builder.position_at_end(done)
        return builder.load(self.result)

    # ------------------------------------------------------------------------------------------- arguments
    def leaf(self, leaf: Leaf, values: Sequence[Value]) -> Iterator[Value]:
        """The address of a leaf, and of an array sizes and strides."""
        types = numbas("core.types")

        value, kind = values[leaf.path[0]], leaf.type
        for k in leaf.path[1:]:
            value = self.builder.extract_value(value, k)
        if leaf.ndim is not None:
            array = self.context.make_array(kind)(self.context, self.builder, value)
            yield array.data
            for numbers in (array.shape, array.strides):
                yield from self.cgutils.unpack_tuple(self.builder, numbers, leaf.ndim)
            return
        if isinstance(kind, types.Omitted):
            kind, value = types.float64, self.context.get_constant(types.float64, kind.value)
        place = self.words(1, self.context.get_data_type(kind))
        self.builder.store(self.context.data_model_manager[kind].as_data(self.builder, value), place)
        yield place

    def captured(self, array: Any) -> Iterator[Value]:
        """The same of an array in this process, which keeps the code out of numba's cache."""
        yield self.context.add_dynamic_addr(self.builder, array.ctypes.data, info="captured array")
        for number in (*array.shape, *array.strides):
            yield self.long(number)

    # ------------------------------------------------------------------------------------------- the program
    def function(self, variant: Variant, name: str, *kinds: Any) -> Value:
        """A function of a program, declared in the module that is being built."""
        from llvmlite import ir

        library = self.context.active_code_library
        if variant.functions is None:
            library.add_linking_library(variant.library)
            symbol = variant.symbol
        else:
            registered = Registered(variant.functions)
            library._reload_init.add(registered)
            symbol = registered.symbol
        return self.cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(self.long, kinds), f"{symbol}.{name}")

    def run(self, variant: Variant, inputs: Value, sizes: Value) -> None:
        """Run a program, and keep its result."""
        outputs = variant.layout.outputs
        arrays = dict(self.new_arrays(outputs, sizes))
        results, numbers = self.words(len(outputs), self.pointer), self.words(len(outputs))
        for k, array in arrays.items():
            self.put(results, k, array.data)
        function = self.function(variant, "run", inputs.type, results.type, numbers.type)
        status = self.builder.call(function, [inputs, results, numbers])
        with self.builder.if_then(self.builder.icmp_unsigned("!=", status, self.long(0)), likely=False):
            for k, array in arrays.items():
                self.context.nrt.decref(self.builder, _output_type(*outputs[k]), array._getvalue())
            for k, (what, is_index) in enumerate(variant.layout.stops):
                with self.seldom(status, STOPPED + k):
                    self.leave(IndexError if is_index else ValueError, f": {what}")
            with self.seldom(status, FAILED):
                self.leave(MemoryError, ": there is no memory for what it computes")
            self.builder.unreachable()
            self.builder.position_at_end(self.builder.append_basic_block())  # which nothing reaches
        self.builder.store(self.structured(variant, variant.result, arrays, numbers), self.result)

    def new_arrays(self, outputs: Outputs, sizes: Value) -> Iterator[tuple[int, Any]]:
        """An array for each output with axes."""
        allocate = numbas("np.arrayobj")._empty_nd_impl
        first = 0
        for k, (dtype, shape) in enumerate(outputs):
            if shape:
                lengths = [self.get(sizes, first + axis) for axis in range(len(shape))]
                yield k, allocate(self.context, self.builder, _output_type(dtype, shape), lengths)
                first += len(shape)

    def structured(self, variant: Variant, result: Structure, arrays: Mapping[int, Any], numbers: Value) -> Value:
        outputs = variant.layout.outputs
        if isinstance(result, tuple):
            items = [self.structured(variant, item, arrays, numbers) for item in result]
            return self.context.make_tuple(self.builder, result_type(result, outputs), items)
        if not isinstance(result, int):
            return self.context.get_dummy_value()
        if result in arrays:
            return arrays[result]._getvalue()
        kind = _output_type(*outputs[result])
        place = self.builder.bitcast(self.builder.gep(numbers, [self.long(result)]), self.context.get_data_type(kind).as_pointer())
        return self.context.data_model_manager[kind].load_from_data_pointer(self.builder, place)
