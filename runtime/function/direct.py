"""Direct calls: after a first call by the ordinary way, calls of the same kind go straight into emitted code.

Floats, NumPy scalars and arrays, one by one or in tuples, lists and dicts; other arguments by identity. Whatever does not match
goes the ordinary way. Where the function captures something, a few lines of Python look at it again before each call, and hand
captured arrays over.
"""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.entry_spec import (
    Argument,
    ArrayArgument,
    DictArgument,
    DictResult,
    EntrySpec,
    FloatArgument,
    IgnoredArgument,
    ListArgument,
    ListResult,
    ScalarArgument,
    Structure,
    TupleArgument,
)
from ...compiler.errors import ArgumentError, DTypeError, ShapeError
from ...compiler.pipeline import Kind
from ...compiler.provenance import at, user_site
from .captures import CaptureChangedError
from .execution import Request
from .structure import LEAVES, is_float

if TYPE_CHECKING:
    from ...compiler.ir import Node
    from .decorated import Call
    from .derivatives import Chosen
    from .structure import Tree
    from .traced_program import TracedProgram

__all__ = ["DIRECT_METHODS", "WHOLE_FORMS", "DirectCalls", "IndirectError", "Method", "entry_spec", "out_arrays", "result_of"]

WHOLE_FORMS = ("value", "grad", "value_and_grad", "jacobian", "hessian")  # that take the function's own arguments only
DIRECT_METHODS = ("grad", "value_and_grad", "vjp", "jvp", "hvp", "jacobian", "hessian")
MOST_SHAPES = 1024
MOST_PROGRAMS = 4  # of one function and method; further ones are called the ordinary way


class IndirectError(Exception):
    """Something that emitted code does not take apart or make."""


def entry_spec(call: Call, form: str, kwargs: dict[str, Any], chosen: Chosen | None = None, given: Any = None) -> EntrySpec | None:
    """How calls like this one map to the program's inputs and outputs; None where they cannot be made directly.

    Args:
        form: how the call was made: "value", or the name of a method in `DIRECT_METHODS`.
        kwargs: its arguments by keyword.
        chosen: the differentiated arguments, except for a value.
        given: the cotangent, the tangents or the vectors.
    """
    program = call.program
    captured = [ArrayArgument(program.leaves + k) for k in range(len(program.hidden))]
    try:
        arguments, keywords = _arguments(call, kwargs)
        last = len(arguments) - len(keywords)
        whole = (*arguments[:last], *captured, *arguments[last:])
        if form in WHOLE_FORMS:
            return EntrySpec(whole, result_of(program, form, chosen), keywords)
        assert chosen is not None
        if keywords:
            return None
        graph = program.graph
        first = len(graph.inputs)
        if form == "vjp":
            cotangents = iter(enumerate(graph.outputs, first))
            return EntrySpec((*whole, _further_tree(program.result, given, cotangents)), _gradients(chosen, 0), ("cotangent",))
        nodes = iter([(first + k, graph.inputs[leaf]) for k, leaf in enumerate(chosen.leaves)])
        several = type(given) is tuple and (len(chosen.trees) > 1 or len(given) == 1)  # else a tuple is the only argument's own
        items = [_further_like(tree, value, nodes) for tree, value in zip(chosen.trees, given if several else (given,), strict=True)]
        vectors = TupleArgument(tuple(items)) if several else items[0]
        together: Argument = TupleArgument(tuple(arguments)) if type(call.given) is tuple else arguments[0]
        result = _gradients(chosen, 0) if form == "hvp" else result_of(program, "value", chosen)
        return EntrySpec((together, vectors, *captured), result)
    except (IndirectError, ValueError, StopIteration):  # ValueError: fewer vectors than arguments
        return None


