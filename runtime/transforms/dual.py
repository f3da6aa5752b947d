"""`chainrule.autograd.forward_ad`: tensors with tangents."""
from __future__ import annotations

import threading
from typing import NamedTuple

from ..tensor.tensor import Tensor
from .level import Level, pushed_forward

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` gives; the tangent is None where there is none."""

    primal: Tensor
    tangent: Tensor | None


class _Dual:
    """A dual level: the tensors that carry a tangent."""

    def __init__(self) -> None:
        self.level = Level()
        self.inputs: list[Tensor] = []
        self.tangents: list[Tensor] = []


class _Levels(threading.local):
    def __init__(self) -> None:
        self.stack: list[_Dual] = []


_levels = _Levels()


def enter_dual_level() -> int:
    """Begin a dual level.

    Raises:
        RuntimeError: there is one already.
    """
    if _levels.stack:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.stack.append(_Dual())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the dual level: tangents are gone.

    Raises:
        RuntimeError: there is none.
    """
    if not _levels.stack:
        raise RuntimeError("Trying to exit a forward AD level but no level was entered.")
    _levels.stack.pop()


class dual_level:
    """A dual level for the time of the block."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_error: object) -> None:
        exit_dual_level()


def _current() -> _Dual:
    if not _levels.stack:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() "
                           "first.")
    return _levels.stack[-1]


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A tensor with the contents of `tensor` whose derivative is `tangent`.

    Raises:
        RuntimeError: no dual level, or the tangent has another shape.
        ValueError: not of a floating dtype.
    """
    dual = _current()
    for what, item in (("primal", tensor), ("tangent", tangent)):
        if not item._dtype.is_floating_point:
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {item._dtype}")
    if tensor._shape != tangent._shape:
        raise RuntimeError(f"Expected tangent to have the same shape as the primal, but got {list(tangent._shape)} and "
                           f"{list(tensor._shape)}")
    made = dual.level.enter(tensor)
    dual.inputs.append(made)
    dual.tangents.append(tangent)
    return made


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor without its tangent, and the tangent."""
    if not _levels.stack:
        return UnpackedDualTensor(tensor, None)
    dual = _levels.stack[-1]
    if not dual.inputs or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    (found,) = pushed_forward([tensor], dual.inputs, dual.tangents, create_graph=dual.level.reaches_outside([tensor, *dual.tangents]))
    return UnpackedDualTensor(dual.level.leave(tensor), None if found is None else dual.level.leave(found))
