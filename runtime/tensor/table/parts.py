"""Views of several parts of one tensor, and tensors that become views of themselves."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ....compiler.ir import Node
from ..geometry import wrap_dim
from ..node import node_class
from ..row import METHODS, Call, ViewRow, alias_view, call, composite, edges_of
from ..tape import leave
from ..tensor import Geometry, Tensor
from ..value import Recipe, Value, absent
from .views import PERMUTE, SELECT, SLICE, SQUEEZE, UNSQUEEZE, exchanged


# ---------------------------------------------------------------- several parts
class _Parts(Recipe):
    """Several views of one tensor; the parameters are the step of each."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int) -> tuple[Node, Node | None]:
        row, arguments = params[index]
        return row.build(nodes[0], *arguments), None


PARTS = _Parts()


def parts_of(self: Tensor, row: ViewRow, calls: Sequence[Call], name: str) -> tuple[Tensor, ...]:
    """Views that are the outputs of one node; in-place operations on them are refused where gradients are recorded."""
    made = tuple([alias_view(self, row, c.params, c.shape, c.strides, c.offset) for c in calls])
    for part in made:
        meta = part._ensure_meta()
        meta.creation = meta.creation or "multi"
    edges = edges_of((self,))
    if edges is not None and self._dtype.is_floating_point:
        source = absent(self._value)
        results = tuple([Value(None, (), (), part._shape, source.dtype) for part in made])
        node = node_class(name)(PARTS, tuple([(row, c.params) for c in calls]), (source,), results, edges,
                                tuple([(part._shape, part._dtype) for part in made]), tuple(range(len(made))))
        for k, part in enumerate(made):
            part._grad_fn, part._output_nr = node, k
    return made


def _cut(self: Tensor, axis: int, cuts: Sequence[tuple[int, int]], name: str) -> tuple[Tensor, ...]:
    return parts_of(self, SLICE, [SLICE.rule(self, axis, a, b, 1) for a, b in cuts], name)


@composite("split")
def _split(self: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    axis = wrap_dim(dim, len(self._shape))
    if isinstance(split_size_or_sections, (tuple, list)):
        return call("split_with_sizes", self, split_size_or_sections, axis)  # type: ignore[no-any-return]
    size = split_size_or_sections
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    total = self._shape[axis]
    if size == 0 and total:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {total}")
    starts = range(0, total, size) if total else [0]
    return _cut(self, axis, [(a, min(a + size, total)) for a in starts], "SplitBackward0")


@composite("split_with_sizes")
def _split_with_sizes(self: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    axis = wrap_dim(dim, len(self._shape))
    if sum(split_sizes) != self._shape[axis]:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {self._shape[axis]} (input "
                           f"tensor's size at dimension {axis}), but got split_sizes={list(split_sizes)}")
    ends = list(itertools.accumulate(split_sizes))
    return _cut(self, axis, [(b - size, b) for size, b in zip(split_sizes, ends, strict=True)], "SplitWithSizesBackward0")


@composite("chunk")
def _chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    axis = wrap_dim(dim, len(self._shape))
    return call("split", self, -(-self._shape[axis] // chunks), axis)  # type: ignore[no-any-return]


@composite("tensor_split")
def _tensor_split(self: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    axis = wrap_dim(dim, len(self._shape))
    total = self._shape[axis]
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        ends = [k * (total // n) + min(k, total % n) for k in range(1, n)]
    else:
        ends = [min(max(int(i) + (total if i < 0 else 0), 0), total) for i in indices_or_sections]
    cuts = itertools.pairwise([0, *ends, total])
    return tuple(call("slice_axis", self, axis, a, max(a, b), 1) for a, b in cuts)


for _name, _axis in (("hsplit", 1), ("vsplit", 0), ("dsplit", 2)):
    composite(_name)(lambda self, sections, axis=_axis: call("tensor_split", self, sections, axis if axis != 1 or self.dim() > 1 else 0))


@composite("unbind")
def _unbind(self: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    if not self._shape:
        raise RuntimeError("Dimension specified as 0 but tensor has no dimensions")
    axis = wrap_dim(dim, len(self._shape))
    return parts_of(self, SELECT, [SELECT.rule(self, axis, k) for k in range(self._shape[axis])], "UnbindBackward0")


# ---------------------------------------------------------------- views of itself
def _becomes(name: str, arguments: Callable[..., tuple[Any, ...]], row: ViewRow) -> None:
    """An in-place view operation: the tensor itself takes the view's shape and strides."""

    def apply(self: Tensor, *args: Any) -> Tensor:
        made = row.rule(self, *arguments(self, *args))
        edges = edges_of((self,))
        leave(self)
        value = self._value
        self._geometry = Geometry(made.strides, made.offset, (*self._chain, (row, made.params)))
        self._shape = made.shape
        self._cache = self._cached = None
        self._counter.version += 1
        if edges is not None:
            if self._requires_grad:
                raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
            result = Value(None, (), (), self._shape, value.dtype)
            self._grad_fn = node_class(made.name or row.backward)(row, made.params, (absent(value),), (result,), edges,
                                                                  ((self._shape, self._dtype),))
        return self

    METHODS[name] = apply


def _transpose_arguments(self: Tensor, dim0: int, dim1: int) -> tuple[Any, ...]:
    ndim = len(self._shape)
    return (exchanged(ndim, wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)), "TransposeBackward0")


def _squeeze_arguments(self: Tensor, dim: int | None = None) -> tuple[Any, ...]:
    ndim = len(self._shape)
    wanted = range(ndim) if dim is None else [wrap_dim(dim, ndim)]
    return tuple(k for k in wanted if ndim and self._shape[k] == 1), "SqueezeBackward0" if dim is None else "SqueezeBackward1"


_becomes("t_", lambda self: (tuple(range(len(self._shape)))[::-1], "TBackward0"), PERMUTE)
for _name in ("transpose_", "swapaxes_", "swapdims_"):
    _becomes(_name, _transpose_arguments, PERMUTE)
_becomes("unsqueeze_", lambda self, dim: (dim,), UNSQUEEZE)
_becomes("squeeze_", _squeeze_arguments, SQUEEZE)