def result_of(program: TracedProgram, form: str, chosen: Chosen | None) -> Structure:
    """The result of one of `WHOLE_FORMS`, with positions of outputs in place of its leaves.

    Raises:
        IndirectError: it has a structure that emitted code does not make.
    """
    if form == "value":
        return _made(program.result, _outputs(len(program.graph.outputs)))
    assert chosen is not None
    if form == "grad":
        return _gradients(chosen, 0)
    if form == "value_and_grad":
        return 0, _gradients(chosen, 1)
    if form == "jacobian":
        return _jacobian(program, chosen)
    n = len(chosen.leaves)
    rows = iter([_gradients(chosen, k) for k in range(0, n * n, n)])
    return _for_each_leaf(chosen, lambda: next(rows))


def _arguments(call: Call, kwargs: dict[str, Any]) -> tuple[list[Argument], tuple[str, ...]]:
    """The call's arguments, by position and then by keyword in the order of the call."""
    bound, flat = call.bound, call.flat
    found: dict[str, Argument] = {}
    every = zip(bound.labels, flat.trees, bound.values, flat.starts, bound.passed, strict=True)
    for label, tree, value, start, passed in islice(every, len(call.function._prefix), None):
        if passed:
            found[label] = _argument(tree, value, flat.leaves, iter(range(start, len(flat.leaves))))
        elif tree.kind != "static":
            raise IndirectError  # a default that is an input
    by_position = [label for label in found if label not in kwargs]
    if len(by_position) + len(kwargs) != len(found) or any(name not in found for name in kwargs):
        raise IndirectError
    return [found[label] for label in (*by_position, *kwargs)], tuple(kwargs)


def _argument(tree: Tree, value: Any, leaves: Sequence[Any], positions: Iterator[int]) -> Argument:
    """An argument, or a part of one; the leaves of the call are numbered in its order."""
    if tree.kind == "static":
        return IgnoredArgument(value)
    if tree.kind in ("weak", "array"):
        position = next(positions)
        if type(value) is float:
            return FloatArgument(position)
        if isinstance(value, np.generic) and not isinstance(value, np.bool_):
            return ScalarArgument(position, type(value))
        if value is leaves[position]:
            return ArrayArgument(position)
        raise IndirectError
    if tree.kind not in ("tuple", "list", "dict"):
        raise IndirectError
    kind = type(value)
    parts = value.values() if tree.kind == "dict" else value
    items = tuple(_argument(child, part, leaves, positions) for child, part in zip(tree.children, parts, strict=True))
    if kind is tuple:
        return TupleArgument(items)
    if kind is list:
        return ListArgument(items)
    if kind is dict and all(type(key) in (str, int) for key in value):
        return DictArgument(tuple(value), items)
    raise IndirectError


def _further(node: Node, value: Any, position: int) -> Argument:
    """A cotangent or tangent like `node`."""
    if type(value) is float and node.ndim == 0 and node.dtype == np.float64:
        return FloatArgument(position)
    if type(value) is np.ndarray and value.dtype == node.dtype and value.ndim == node.ndim:
        return ArrayArgument(position)
    raise IndirectError


def _further_tree(tree: Tree, value: Any, nodes: Iterator[tuple[int, Node]]) -> Argument:
    """Cotangents in the structure of the outputs, of which each must be floating."""
    if tree.kind == "tuple" and tree.info is tuple and type(value) is tuple:
        return TupleArgument(tuple(_further_tree(t, v, nodes) for t, v in zip(tree.children, value, strict=True)))
    if tree.kind not in ("traced", "array", "weak"):
        raise IndirectError
    position, node = next(nodes)
    if node.dtype.kind != "f":
        raise IndirectError
    return _further(node, value, position)


def _further_like(tree: Tree, value: Any, nodes: Iterator[tuple[int, Node]]) -> Argument:
    """Tangents or vectors in the structure of an argument, of which each leaf must be floating."""
    if tree.kind in ("weak", "array"):
        if not is_float(tree):
            raise IndirectError
        position, node = next(nodes)
        return _further(node, value, position)
    if tree.kind == "dict" and type(value) is dict and tree.info == (dict, tuple(value)):
        return DictArgument(tuple(value), tuple(_further_like(t, v, nodes) for t, v in zip(tree.children, value.values(), strict=True)))
    if tree.kind not in ("tuple", "list") or tree.info is not type(value) or type(value) not in (tuple, list):
        raise IndirectError
    items = tuple(_further_like(t, v, nodes) for t, v in zip(tree.children, value, strict=True))
    return TupleArgument(items) if type(value) is tuple else ListArgument(items)


