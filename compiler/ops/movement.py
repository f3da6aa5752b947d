"""Movement: ops that only say which element goes where. All are linear, and each is another one's adjoint."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import ShapeError
from ..ir import f, make
from ..op import Names, Op, declare
from .reduction import check_axes
from .rules import one_dtype, shape_text, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ir import Node
    from ..op import Aval
    from ..sizes import Size


def after_first(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes behind a new first one."""
    return tuple(a + 1 for a in axes)


def _move(name: str, *, arity: int | None = 1, transpose: Callable[[Node, Node, int], Node], **more: Any) -> None:
    """A movement op: a mask moves as the cotangent does."""
    more.setdefault("mask", lambda mask, node, position: None if mask is None else transpose(mask, node, position))
    declare(Op(name=name, kind="movement", arity=arity, transpose=transpose, singular=False, **more))


def _reshape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,), shape = inputs, params["shape"]
    if not sizes.equal(sizes.product(x.shape), sizes.product(shape)):
        raise ShapeError(f"cannot reshape {shape_text(x.shape)} into {shape_text(shape)}: the sizes differ")
    return shape, x.dtype


_move("reshape", params=("shape",), infer=_reshape,
      evaluate=lambda x, *, shape: np.reshape(x, shape),
      transpose=lambda ct, node, position: f.reshape(ct, shape=node.inputs[0].shape),
      batch=lambda node, inputs, size: f.reshape(*inputs, shape=(size, *node.shape)),
      names=Names("reshape", r"\operatorname{{reshape}}_{{{shape}}}\left({0}\right)", "reshape({0}, {shape})",
                  "np.reshape({0}, {shape})"))


def _permute(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,), order = inputs, params["order"]
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"{order} is not an order of the axes of {shape_text(x.shape)}")
    return tuple(x.shape[k] for k in order), x.dtype


