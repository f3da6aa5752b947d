"""Structures of arguments and results: nested tuples, lists, dicts, named tuples and dataclasses of arrays."""
from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...compiler.errors import ArgumentError, DTypeError
from ...compiler.provenance import at, user_site
from ...compiler.trace import is_traced
from .specification import Spec

__all__ = ["LEAVES", "Tree", "flatten", "float_leaves", "is_tensor", "leaf_names", "map_leaves", "unflatten"]


class Tree(NamedTuple):
    """The structure of a value, hashable: equal trees hold values that one program serves, but for sizes.

    kind: `weak` a Python float, `weakint` a Python int that is traced; `array` (dtype, number of axes, which axes have
    size 1); `traced`; `static` anything that is part of the signature by value or identity; else a container with children.
    """

    kind: str
    info: Any = None
    children: tuple[Tree, ...] = ()


class Identity:
    """An object as part of a key: equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.value is self.value

    def __repr__(self) -> str:
        return f"{type(self.value).__name__} object"


class ByValue(NamedTuple):
    """A plain value as part of a key: 1, 1.0 and True stay apart."""

    type: type
    value: Any

    def __repr__(self) -> str:
        return repr(self.value)


_TENSOR_MODULE = __name__.rpartition(".function.")[0] + ".tensor.tensor"


def is_tensor(value: Any) -> bool:
    """Whether a value is a Tensor; without importing them."""
    module = sys.modules.get(_TENSOR_MODULE)
    return module is not None and isinstance(value, module.Tensor)


LEAVES = ("weak", "weakint", "array", "traced")
_PLAIN = (bool, int, str, bytes, type(None), np.integer, np.bool_, complex, range, np.dtype)
_WEAK = Tree("weak")
_TRACED = Tree("traced")


def flatten(value: Any, leaves: list[Any]) -> Tree:
    """The structure of `value`; its arrays and floats are appended to `leaves`.

    Raises:
        ArgumentError, DTypeError: an array-like, or an element type, that cannot be traced.
    """
    kind = type(value)
    if kind is np.ndarray:
        leaves.append(value)
        return _array_tree(value, False)
    if kind is float:
        leaves.append(value)
        return _WEAK
    if isinstance(value, _PLAIN):
        return Tree("static", ByValue(kind, value))
    if isinstance(value, (tuple, list)):
        tag = "namedtuple" if hasattr(value, "_fields") else "tuple" if isinstance(value, tuple) else "list"
        return Tree(tag, kind, tuple(flatten(v, leaves) for v in value))
    if isinstance(value, dict):
        return Tree("dict", (kind, tuple(value)), tuple(flatten(v, leaves) for v in value.values()))
    if isinstance(value, (np.floating, np.ndarray)):
        return _special_array(value, leaves)
    if is_traced(value):
        leaves.append(value)
        return _TRACED
    if isinstance(value, Spec):
        leaves.append(value)
        return Tree("array", (value.dtype.str, value.ndim, value.ones, *((value.promise,) if value.promise else ())))
    if isinstance(value, float):  # a subclass
        leaves.append(float(value))
        return _WEAK
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value) if hasattr(value, f.name))
        children = tuple(flatten(getattr(value, name), leaves) for name in names)
        return Tree("dataclass", (kind, names, Identity(value) if not children else None), children)
    if is_tensor(value):
        leaves.append(value)
        return _array_tree(value._array(), False)
    if hasattr(value, "__array__") and not isinstance(value, type):
        raise ArgumentError(f"an argument of type {type(value).__name__} is neither an array nor a number{at(user_site())}: pass "
                            "np.asarray(...) of it")
    return Tree("static", Identity(value))


def _special_array(value: Any, leaves: list[Any]) -> Tree:
    if isinstance(value, (np.matrix, np.ma.MaskedArray)):
        raise ArgumentError(f"a {type(value).__name__} has its own rules for operators{at(user_site())}: pass a plain array "
                            "(np.asarray of it)")
    plain = np.asarray(value)
    leaves.append(plain)
    return _array_tree(plain, not isinstance(value, np.ndarray))


def _array_tree(array: np.ndarray[Any, Any], scalar: bool) -> Tree:
    dtype = array.dtype
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        from ...compiler.trace.session import check_dtype

        check_dtype(dtype, "an argument")
        raise DTypeError(f"an argument of dtype {dtype} cannot be traced{at(user_site())}")
    shape = array.shape
    return Tree("array", (dtype.str, len(shape), tuple([k for k, n in enumerate(shape) if n == 1]) if 1 in shape else ()))


def leaf_trees(tree: Tree) -> Iterator[Tree]:
    """The trees of the leaves, in the order of `flatten`."""
    stack = [tree]
    while stack:
        item = stack.pop()
        if item.kind in LEAVES:
            yield item
        else:
            stack += reversed(item.children)


def is_float(tree: Tree) -> bool:
    """Whether a leaf has a derivative."""
    return tree.kind == "weak" or tree.kind == "traced" or (tree.kind == "array" and tree.info[0][1] == "f")


def float_leaves(tree: Tree) -> list[int]:
    """The positions, among the leaves of `tree`, of those that have a derivative."""
    return [k for k, leaf in enumerate(leaf_trees(tree)) if is_float(leaf)]


def unflatten(tree: Tree, leaves: Iterator[Any], static: Callable[[Any], Any] = lambda value: value) -> Any:
    """The value of this structure; `static` says what stands in place of a static value."""
    kind, info, children = tree
    if kind in LEAVES:
        return next(leaves)
    if kind == "static":
        return static(info.value)
    items = [unflatten(child, leaves, static) for child in children]
    if kind == "tuple":
        return tuple(items) if info is tuple else info(items)
    if kind == "list":
        return items if info is list else info(items)
    if kind == "namedtuple":
        return info(*items)
    if kind == "dict":
        made = dict(zip(info[1], items, strict=True))
        return made if info[0] is dict else _like_dict(info[0], made)
    made = object.__new__(info[0])  # a dataclass, without running __init__ and __post_init__ again
    for name, item in zip(info[1], items, strict=True):
        object.__setattr__(made, name, item)
    return made


def leaf_names(tree: Tree, name: str) -> list[str]:
    """What people call the leaves of a value that is called `name`: `name[0]`, `name['key']`, `name.field`."""
    kind, info, children = tree
    if kind in LEAVES:
        return [name]
    if kind == "static":
        return []
    if kind in ("tuple", "list"):
        ways = [f"[{k}]" for k in range(len(children))]
    elif kind == "dict":
        ways = [f"[{key!r}]" for key in info[1]]
    else:
        ways = [f".{field}" for field in (info._fields if kind == "namedtuple" else info[1])]
    return [leaf for way, child in zip(ways, children, strict=True) for leaf in leaf_names(child, name + way)]


def _like_dict(kind: type, items: dict[Any, Any]) -> Any:
    try:
        return kind(items)
    except TypeError:  # a defaultdict wants its factory first
        made = kind()
        made.update(items)
        return made


def map_leaves(function: Callable[[Any], Any], tree: Tree, leaves: Sequence[Any]) -> Any:
    """The structure with `function` of each leaf, and None for everything static."""
    return unflatten(tree, iter([function(leaf) for leaf in leaves]), lambda value: None)

