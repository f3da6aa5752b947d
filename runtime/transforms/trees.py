"""Nested tuples, lists and dicts, taken apart and put together again."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def is_container(tree: Any) -> bool:
    """Whether the tree has parts."""
    return isinstance(tree, (tuple, list, dict))


def children(tree: Any) -> list[Any]:
    """The parts of a container, in order."""
    return list(tree.values()) if isinstance(tree, dict) else list(tree)


def with_children(tree: Any, parts: Iterable[Any]) -> Any:
    """A container of the same kind with other parts."""
    if isinstance(tree, dict):
        made = tree.copy()
        made.update(zip(tree, parts, strict=True))
        return made
    return tree._make(parts) if hasattr(tree, "_make") else type(tree)(parts)


def leaves(tree: Any) -> Iterator[Any]:
    """What the containers contain, in order. None is a leaf."""
    if is_container(tree):
        for part in children(tree):
            yield from leaves(part)
    else:
        yield tree


def rebuilt(tree: Any, parts: Iterable[Any]) -> Any:
    """The same structure with other leaves."""
    source = iter(parts)

    def walk(node: Any) -> Any:
        return with_children(node, [walk(part) for part in children(node)]) if is_container(node) else next(source)

    return walk(tree)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with `function` of each leaf."""
    return rebuilt(tree, [function(leaf) for leaf in leaves(tree)])


def same_structure(first: Any, second: Any) -> bool:
    """Whether two trees differ in their leaves at most."""
    if is_container(first) != is_container(second):
        return False
    if not is_container(first):
        return True
    if isinstance(first, dict) != isinstance(second, dict) or isinstance(first, tuple) != isinstance(second, tuple):
        return False
    if isinstance(first, dict) and list(first) != list(second):
        return False
    a, b = children(first), children(second)
    return len(a) == len(b) and all(map(same_structure, a, b))


def broadcast(prefix: Any, tree: Any) -> list[Any] | None:
    """For each leaf of `tree` the leaf of `prefix` above it; None where the two do not fit."""
    if not is_container(prefix):
        return [prefix] * sum(1 for _ in leaves(tree))
    if not is_container(tree):
        return None
    above, below = children(prefix), children(tree)
    if len(above) != len(below) or (isinstance(prefix, dict) and (not isinstance(tree, dict) or list(prefix) != list(tree))):
        return None
    found: list[Any] = []
    for a, b in zip(above, below, strict=True):
        part = broadcast(a, b)
        if part is None:
            return None
        found += part
    return found
