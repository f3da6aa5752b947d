"""What recorded Values compute, without their contents: the key under which a program for them is found, and its graph."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...compiler.errors import InternalError
from ...compiler.ir import Node, current, make
from ...compiler.provenance import Site
from .value import Array, Value

Aval = tuple[str, tuple[Any, ...]]


class Structure(NamedTuple):
    """Pending Values as a program.

    Attributes:
        steps: the Values, inputs first.
        items: the Values that they read from outside: each once, but a Python number once for every use.
        places: for each step, where its inputs are: `k` is an item, `-1 - k` is a step.
    """

    steps: Sequence[Value]
    items: list[Value]
    places: list[tuple[int, ...]]

    def key(self) -> Any:
        """Everything about it but the contents of its items."""
        return self._key(tuple([(v.dtype.char, v.shape, v.array is None, v.mask is not None) for v in self.items]))

    def general_key(self) -> Any:
        """The same without the sizes of the items, but for which of them are 1; those among the parameters stay."""
        return self._key(tuple([(v.dtype.char, tuple([n == 1 for n in v.shape]), v.array is None, v.mask is not None) for v in self.items]))

    def _key(self, items: Any) -> Any:
        return items, tuple([(v.recipe, v.params, v.index, *p) for v, p in zip(self.steps, self.places, strict=True)])

    def leaves(self) -> list[Value]:
        """What a program gets, in order: the items that have arrays, then their masks."""
        there = [v for v in self.items if v.array is not None]
        return there + [v.mask for v in there if v.mask is not None]

    def arrays(self) -> list[Array]:
        """The contents of the leaves."""
        return [v.array for v in self.leaves()]  # type: ignore[misc]

    def emit(self, inputs: Sequence[Node]) -> tuple[list[Node], list[Node | None]]:
        """The node and the mask of every step.

        Args:
            inputs: nodes for the leaves.
        """
        leaves = iter(inputs)
        nodes = [next(leaves) if v.array is not None else make("input", shape=v.shape, dtype=v.dtype, position=-2, name="absent")
                 for v in self.items]
        masks: list[Node | None] = [next(leaves) if v.array is not None and v.mask is not None else None for v in self.items]
        made: list[Node] = []
        made_masks: list[Node | None] = []
        before = current.sites
        try:
            for value, places in zip(self.steps, self.places, strict=True):
                current.sites = _sites(value.site)
                assert value.recipe is not None
                node, mask = value.recipe.emit([nodes[k] if k >= 0 else made[-1 - k] for k in places],
                                               [masks[k] if k >= 0 else made_masks[-1 - k] for k in places], value.params, value.index)
                made.append(node)
                made_masks.append(mask)
        finally:
            current.sites = before
        return made, made_masks


def _sites(site: Site | None) -> frozenset[Site]:
    return frozenset() if site is None else frozenset((site,))


def check_promise(value: Value, shape: Sequence[Any], node: Node) -> None:
    """Whether a step's node is what its rule said.

    Raises:
        InternalError: it is not.
    """
    if tuple(shape) != value.shape or node.dtype != value.dtype:
        raise InternalError(f"{value.recipe} promised {value.dtype}{list(value.shape)} and made {node!r}")


def structure_of(order: Sequence[Value]) -> Structure:
    """The structure of pending Values, inputs first."""
    position = {id(value): -1 - k for k, value in enumerate(order)}
    items: list[Value] = []
    places: list[tuple[int, ...]] = []
    for value in order:
        found = []
        for item in value.inputs:
            at = position.get(id(item))
            if at is None:
                at = len(items)
                items.append(item)
                if not item.number:
                    position[id(item)] = at
            found.append(at)
        places.append(tuple(found))
    return Structure(order, items, places)
