"""`vmap`: a function of single examples, applied along an axis of its arguments."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..tensor.evaluate import ValueNeededError
from ..tensor.node import _sequence
from ..tensor.row import call
from ..tensor.table.random import default_generator
from ..tensor.tensor import Tensor
from .examples import all_examples, source, unknown_examples
from .trees import broadcast, leaves, mapped, rebuilt

Function = Callable[..., Any]


def _name(func: Any) -> str:
    if hasattr(func, "__name__"):
        return str(func.__name__)
    return f"functools.partial({_name(func.func)}, ...)" if isinstance(func, functools.partial) else repr(func)


def vmap(func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None) -> Function:
    """`func` applied to each example along the axes `in_dims` of its arguments, the results stacked along `out_dims`.

    Args:
        in_dims, out_dims: an axis for all, or a structure of axes that fits; None: the same for every example.

    Raises:
        ValueError, RuntimeError: the arguments do not fit `in_dims`, or the result does not fit `out_dims`.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        dims = _in_dims(func, in_dims, args)
        given = list(leaves(args))
        size = _batch_size(given, dims)
        if randomness != "different" and size > 0:
            try:
                return _at_once(func, args, kwargs, given, dims, size, out_dims, randomness)
            except ValueNeededError:
                pass  # an operation checks values, or makes as many elements as they say
        results = []
        for k in range(size):
            parts = [item if dim is None else call("select", item, dim, k) for item, dim in zip(given, dims, strict=True)]
            results.append(func(*rebuilt(args, parts), **kwargs))
        return _stacked(func, results, out_dims)

    return wrapper


def _at_once(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any], given: Sequence[Any], dims: Sequence[int | None], size: int,
             out_dims: Any, randomness: str) -> Any:
    """The results for all examples, from the function's steps for one.

    Raises:
        ValueNeededError: it has to know the contents of an example.
        RuntimeError: it draws random numbers, and whether they are the same for all examples was not said.
    """
    start = next(_sequence)
    drawn = default_generator.drawn
    sources = [None if dim is None else source(call("movedim", item, dim, 0)) for item, dim in zip(given, dims, strict=True)]
    parts = [item if one is None else one.example for item, one in zip(given, sources, strict=True)]
    with unknown_examples():
        output = func(*rebuilt(args, parts), **kwargs)
        if randomness == "error" and default_generator.drawn != drawn:
            raise RuntimeError("vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
                               "randomness flags on vmap or perform the randomness operation out of vmap")
    flat = list(leaves(output))
    axes = _out_dims(func, out_dims, output)
    batched = [_checked(func, item) for item, dim in zip(flat, axes, strict=True) if dim is not None]
    wholes = iter(all_examples(batched, [one for one in sources if one is not None], size, start))
    return rebuilt(output, [item if dim is None else call("movedim", next(wholes), 0, dim) for item, dim in zip(flat, axes, strict=True)])


def _checked(func: Function, item: Any) -> Tensor:
    if not isinstance(item, Tensor):
        raise ValueError(f"vmap({_name(func)}, ...): `{_name(func)}` must only return Tensors, got type {type(item)}. Did you mean to "
                         "set out_dims= to None for output?")
    return item


def _in_dims(func: Function, in_dims: Any, args: tuple[Any, ...]) -> list[int | None]:
    """The axis of each leaf of the arguments, not negative."""
    shown = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(f"{shown}expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
                         f"got: {type(in_dims)}.")
    if not args:
        raise ValueError(f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap "
                         "over a function with no inputs. The latter is unsupported.")
    flat = broadcast(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args)
    if flat is None:
        raise ValueError(f"{shown}in_dims is not compatible with the structure of `inputs`. in_dims has structure "
                         f"{mapped(lambda _: '*', in_dims)} but inputs has structure {mapped(lambda _: '*', args)}.")
    found: list[int | None] = []
    for item, dim in zip(leaves(args), flat, strict=True):
        if dim is not None and not isinstance(dim, int):
            raise ValueError(f"{shown}Got in_dim={dim} for an input but in_dim must be either an integer dimension or None.")
        if dim is not None and not isinstance(item, Tensor):
            raise ValueError(f"{shown}Got in_dim={dim} for an input but the input is of type {type(item)}. We cannot vmap over "
                             "non-Tensor arguments, please use None as the respective in_dim")
        if dim is not None and not -item.dim() <= dim < item.dim():
            raise ValueError(f"{shown}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {item.dim()} so "
                             f"expected in_dim to satisfy -{item.dim()} <= in_dim < {item.dim()}.")
        found.append(None if dim is None else dim % item.dim())
    return found


def _batch_size(given: Sequence[Any], dims: Sequence[int | None]) -> int:
    sizes = [item._shape[dim] for item, dim in zip(given, dims, strict=True) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if len(set(sizes)) > 1:
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped "
                         "dimension")
    return int(sizes[0])


def _out_dims(func: Function, out_dims: Any, output: Any) -> list[Any]:
    flat = broadcast(out_dims, output)
    if flat is None:
        raise ValueError(f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
                         f"`outputs`. out_dims has structure {mapped(lambda _: '*', out_dims)} but outputs has structure "
                         f"{mapped(lambda _: '*', output)}.")
    return flat


def _stacked(func: Function, results: Sequence[Any], out_dims: Any) -> Any:
    """The results for all examples."""
    columns = list(zip(*(list(leaves(result)) for result in results), strict=True))
    made = []
    for column, dim in zip(columns, _out_dims(func, out_dims, results[0]), strict=True):
        if dim is None:
            made.append(column[0])
            continue
        made.append(call("stack", [_checked(func, item) for item in column], dim))
    return rebuilt(results[0], made)
