"""`cr.cond` and `cr.checkpoint`: parts of a program that run as a whole, or not at all."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler import build, sizes
from ...compiler.errors import ArgumentError, DTypeError, ShapeError
from ...compiler.ir import Node, f, make, noting_nodes
from ...compiler.provenance import at, user_site
from ...compiler.trace import Session, Traced, active_session, is_traced, located, wrap
from .bodies import aval, bodies, leaves, packed, packed_dtype, read_by, unpacked, vector
from .structure import Tree, flatten, is_tensor, unflatten

__all__ = ["checkpoint", "cond"]

Function = Callable[..., Any]


# ------------------------------------------------------------------------------------------------ cond
def cond(pred: Any, true_fn: Function, false_fn: Function, operands: Any = ()) -> Any:
    """`true_fn(*operands)` where `pred` is true, else `false_fn(*operands)`, as `torch.cond`.

    Where `pred` is a value of the function that is traced, both branches are traced and one of them runs. Under `cr.vmap`, where the
    examples take different branches, both run, and the results are selected. A `pred` that is a number, an array or a
    Tensor chooses at once, and only that branch is called.

    Args:
        pred: a truth value, or an array with one element.
        true_fn, false_fn: return the same structure, with the same shapes and dtypes. They may read values around them.
        operands: a tuple or list of what they are called with.

    Raises:
        RuntimeError: arguments of other types, with torch's messages.
        ArgumentError, ShapeError, DTypeError: the branches return different structures, shapes or dtypes.
    """
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    tensor = is_tensor(pred)
    if not isinstance(operands, (tuple, list)) or (tensor and not _all_tensors(operands)):
        raise RuntimeError("Expect operands to be a tuple of possibly nested dict/list/tuple that only "
                           f"consists of tensor leaves, but got {operands}.")
    session = active_session()
    if session is not None and is_traced(pred):
        with located():
            return _branches(session, pred, true_fn, false_fn, operands)
    value = pred._array() if tensor else pred
    if not isinstance(value, (bool, int, float, np.generic, np.ndarray)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if np.size(value) != 1:
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    return (true_fn if np.asarray(value).item() else false_fn)(*operands)


def _all_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        value = tuple(value.values())
    return all(map(_all_tensors, value)) if isinstance(value, (tuple, list)) else is_tensor(value)


def _branches(session: Session, pred: Traced, true_fn: Function, false_fn: Function, operands: Sequence[Any]) -> Any:
    if not all(sizes.equal(size, 1) for size in pred.node.shape):
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {aval(pred.node)}{at(user_site())}.")
    chooses = build.reshape(pred.node, ())
    chooses = chooses if chooses.dtype.kind == "b" else f.ne(chooses, 0)
    made: set[Node] = set()
    results: list[tuple[Tree, list[Traced]]] = []
    for function in (true_fn, false_fn):
        with noting_nodes() as nodes:
            results.append(leaves(session.prepare(function)(*_anew(operands))))
        made |= nodes
    with noting_nodes() as nodes:
        tree, outputs, likes, weak = _agreed(results)
    made |= nodes
    several = len(likes) != 1
    dtype = packed_dtype(likes)
    with noting_nodes() as nodes:
        programs = [[vector([packed(n, 0, dtype) for n in some], dtype)] if several else some for some in outputs]
    made |= nodes
    read = read_by([p for some in programs for p in some], made - set(_nodes(operands)))
    (yes, no), read, names, values = bodies(session, programs, [], read)
    node = make("cond", [chooses, *read], then=yes, otherwise=no, names=names, values=values)
    found = unpacked(node, likes, 0, ()) if several else [node]
    return unflatten(tree, iter([wrap(n, w) for n, w in zip(found, weak, strict=True)]))


def _anew(value: Any) -> Any:
    """A structure whose traced values are handles of their own: writing to one of them changes nothing outside."""
    found: list[Any] = []
    tree = flatten(value, found)
    return unflatten(tree, iter([wrap(leaf.node, leaf.weak) if is_traced(leaf) else leaf for leaf in found]))


def _nodes(value: Any) -> list[Node]:
    """The nodes of the traced values in a structure: what a branch is given is not what it makes."""
    found: list[Any] = []
    flatten(value, found)
    return [leaf.node for leaf in found if is_traced(leaf)]


def _agreed(results: list[tuple[Tree, list[Traced]]]) -> tuple[Tree, list[list[Node]], list[Node], list[Any]]:
    """The structure, the outputs of both branches, with plain numbers in the dtype of the other branch's, and nodes like the results."""
    (tree, yes), (other, no) = results
    if len(yes) != len(no):
        raise ArgumentError("Expected to return same number of outputs but got:\n"
                            f"  true branch returns {len(yes)} item(s)\n  false branch returns {len(no)} item(s){at(user_site())}")
    if tree != other:
        raise ArgumentError(f"the branches of cr.cond return different structures{at(user_site())}: {_shown(tree)} and {_shown(other)}")
    pairs: list[tuple[Node, Node]] = []
    weak: list[Any] = []
    for k, (a, b) in enumerate(zip(yes, no, strict=True)):
        one, two = a.node, b.node
        if one.dtype != two.dtype and (a.weak is None) != (b.weak is None):
            one, two = (build.cast(one, two.dtype), two) if a.weak is not None else (one, build.cast(two, one.dtype))
        if one.ndim != two.ndim or not all(map(sizes.equal, one.shape, two.shape)):
            raise ShapeError(f"the branches of cr.cond return different shapes for output {k}{at(user_site())}: {aval(one)} where the "
                             f"predicate is true, {aval(two)} where it is false")
        if one.dtype != two.dtype:
            raise DTypeError(f"the branches of cr.cond return different dtypes for output {k}{at(user_site())}: {aval(one)} where the "
                             f"predicate is true, {aval(two)} where it is false; cast one of them")
        pairs.append((one, two))
        weak.append(a.weak if b.weak is not None else None)
    return tree, [[one for one, _ in pairs], [two for _, two in pairs]], [one for one, _ in pairs], weak


