"""Shape and dtype rules that several families share."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import DTypeError, ShapeError
from ..ir import f

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ir import Node
    from ..op import Shape

BOOL = np.dtype(bool)
INT64 = np.dtype(np.int64)


def shape_text(shape: Shape) -> str:
    """A shape as people write it: `(3, s0)`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def aval_text(node: Node) -> str:
    """`float64[3, s0]`, with the source line where the value was made."""
    site = min(node.sites, default=None)
    return f"{node.dtype}[{', '.join(map(str, node.shape))}]" + (f" from {site}" if site else "")


def unify(nodes: tuple[Node, ...], what: str) -> Shape:
    """The one shape of all nodes."""
    first = nodes[0].shape
    for node in nodes[1:]:
        if node.shape is not first and node.shape != first and (
            len(node.shape) != len(first) or not all(map(sizes.equal, first, node.shape))
        ):
            raise ShapeError(f"{what}: shapes {', '.join(shape_text(n.shape) for n in nodes)} differ")
    return tuple(map(sizes.resolve, first)) if sizes.active.context else first


def one_dtype(nodes: tuple[Node, ...], what: str) -> np.dtype[Any]:
    """The one dtype of all nodes."""
    for node in nodes[1:]:
        if node.dtype != nodes[0].dtype:
            raise DTypeError(f"{what}: dtypes {', '.join(str(n.dtype) for n in nodes)} differ")
    return nodes[0].dtype


def without(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """`shape` with axes removed."""
    return tuple(s for k, s in enumerate(shape) if k not in axes)


def mask_of_sums(transpose: Callable[[Node, Node, int], Node | None]
                 ) -> Callable[[Node | None, Node, int], Node | None]:
    """The mask rule of a linear op whose transpose adds cotangents up: where one of the terms may be non-zero."""
    def mask_of(mask: Node | None, node: Node, position: int) -> Node | None:
        terms = None if mask is None else transpose(f.cast(mask, dtype=INT64.name), node, position)
        return None if terms is None else f.gt(terms, 0)

    return mask_of