def _made(tree: Tree, leaf: Callable[[Tree], Structure]) -> Structure:
    """A structure of outputs, from what stands in place of each leaf and each static value."""
    if tree.kind == "static" or tree.kind in LEAVES:
        return leaf(tree)
    items = tuple(_made(child, leaf) for child in tree.children)
    if tree.kind == "tuple" and tree.info is tuple:
        return items
    if tree.kind == "list" and tree.info is list:
        return ListResult(items)
    if tree.kind == "dict" and tree.info[0] is dict:
        return DictResult(tuple(tree.info[1]), items)
    raise IndirectError


def _outputs(count: int) -> Callable[[Tree], Structure]:
    """The leaves of a result, in order. Static values that are None stay."""
    positions = iter(range(count))

    def leaf(tree: Tree) -> Structure:
        if tree.kind != "static":
            return next(positions)
        if tree.info.value is not None:
            raise IndirectError
        return None

    return leaf


def _gradients(chosen: Chosen, first: int) -> Structure:
    """Gradients in the structure of the differentiated arguments, from the output `first` on."""
    positions = iter(range(first, first + len(chosen.leaves)))
    return _for_each_leaf(chosen, lambda: next(positions))


def _for_each_leaf(chosen: Chosen, result: Callable[[], Structure]) -> Structure:
    """The structure of the differentiated arguments, with a result in place of each float leaf and None in place of others."""
    made = tuple(_made(tree, lambda leaf: result() if is_float(leaf) else None) for tree in chosen.trees)
    return made if chosen.wrapped else made[0]


def _jacobian(program: TracedProgram, chosen: Chosen) -> Structure:
    """Blocks in the structure of the result: of each floating output, for each differentiated leaf."""
    nodes, starts = iter(program.graph.outputs), count(0, len(chosen.leaves))

    def leaf(tree: Tree) -> Structure:
        smooth = tree.kind != "static" and next(nodes).dtype.kind == "f"
        if tree.kind == "static" and tree.info.value is not None:
            raise IndirectError
        return _gradients(chosen, next(starts)) if smooth else None

    return _made(program.result, leaf)


class Method(functools.partial[Any]):
    """A method of one decorated function whose target can be replaced: whoever holds it has the fast one, too."""

    method: Any  # as Python binds it

    @classmethod
    def of(cls, method: Any) -> Method:
        made = cls(method)
        made.method = method
        return made

    def retarget(self, function: Callable[..., Any]) -> None:
        """Call this function from now on. The caller keeps the one before alive: a call of it may be under way."""
        state: Any = self
        state.__setstate__((function, (), {}, {"method": self.method}))

    def __get__(self, instance: Any, owner: Any = None) -> Method:
        """With it `help` sees a routine, not an object."""
        return self

    @property
    def __name__(self) -> str:
        name: str = self.method.__name__
        return name

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self.method.__doc__

    @property
    def __self__(self) -> Any:
        return self.method.__self__

    @property
    def __signature__(self) -> Any:
        return inspect.signature(self.method)


_NO_MATCH = object()


def _no_match(*args: Any, **kwargs: Any) -> Any:
    return _NO_MATCH


def _looking(program: TracedProgram, entry: Callable[..., Any], slow: Callable[..., Any]) -> Callable[..., Any]:
    """The direct function of a program that depends on captured things: those are looked at first."""
    changed, hidden = program.captures.changed, program.hidden

    def call(*args: Any, **kwargs: Any) -> Any:
        if not changed():
            try:
                arrays = [h.fetch() for h in hidden]
            except CaptureChangedError:
                return slow(*args, **kwargs)
            result = entry(*args, *arrays, **kwargs)
            if result is not _NO_MATCH:
                return result
        return slow(*args, **kwargs)

    return call


