"""Gradients compared with central differences: `gradcheck`, `gradgradcheck`."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..runtime.tensor.engine import grad
from ..runtime.tensor.modes import enable_grad, no_grad
from ..runtime.tensor.tensor import Tensor, wrap_array

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient differs from the difference quotients."""


GradcheckError.__module__ = "torch.autograd.gradcheck"


def _tuple(items: Any) -> tuple[Any, ...]:
    return tuple(items) if isinstance(items, (tuple, list)) else (items,)


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    return [out for out in _tuple(func(*inputs)) if isinstance(out, Tensor) and out.dtype.is_floating_point]


def _numerical(func: Callable[..., Any], inputs: Sequence[Any], position: int, eps: float) -> list[Any]:
    """For each output the Jacobian, (elements of the input, elements of the output), by central differences."""
    base = np.array(inputs[position]._array())
    columns: list[list[Any]] = []
    for index in np.ndindex(base.shape):
        sides = []
        for step in (eps, -eps):
            moved = base.copy()
            moved[index] += step
            changed = [*inputs[:position], wrap_array(moved), *inputs[position + 1:]]
            with no_grad():
                sides.append([np.array(out._array()).ravel() for out in _outputs(func, changed)])
        columns.append([(high - low) / (2 * eps) for high, low in zip(*sides, strict=True)])
    return [np.stack(column) for column in zip(*columns, strict=True)]


def _analytical(outputs: Sequence[Tensor], target: Tensor) -> list[Any]:
    """For each output the Jacobian, by a backward pass for each of its elements."""
    found = []
    for out in outputs:
        rows = []
        for index in np.ndindex(out._shape):
            ct = np.zeros(out._shape, out._array().dtype)
            ct[index] = 1
            (row,) = grad(out, target, wrap_array(ct), retain_graph=True, allow_unused=True) if out.requires_grad else (None,)
            rows.append(np.zeros(target.numel()) if row is None else np.array(row._array()).ravel())
        found.append(np.stack(rows, 1) if rows else np.zeros((target.numel(), 0)))
    return found


def gradcheck(func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
              raise_exception: bool = True,
              nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
              check_batched_forward_grad: bool = False, check_forward_ad: bool = False, check_backward_ad: bool = True,
              fast_mode: bool = False,
              masked: bool | None = None) -> bool:
    """Whether the gradients of `func` at `inputs` (float64 tensors that require grad) agree with central differences.

    Raises:
        GradcheckError: they do not, and `raise_exception` is true.
        ValueError: no input requires grad.
    """
    given = _tuple(inputs)
    targets = [k for k, t in enumerate(given) if isinstance(t, Tensor) and t.requires_grad]
    if not targets:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have "
                         "requires_grad=True.")
    outputs = _outputs(func, given)
    for position in targets:
        numerical = _numerical(func, given, position, eps)
        analytical = _analytical(outputs, given[position])
        for k, (expected, actual) in enumerate(zip(numerical, analytical, strict=True)):
            if np.allclose(actual, expected, rtol, atol):
                continue
            if not raise_exception:
                return False
            raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input "
                                 f"{position},\nnumerical:{wrap_array(expected)}\nanalytical:{wrap_array(actual)}\n")
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6,
                  atol: float = 1e-5, rtol: float = 1e-3,
                  gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, **options: Any) -> bool:
    """`gradcheck` of the gradients of `func`, as functions of its inputs and of the cotangents (`grad_outputs`, by default drawn).

    Raises:
        GradcheckError: as `gradcheck`.
    """
    given = _tuple(inputs)
    outputs = _outputs(func, given)
    generator = np.random.default_rng(0)
    drawn = [wrap_array(generator.standard_normal(out._shape).astype(out._array().dtype)) for out in outputs]
    cts = drawn if grad_outputs is None else list(_tuple(grad_outputs))
    for ct in cts:
        ct._requires_grad = True
    targets = [k for k, t in enumerate(given) if isinstance(t, Tensor) and t.requires_grad]

    def gradients(*items: Any) -> tuple[Any, ...]:
        args, cotangents = items[: len(given)], items[len(given):]
        fresh = [_requiring(a) if k in targets else a for k, a in enumerate(args)]
        with enable_grad():
            outs = _outputs(func, fresh)
            return grad(outs, [fresh[k] for k in targets], cotangents, create_graph=True, allow_unused=True)

    return gradcheck(gradients, (*given, *cts), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)


def _requiring(tensor: Tensor) -> Tensor:
    if tensor.requires_grad:
        return tensor
    made = wrap_array(tensor._array())
    made._requires_grad = True
    return made