def _shown(tree: Tree) -> str:
    if not tree.children:
        return "*" if tree.kind != "static" else repr(tree.info)
    inner = ", ".join(map(_shown, tree.children))
    return f"[{inner}]" if tree.kind == "list" else f"{{{inner}}}" if tree.kind == "dict" else f"({inner})"


# ------------------------------------------------------------------------------------------------ checkpoint
_OF_TORCH = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")
_OF_JAX = ("prevent_cse", "static_argnums", "concrete", "policy")


def checkpoint(function: Function, *args: Any, **kwargs: Any) -> Any:
    """`function`, of which derivatives keep the arguments only and compute again what is in between.

    With arguments it is torch's `checkpoint(function, *args, use_reentrant=False)`, and calls the function. Without arguments, and
    without options of torch's, it is JAX's `checkpoint(function)`, also as a decorator, and gives the function that does so.

    It is for functions that are traced. Elsewhere it calls the function: NumPy keeps nothing, and Tensors keep their records.

    Args:
        kwargs: options of torch's or JAX's, which change nothing here, but that JAX's `policy` must be None; what else there is, the
            function gets.

    Raises:
        ArgumentError: `function` cannot be called, or a policy is given.
    """
    if not callable(function):
        raise ArgumentError(f"cr.checkpoint takes a function, not {type(function).__name__}{at(user_site())}")
    if not args and kwargs.keys() <= set(_OF_JAX):
        if kwargs.get("policy") is not None:
            raise ArgumentError(f"cr.checkpoint has no policies{at(user_site())}: what a checkpointed function computes is computed again")
        return functools.wraps(function, updated=())(lambda *a, **k: _checkpointed(function, a, k))
    return _checkpointed(function, args, {name: value for name, value in kwargs.items() if name not in _OF_TORCH})


def _checkpointed(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session = active_session()
    if session is None:
        return function(*args, **kwargs)
    with located():
        with noting_nodes() as made:
            given, named = _anew((args, kwargs))
            tree, results = leaves(session.prepare(function)(*given, **named))
            likes = [leaf.node for leaf in results]
            dtype = packed_dtype(likes)
            outputs = likes if len(likes) == 1 else [vector([packed(n, 0, dtype) for n in likes], dtype)]
        (body,), read, names, values = bodies(session, [outputs], [], read_by(outputs, made - set(_nodes((args, kwargs)))))
        node = make("checkpoint", read, body=body, names=names, values=values)
        found = [node] if len(likes) == 1 else unpacked(node, likes, 0, ())
        return unflatten(tree, iter([wrap(n, leaf.weak) for n, leaf in zip(found, results, strict=True)]))
