"""Handles of hooks, and hooks on tensors."""
from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """Returned where a hook is registered; `remove()` takes it off again. Also a context manager."""

    def __init__(self, hooks: dict[int, Any], hook: Callable[..., Any], first: bool = False) -> None:
        self.id = next(_ids)
        self._hooks = hooks
        others = dict(hooks) if first else {}
        for key in others:
            del hooks[key]
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        """Take the hook off; a second time does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_error: object) -> None:
        self.remove()


def register_hook(self: Any, hook: Callable[[Any], Any]) -> RemovableHandle:
    """Call `hook(grad)` when this tensor's gradient has been computed; it may return another gradient."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node = self.grad_fn
    if node is None:
        meta = self._ensure_meta()
        if meta.hooks is None:
            meta.hooks = {}
        return RemovableHandle(meta.hooks, hook)
    return RemovableHandle(node.ensure_extras().tensor_hooks.setdefault(self._output_nr, {}), hook)


def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Any], None]) -> RemovableHandle:
    """Call `hook(leaf)` after a gradient was added to this leaf's `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    meta = self._ensure_meta()
    if meta.post_hooks is None:
        meta.post_hooks = {}
    return RemovableHandle(meta.post_hooks, hook)


def retain_grad(self: Any) -> None:
    """Fill `.grad` of this tensor in the backward pass although it is no leaf."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    node = self.grad_fn
    if node is None:
        return
    meta = self._ensure_meta()
    if meta.retains_grad:
        return
    meta.retains_grad = True
    node.ensure_extras().retains[self._output_nr] = weakref.ref(self)


def retains_grad(self: Any) -> bool:
    """Whether `retain_grad` was called on this tensor, which is no leaf."""
    return self.grad_fn is not None and self._meta is not None and self._meta.retains_grad
