"""Mutable arrays on immutable nodes: storages, and views that read and write them through a chain of steps.

A storage holds the node that the whole array is now. A view is a storage and the steps that lead from it to what the view
shows. Writing through a view gives the storage another node, which every other view of it then sees; no node is changed.
Strides are those of the example, in elements, and serve one question only: whether a reshape is a view or a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from . import build, sizes
from .errors import ShapeError
from .ir import Node
from .sizes import Size

__all__ = ["Diagonal", "Flip", "Index", "Permute", "Repeat", "Reshape", "Step", "Storage", "View", "contiguous_strides", "reshaped_strides"]

Strides = tuple[int, ...]


class Step(Protocol):
    """One step from an array to a part or another arrangement of it."""

    def read(self, base: Node) -> Node:
        """What the view shows of `base`."""

    def write(self, base: Node, new: Node) -> Node:
        """`base` after `new`, of the view's shape, was written to what the view shows."""


class Index:
    """`base[key]`, a key of ints, slices, None and Ellipsis."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key

    def read(self, base: Node) -> Node:
        return build.index(base, self.key)

    def write(self, base: Node, new: Node) -> Node:
        return build.update(base, self.key, new)


class Permute:
    """Axes in another order."""

    __slots__ = ("order",)

    def __init__(self, order: Sequence[int]) -> None:
        self.order = tuple(order)

    def read(self, base: Node) -> Node:
        return build.permute(base, self.order)

    def write(self, base: Node, new: Node) -> Node:
        return build.permute(new, [self.order.index(k) for k in range(len(self.order))])


class Reshape:
    """The same elements in C order, in another shape."""

    __slots__ = ("shape",)

    def __init__(self, shape: Sequence[Size]) -> None:
        self.shape = tuple(shape)

    def read(self, base: Node) -> Node:
        return build.reshape(base, self.shape)

    def write(self, base: Node, new: Node) -> Node:
        return build.reshape(new, base.shape)


class Flip:
    """Axes in reverse."""

    __slots__ = ("axes",)

    def __init__(self, axes: Sequence[int]) -> None:
        self.axes = tuple(axes)

    def read(self, base: Node) -> Node:
        return build.flip(base, self.axes)

    def write(self, base: Node, new: Node) -> Node:
        return build.flip(new, self.axes)


class Diagonal:
    """The diagonal of two axes, as a new last axis."""

    __slots__ = ("axis1", "axis2", "offset")

    def __init__(self, offset: int, axis1: int, axis2: int) -> None:
        self.offset, self.axis1, self.axis2 = offset, axis1, axis2

    def read(self, base: Node) -> Node:
        return build.diagonal(base, self.offset, self.axis1, self.axis2)

    def write(self, base: Node, new: Node) -> Node:
        from .build.moving import iota

        ramp = iota((new.shape[-1],), 0)
        key: list[Any] = [slice(None)] * base.ndim
        key[self.axis1] = ramp + max(-self.offset, 0)
        key[self.axis2] = ramp + max(self.offset, 0)
        if abs(self.axis1 - self.axis2) != 1 or min(self.axis1, self.axis2) == 0:
            new = build.moveaxis(new, new.ndim - 1, 0)  # NumPy puts the axis of separated index arrays first
        else:
            new = build.moveaxis(new, new.ndim - 1, min(self.axis1, self.axis2))
        return build.update(base, tuple(key), new)


class Repeat:
    """A broadcast: one element stands at several places, so it cannot be written to."""

    __slots__ = ("shape",)

    def __init__(self, shape: Sequence[Size]) -> None:
        self.shape = tuple(shape)

    def read(self, base: Node) -> Node:
        return build.broadcast_to(base, self.shape)

    def write(self, base: Node, new: Node) -> Node:
        raise ShapeError("assignment destination is read-only: several of its elements are one place in memory; write to a copy of it")


class Storage:
    """A whole array that can be written to."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node


