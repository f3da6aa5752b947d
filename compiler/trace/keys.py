"""Indices of the user's code as the shared constructors take them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import IndexingError
from ..ir import Node
from ..provenance import at, user_site
from .operands import contains_traced, lift
from .session import require_session
from .symint import SymInt

__all__ = ["lift_key", "plain_key"]


def lift_key(key: Any) -> tuple[Any, ...]:
    """An index as the shared constructors take it: ints, sizes, slices, None, Ellipsis and nodes.

    Raises:
        IndexingError: a float, text, or an array of them.
    """
    lifted: list[Any] = []
    for k in key if isinstance(key, tuple) else (key,):
        lifted += _lift_one(k)
    return tuple(lifted)


def _lift_one(k: Any) -> list[Any]:
    if k is None or k is Ellipsis or isinstance(k, (bool, np.bool_)):
        return [k if not isinstance(k, np.bool_) else bool(k)]
    if isinstance(k, SymInt):
        return [k.size]
    if isinstance(k, slice):
        return [slice(_bound(k.start), _bound(k.stop), None if k.step is None else operator.index(k.step))]
    if isinstance(k, (int, np.integer)):
        return [int(k)]
    if isinstance(k, (list, np.ndarray)) and not contains_traced(k):
        return _lift_plain(np.asarray(k) if len(k) or isinstance(k, np.ndarray) else np.zeros(0, np.int64))
    node = lift(k).node
    if node.dtype.kind not in "iub":
        raise IndexingError(
            f"an index of dtype {node.dtype} is not an integer or boolean array{at(user_site())}: convert it with .astype(int)"
        )
    return [node]


def _lift_plain(array: np.ndarray[Any, Any]) -> list[Any]:
    """A plain index array; of a constant mask the positions are known."""
    if array.dtype.kind not in "iub":
        raise IndexingError(
            f"an index of dtype {array.dtype} is not an integer or boolean array{at(user_site())}: convert it with .astype(int)"
        )
    operand = lift(array)
    captured = operand.node.op.name == "input"
    if array.dtype.kind == "b" and array.ndim and not (captured and _may_change(operand.node)):
        return [lift(positions).node for positions in np.nonzero(array)]
    return [operand.node]


def _may_change(node: Node) -> bool:
    """Whether a captured array may be another one at the next call, so that its contents are not known."""
    return any(c.node is node and c.origin is not None for c in require_session("an array").captured.values())


def _bound(value: Any) -> Any:
    if value is None:
        return None
    return value.size if isinstance(value, SymInt) else operator.index(value)


def plain_key(key: tuple[Any, ...]) -> Any:
    """A key of one entry as that entry."""
    return key[0] if len(key) == 1 else key