class Sizes:
    """The shapes of arguments of which a whole matrix was computed: of others the memory that it takes is looked at first."""

    def __init__(self) -> None:
        self._passed: set[tuple[Any, ...]] = set()

    @classmethod
    def _of(cls, args: Iterable[Any]) -> tuple[Any, ...]:
        return tuple([a.shape if type(a) is np.ndarray else cls._of(a.values()) if type(a) is dict
                      else cls._of(a) if type(a) in (tuple, list) else None for a in args])

    def passed(self, args: Sequence[Any]) -> None:
        """Remember the shapes of these arguments."""
        if len(self._passed) < MOST_SHAPES:
            self._passed.add(self._of(args))

    def only(self, entry: Callable[..., Any], slow: Callable[..., Any]) -> Callable[..., Any]:
        """The direct function for calls with known shapes."""
        def call(*args: Any, **kwargs: Any) -> Any:
            return entry(*args, **kwargs) if not kwargs and self._of(args) in self._passed else slow(*args, **kwargs)

        return call


class DirectCalls:
    """The direct functions of one decorated function.

    Attributes:
        value: of the call itself; those of methods are the targets of the `Method`s in the function's own dictionary.
    """

    def __init__(self) -> None:
        self.value: Callable[..., Any] | None = None
        self._made: dict[str, dict[tuple[TracedProgram, Request], Callable[..., Any]]] = {}
        self.sizes: dict[str, dict[Kind, Sizes]] = {}  # by method

    def entry(self, program: TracedProgram, request: Request, slow: Callable[..., Any], name: str) -> Callable[..., Any] | None:
        """The direct function for a request, made for this program and those before it; None where there is none.

        What one program's entry does not take is handed to that of the program before, and the last one's to `slow`.
        """
        made = self._made.setdefault(name, {})
        if (program, request) not in made:
            compiled = program.built(request).program
            if compiled is None or compiled.entry is None or len(made) >= MOST_PROGRAMS:
                return next(reversed(made.values()), None)
            before = next(reversed(made.values()), slow)
            looks = bool(program.hidden) or program.captures.watches_anything
            entry = compiled.entry(_no_match if looks else before, name)
            made[program, request] = _looking(program, entry, before) if looks else entry
            program.stats.entries.append(entry)
        return next(reversed(made.values()))


def out_arrays(out: Any, chosen: Chosen, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]) -> list[Any]:
    """The arrays of `out=`, one for each gradient; None where one is to be made.

    Raises:
        ArgumentError, ShapeError, DTypeError: not arrays that the gradients can be written into.
    """
    if any(tree.kind not in ("weak", "array") for tree in chosen.trees):
        raise ArgumentError(f"out= takes gradients of plain arrays, not of structures of them{at(user_site())}")
    items = list(out) if chosen.wrapped and isinstance(out, (tuple, list)) else [out]
    if len(items) != len(shapes):
        raise ArgumentError(f"out= has {len(items)} items for {len(shapes)} gradients ({', '.join(chosen.labels)}){at(user_site())}: give "
                            "an array, or None, for each")
    for label, item, shape, dtype in zip(chosen.labels, items, shapes, dtypes, strict=True):
        if item is None:
            continue
        if type(item) is not np.ndarray or not shape:
            reason = f"the gradient of {label!r} is a number: put None in its place" if not shape else \
                f"for {label!r} a {type(item).__name__} was given: give a NumPy array, or None"
            raise ArgumentError(f"out=: {reason}{at(user_site())}")
        if item.shape != shape:
            raise ShapeError(f"out= for {label!r}: shape {shape} is expected, not {item.shape}{at(user_site())}")
        if item.dtype != dtype:
            raise DTypeError(f"out= for {label!r}: dtype {dtype} is expected, not {item.dtype}{at(user_site())}")
        if not item.flags.writeable:
            raise ArgumentError(f"out= for {label!r}: the array is read-only{at(user_site())}")
    return items