class View:
    """What a storage shows through a chain of steps."""

    __slots__ = ("_read", "_seen", "_strides", "steps", "storage")

    def __init__(self, storage: Storage, steps: tuple[Step, ...] = (), strides: Strides | None = None) -> None:
        self.storage = storage
        self.steps = steps
        self._strides = strides
        self._seen: Node | None = None  # the storage's node when `_read` was made
        self._read: Node = storage.node

    @classmethod
    def of(cls, node: Node) -> View:
        """A new array."""
        return cls(Storage(node))

    @property
    def strides(self) -> Strides:
        """The example's strides, in elements; of a whole array those of C order."""
        if self._strides is None:
            self._strides = contiguous_strides(_hints(self.storage.node))
        return self._strides

    def read(self) -> Node:
        """What the view shows now."""
        node = self.storage.node
        if not self.steps:
            return node
        if self._seen is not node:
            self._seen = node
            for step in self.steps:
                node = step.read(node)
            self._read = node
        return self._read

    def write(self, new: Node) -> None:
        """Replace what the view shows by `new`, of the same shape and dtype."""
        chain = [self.storage.node]
        for step in self.steps[:-1]:
            chain.append(step.read(chain[-1]))
        for step, base in zip(reversed(self.steps), reversed(chain), strict=False):
            new = step.write(base, new)
        self.storage.node = new

    def then(self, step: Step, strides: Strides) -> View:
        """A view of this view."""
        return View(self.storage, (*self.steps, step), strides)

    # ------------------------------------------------------------------------------------- the views that there are
    def index(self, key: tuple[Any, ...]) -> View:
        """The view of a key without index arrays."""
        shape = _hints(self.read())
        strides: list[int] = []
        used = sum(k is not None and k is not Ellipsis for k in key)
        axis = 0
        for k in key:
            if k is None:
                strides.append(0)
            elif k is Ellipsis:
                strides += self.strides[axis : axis + len(shape) - used]
                axis += len(shape) - used
            else:
                if isinstance(k, slice):
                    strides.append(self.strides[axis] * (1 if k.step is None else int(k.step)))
                axis += 1
        return self.then(Index(key), (*strides, *self.strides[axis:]))

    def permute(self, order: Sequence[int]) -> View:
        """Axes in another order."""
        return self.then(Permute(order), tuple(self.strides[k] for k in order))

    def reshape(self, shape: Sequence[Size]) -> View | None:
        """The view of another shape, or None where NumPy has to copy."""
        node = self.read()
        target = _hints(build.reshape(node, shape))
        strides = reshaped_strides(_hints(node), self.strides, target)
        return None if strides is None else self.then(Reshape(shape), strides)

    def flip(self, axes: Sequence[int]) -> View:
        """Axes in reverse."""
        return self.then(Flip(axes), tuple(-s if k in axes else s for k, s in enumerate(self.strides)))

    def diagonal(self, offset: int, axis1: int, axis2: int) -> View:
        """The diagonal of two axes, last."""
        rest = tuple(s for k, s in enumerate(self.strides) if k not in (axis1, axis2))
        return self.then(Diagonal(offset, axis1, axis2), (*rest, self.strides[axis1] + self.strides[axis2]))

    def repeat(self, shape: Sequence[Size]) -> View:
        """A broadcast, which is read-only."""
        return self.then(Repeat(shape), (0,) * len(shape))


def _hints(node: Node) -> tuple[int, ...]:
    context = sizes.active.context
    return tuple(s if isinstance(s, int) else context.hint(s) if context is not None else 2 for s in node.shape)


def contiguous_strides(shape: Sequence[int]) -> Strides:
    """Strides, in elements, of C order."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.insert(0, step)
        step *= max(extent, 1)
    return tuple(strides)


def reshaped_strides(shape: Sequence[int], strides: Strides, wanted: Sequence[int]) -> Strides | None:
    """Strides of a view of another shape with as many elements; None where only a copy has that shape.

    Groups of axes that lie in one run of memory may be split and joined; NumPy's `_attempt_nocopy_reshape`.
    """
    if 0 in shape or 0 in wanted:
        return contiguous_strides(wanted)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = [0] * len(wanted)
    i = j = 0
    while i < len(old):
        last, have, want, first = i + 1, old[i][0], wanted[j], j
        j += 1
        while have != want:
            if have < want:
                if old[last - 1][1] != old[last][0] * old[last][1]:
                    return None
                have *= old[last][0]
                last += 1
            else:
                want *= wanted[j]
                j += 1
        step = old[last - 1][1]
        for k in range(j - 1, first - 1, -1):
            result[k] = step
            step *= wanted[k]
        i = last
    return tuple(result)
