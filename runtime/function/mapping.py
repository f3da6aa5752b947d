"""`vmap` of functions of NumPy code: traced for one example, and batched in the IR."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...compiler import sizes
from ...compiler.batch import batch
from ...compiler.build import moveaxis
from ...compiler.errors import ArgumentError, BatchError, ShapeError
from ...compiler.ir import Node, constant, toposort
from ...compiler.provenance import at, user_site
from ...compiler.sizes import Size
from ...compiler.trace import Traced, active_session, lift, located, wrap
from ...compiler.views import View
from .structure import LEAVES, Tree, flatten, unflatten
from .traced_program import result_of

__all__ = ["mapped"]

Function = Callable[..., Any]


def mapped(function: Function, name: str, in_axes: Any, out_axes: Any, prepared: bool) -> Function:
    """The function of all examples, for traced arguments, inside the trace that they belong to.

    Args:
        in_axes: an axis for all positional arguments, or a tuple with one for each: None where it is the same for all examples, or
            a structure of axes. Keyword arguments are mapped along their first axis.
        out_axes: the axis of the examples in the results; or a structure of axes, None for what all examples have in common.
        prepared: whether the function looks after the arrays that it captures by itself.

    Raises:
        ArgumentError, ShapeError: the arguments do not fit `in_axes`, or the results `out_axes`.
        BatchError: a size in the function differs between examples.
    """
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if not (in_axes is None or isinstance(in_axes, (int, tuple))):
        raise ArgumentError(f"vmap of {name}: in_axes must be an int, None, or a tuple of entries for the positional arguments, not "
                            f"{in_axes!r}{at(user_site())}")

    def of_examples(*args: Any, **kwargs: Any) -> Any:
        session = active_session()
        assert session is not None
        with located():
            leaves: list[Any] = []
            trees = [flatten(value, leaves) for value in (*args, *kwargs.values())]
            axes = list(_axes_of_arguments(name, in_axes, trees[:len(args)]))
            for key, tree in zip(kwargs, trees[len(args):], strict=True):
                axes += _leaf_axes(tree, 0, f"argument {key!r}", name)
            stacks: dict[Node, Node] = {}
            measured: list[tuple[Size, str]] = []
            for k, (axis, what) in enumerate(axes):
                if axis is not None:
                    operand = lift(leaves[k])
                    stack = moveaxis(operand.node, _normal(axis, operand.node, what, name), 0)
                    measured.append((stack.shape[0], f"axis {axis} of {what}, of shape {_shape(operand.node)}"))
                    stand_in = session.placeholder(constant(0, stack.dtype, stack.shape[1:]), "example")
                    stacks[stand_in] = stack
                    leaves[k] = Traced(View.of(stand_in), session, operand.weak)
            size = _one_size(measured, name)
            source = iter(leaves)
            values = [unflatten(tree, source) for tree in trees]
            run = function if prepared else session.prepare(function)
            results: list[Any] = []
            made = run(*values[:len(args)], **dict(zip(kwargs, values[len(args):], strict=True)))
            tree = flatten(result_of(made, name), results)
            outputs = [lift(leaf).node for leaf in results]
            try:
                batched = batch(outputs, stacks, size)
            except BatchError as error:
                raise BatchError(f"vmap of {name}{at(user_site())}: {error}") from None
            placed = []
            for (axis, what), node, whole in zip(_leaf_axes(tree, out_axes, "the result", name), outputs, batched, strict=True):
                if axis is None:
                    if not stacks.keys().isdisjoint(toposort([node])):
                        raise ArgumentError(f"vmap of {name}: out_axes is None for {what}, which differs between the examples"
                                            f"{at(user_site())}")
                    placed.append(node)
                else:
                    placed.append(moveaxis(whole, 0, _normal(axis, whole, what, name)))
            return unflatten(tree, iter([wrap(node) for node in placed]))

    return of_examples


def _shape(node: Node) -> str:
    """The sizes of the call that is traced."""
    session = active_session()
    assert session is not None
    return str(tuple(session.context.hint(s) for s in node.shape))


def _normal(axis: int, node: Node, what: str, name: str) -> int:
    """The axis, counted from the front.

    Raises:
        ShapeError: there is none.
    """
    if not -node.ndim <= axis < node.ndim:
        raise ShapeError(f"vmap of {name}: axis {axis} of {what} is asked for{at(user_site())}, which has {node.ndim} axes"
                         + (f" (its shape is {_shape(node)})" if node.ndim else ""))
    return axis % node.ndim


def _one_size(measured: Sequence[tuple[Size, str]], name: str) -> Size:
    """The number of examples, on which all mapped axes agree.

    Raises:
        ArgumentError, ShapeError: none is mapped, or two differ.
    """
    if not measured:
        raise ArgumentError(f"vmap of {name}: no argument is mapped{at(user_site())}: in_axes must not be None for all of them")
    size, first = measured[0]
    for other, what in measured[1:]:
        if not sizes.equal(size, other):
            session = active_session()
            assert session is not None
            a, b = session.context.hint(size), session.context.hint(other)
            raise ShapeError(f"vmap of {name}: the mapped axes have different sizes{at(user_site())}: {a} is {first}; {b} is {what}")
    return size


def _axes_of_arguments(name: str, in_axes: Any, trees: Sequence[Tree]) -> Iterator[tuple[int | None, str]]:
    if isinstance(in_axes, tuple) and len(in_axes) != len(trees):
        raise ArgumentError(f"vmap of {name}: in_axes has {len(in_axes)} entries for {len(trees)} positional arguments{at(user_site())}")
    for k, tree in enumerate(trees):
        yield from _leaf_axes(tree, in_axes[k] if isinstance(in_axes, tuple) else in_axes, f"argument {k}", name)


def _leaf_axes(tree: Tree, axes: Any, what: str, name: str) -> Iterator[tuple[int | None, str]]:
    """For each leaf of a structure its axis, and what it is called; an axis stands for all that is below it.

    Raises:
        ArgumentError: the structures do not fit; or a number that is part of the program is to be mapped.
    """
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        if tree.kind == "static" and isinstance(axes, int) and isinstance(getattr(tree.info, "value", None), (int, complex)):
            raise ArgumentError(f"vmap of {name}: {what} is the number {tree.info.value!r}, which has no axis to map{at(user_site())}: "
                                "give it the axis None, or pass an array")
        if tree.kind in LEAVES:
            yield axes, what
        for k, child in enumerate(tree.children):
            yield from _leaf_axes(child, axes, f"{what}[{_keys(tree)[k]!r}]", name)
        return
    keys = _keys(tree)
    if isinstance(axes, Mapping) and tree.kind == "dict" and set(axes) == set(keys):
        entries = [axes[key] for key in keys]
    elif isinstance(axes, (tuple, list)) and tree.kind in ("tuple", "list", "namedtuple") and len(axes) == len(keys):
        entries = list(axes)
    else:
        raise ArgumentError(f"vmap of {name}: the axes {axes!r} do not fit the structure of {what}{at(user_site())}, "
                            f"{f'a {tree.kind} of {len(keys)}' if keys else 'which is one array or number'}")
    for key, child, entry in zip(keys, tree.children, entries, strict=True):
        yield from _leaf_axes(child, entry, f"{what}[{key!r}]", name)


def _keys(tree: Tree) -> Sequence[Any]:
    """What the children are called."""
    return tree.info[1] if tree.kind in ("dict", "dataclass") else range(len(tree.children))