def inverse_order(order: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `order`."""
    return tuple(int(k) for k in np.argsort(order))


_move("permute", params=("order",), infer=_permute,
      evaluate=lambda x, *, order: np.transpose(x, order),
      transpose=lambda ct, node, position: f.permute(ct, order=inverse_order(node.param("order"))),
      batch=lambda node, inputs, size: f.permute(*inputs, order=(0, *after_first(node.param("order")))),
      names=Names("permute", r"{0}^{{\mathsf T}}", "permute({0}, {order})"))


def _expand(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,), shape, axes = inputs, params["shape"], params["axes"]
    check_axes(shape, axes, "expand")
    if len(axes) != x.ndim or not all(sizes.equal(x.shape[k], shape[a]) for k, a in enumerate(axes)):
        raise ShapeError(f"cannot expand {shape_text(x.shape)} to {shape_text(shape)} along {axes}")
    return shape, x.dtype


def _expand_evaluate(x: Any, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    x = np.asarray(x)
    return np.broadcast_to(x.reshape([shape[k] if k in axes else 1 for k in range(len(shape))]), shape)


def _repeated(node: Node) -> tuple[int, ...]:
    return tuple(k for k in range(node.ndim) if k not in node.param("axes"))


# Axis k of the input becomes axis axes[k] of the output; along the others the input repeats.
_move("expand", params=("shape", "axes"), infer=_expand, evaluate=_expand_evaluate,
      transpose=lambda ct, node, position: f.sum(ct, axes=_repeated(node)) if _repeated(node) else ct,
      mask=lambda mask, node, position: f.any(mask, axes=_repeated(node)) if mask and _repeated(node) else mask,
      batch=lambda node, inputs, size: f.expand(*inputs, shape=(size, *node.shape), axes=(0, *after_first(node.param("axes")))),
      names=Names("expand", "{0}", "{0}"))


def _slice(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    return params["shape"], inputs[0].dtype


def _window(start: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a, a + (n - 1) * s + 1 if n else a, s) for a, s, n in zip(start, step, shape, strict=True))


def _window_of_each(node: Node, inputs: tuple[Node, ...], size: Size) -> Node:
    start, step = (0, *node.param("start")), (1, *node.param("step"))
    return make(node.op, inputs, start=start, step=step, shape=(size, *node.shape))


# out[i] = x[start + i * step], step > 0, of the given shape; the maker has checked that it lies inside.
_move("slice", params=("start", "step", "shape"), infer=_slice,
      evaluate=lambda x, *, start, step, shape: x[_window(start, step, shape)],
      transpose=lambda ct, node, position: f.place(ct, start=node.param("start"), step=node.param("step"),
                                                   shape=node.inputs[0].shape),
      batch=lambda node, inputs, size: _window_of_each(node, inputs, size),
      names=Names("slice", r"{0}_{{[\cdot]}}", "slice({0}, {start}, {step}, {shape})"))


def _place_evaluate(x: Any, *, start: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, np.asarray(x).dtype)
    out[_window(start, step, np.shape(x))] = x
    return out


# Zeros of the given shape, but out[start + i * step] = x[i]: the adjoint of slice. Padding and writes are made of it.
_move("place", params=("start", "step", "shape"), infer=_slice, evaluate=_place_evaluate,
      transpose=lambda ct, node, position: f.slice(ct, start=node.param("start"), step=node.param("step"),
                                                   shape=node.inputs[0].shape),
      batch=lambda node, inputs, size: _window_of_each(node, inputs, size),
      names=Names("place", r"\operatorname{{place}}\left({0}\right)", "place({0}, {start}, {step}, {shape})"))


def _flip(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_axes(inputs[0].shape, params["axes"], "flip")
    return inputs[0].shape, inputs[0].dtype


_move("flip", params=("axes",), infer=_flip,
      evaluate=lambda x, *, axes: np.flip(x, axes),
      transpose=lambda ct, node, position: f.flip(ct, axes=node.param("axes")),
      batch=lambda node, inputs, size: f.flip(*inputs, axes=after_first(node.param("axes"))),
      names=Names("flip", r"\operatorname{{flip}}\left({0}\right)", "flip({0}, {axes})"))


def _concatenate(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    axis, first = params["axis"], inputs[0]
    for x in inputs[1:]:
        rest = without(x.shape, (axis,)), without(first.shape, (axis,))
        if x.ndim != first.ndim or not all(map(sizes.equal, *rest)):
            raise ShapeError(f"cannot concatenate {', '.join(shape_text(x.shape) for x in inputs)} along axis {axis}")
    total = sum((x.shape[axis] for x in inputs[1:]), start=first.shape[axis])
    return (*first.shape[:axis], total, *first.shape[axis + 1:]), one_dtype(inputs, "concatenate")


def _part(ct: Node, node: Node, position: int) -> Node:
    axis, x = node.param("axis"), node.inputs[position]
    start = [0] * node.ndim
    start[axis] = sum((i.shape[axis] for i in node.inputs[:position]), start=0)
    return f.slice(ct, start=tuple(start), step=(1,) * node.ndim, shape=x.shape)


_move("concatenate", arity=None, params=("axis",), infer=_concatenate, jointly=True,
      evaluate=lambda *xs, axis: np.concatenate(xs, axis=axis), transpose=_part,
      batch=lambda node, inputs, size: f.concatenate(*inputs, axis=node.param("axis") + 1),
      names=Names("concatenate", r"\left[{0}\right]", "concatenate({0})", "np.concatenate({0})"))


def _check_roles(roles: tuple[int, ...], axes: int, what: str) -> None:
    if set(roles) != set(range(axes)):
        raise ShapeError(f"{what}: {roles} does not name each of {axes} axes")


def _diagonal(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,), roles = inputs, params["roles"]
    if len(roles) != x.ndim:
        raise ShapeError(f"diagonal: {roles} for the axes of {shape_text(x.shape)}")
    _check_roles(roles, max(roles, default=-1) + 1, "diagonal")
    shape = tuple(x.shape[roles.index(k)] for k in range(max(roles, default=-1) + 1))
    if not all(sizes.equal(size, shape[k]) for size, k in zip(x.shape, roles, strict=True)):
        raise ShapeError(f"diagonal: axes of different sizes of {shape_text(x.shape)} are taken together by {roles}")
    return shape, x.dtype


def _diagonal_evaluate(x: Any, *, roles: tuple[int, ...]) -> Any:
    return np.einsum(x, list(roles), list(range(max(roles) + 1))) if roles else np.asarray(x)


def _of_examples(node: Node, inputs: tuple[Node, ...], size: Size) -> Node:
    return make(node.op, inputs, roles=(0, *after_first(node.param("roles"))))


# out[i] = x[i[roles[0]], i[roles[1]], ...]: axes of the input with the same role are walked together.
_move("diagonal", params=("roles",), infer=_diagonal, evaluate=_diagonal_evaluate,
      transpose=lambda ct, node, position: f.embed(ct, roles=node.param("roles")), batch=_of_examples,
      names=Names("diagonal", r"\operatorname{{diagonal}}\left({0}\right)", "diagonal({0}, {roles})"))


def _embed(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,), roles = inputs, params["roles"]
    _check_roles(roles, x.ndim, "embed")
    return tuple(x.shape[k] for k in roles), x.dtype


def _embed_evaluate(x: Any, *, roles: tuple[int, ...]) -> Any:
    if not roles:
        return np.asarray(x)
    out = np.zeros([np.shape(x)[k] for k in roles], np.asarray(x).dtype)
    np.einsum(out, list(roles), list(range(np.ndim(x))))[...] = x  # a view: einsum of one operand, with nothing summed
    return out


# The adjoint of diagonal: zeros, but out[i[roles[0]], i[roles[1]], ...] = x[i]. The zeros are structural: they are no factors.
_move("embed", params=("roles",), infer=_embed, evaluate=_embed_evaluate,
      transpose=lambda ct, node, position: f.diagonal(ct, roles=node.param("roles")), batch=_of_examples,
      names=Names("embed", r"\operatorname{{diag}}\left({0}\right)", "embed({0}, {roles})"))
