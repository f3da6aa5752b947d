"""Random numbers, drawn when they are asked for: torch's own, from its seeds (see `generator`)."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...torch_types import dtype as Dtype, to_numpy_dtype
from ..create import finished
from ..generator import Generator
from ..row import FUNCTIONS, METHODS, call
from ..tensor import Tensor, wrap, wrap_array
from ..value import Array, leaf
from .common import as_shape
from .creation import INT64, _dtype

default_generator = Generator()


def _of(generator: Generator | None) -> Generator:
    return generator or default_generator


def _given(array: Array, kind: Dtype, requires_grad: bool = False) -> Tensor:
    return finished(wrap(leaf(np.asarray(array).astype(to_numpy_dtype(kind))), kind), requires_grad)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
         layout: Any = None) -> Tensor:
    """Uniform on [0, 1)."""
    kind = _dtype(dtype, "rand")
    return _given(_of(generator).uniform(as_shape(size, "rand"), to_numpy_dtype(kind)), kind, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
          layout: Any = None) -> Tensor:
    """Standard normal."""
    kind = _dtype(dtype, "randn")
    return _given(_of(generator).normal(as_shape(size, "randn"), to_numpy_dtype(kind)), kind, requires_grad)


def randint(*args: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
            **kwargs: Any) -> Tensor:
    """Integers from `low` (default 0) up to, without, `high`."""
    names = ("high", "size") if len(args) + len(kwargs) == 2 else ("low", "high", "size")
    given = dict(zip(names, args, strict=False)) | kwargs
    low, high = given.get("low", 0), given["high"]
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    kind = _dtype(dtype, "randint", INT64)
    return _given(_of(generator).integers(low, high, as_shape((given["size"],), "randint")), kind, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A random order of 0 to n - 1."""
    kind = _dtype(dtype, "randperm", INT64)
    return _given(_of(generator).permutation(n), kind, requires_grad)


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None, **_: Any) -> Tensor:
    """Normal, with means and deviations that are numbers or tensors."""
    if size is not None:
        kind = _dtype(dtype, "normal")
        return _given(_of(generator).normal(as_shape((size,), "normal"), to_numpy_dtype(kind), mean, std), kind)
    center, spread = (x._array() if isinstance(x, Tensor) else x for x in (mean, std))
    kind = (mean if isinstance(mean, Tensor) else std)._dtype
    draw = _of(generator).normal(np.broadcast_shapes(np.shape(center), np.shape(spread)), to_numpy_dtype(kind))
    return _given(draw * spread + center, kind)


def _chances(generator: Generator | None, shape: tuple[int, ...], p: Any) -> Array:
    """Whether each element is 1; the probabilities of a tensor are met by uniform numbers of its dtype."""
    chance = p._array() if isinstance(p, Tensor) else p
    return _of(generator).uniform(shape, chance.dtype if isinstance(p, Tensor) else np.float64) < chance


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element (or `p`) says, else 0."""
    return _given(_chances(generator, input._shape, input if p is None else p), input._dtype)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn with probability in proportion to the weights."""
    weights = input._array()
    rows = np.atleast_2d(weights)
    if replacement and num_samples > 1:
        bounds = np.cumsum(rows, -1)
        bounds = bounds / bounds[:, -1:]
        bounds[:, -1] = 1
        draws = _of(generator).uniform((len(rows), num_samples))
        made = np.stack([np.searchsorted(bound, draw) for bound, draw in zip(bounds, draws, strict=True)])
    else:
        with np.errstate(divide="ignore"):
            race = rows / _of(generator).exponential(rows.shape).astype(rows.dtype)  # the first arrivals of Poisson processes
        made = np.argsort(-race, -1, kind="stable")[:, :num_samples]
    return wrap_array(made.reshape((*weights.shape[:-1], num_samples)))


for _function in (rand, randn, randint, randperm, normal, bernoulli, multinomial):
    FUNCTIONS[_function.__name__] = _function
METHODS |= {"bernoulli": bernoulli, "multinomial": multinomial}


def _like(name: str) -> None:
    def like(input: Tensor, *args: Any, dtype: Any = None, requires_grad: bool = False, **kwargs: Any) -> Tensor:
        kind = input._dtype if dtype is None else dtype
        return FUNCTIONS[name](*args, input._shape, dtype=kind, requires_grad=requires_grad)  # type: ignore[no-any-return]

    FUNCTIONS[name + "_like"] = like


for _name in ("rand", "randn", "randint"):
    _like(_name)


# ---------------------------------------------------------------- filling in place
Draw = Callable[..., Array]  # (generator, shape, dtype, *arguments)


def _uniform(draws: Generator, shape: Any, dtype: Any, low: float = 0.0, high: float = 1.0, **named: float) -> Array:
    return draws.uniform(shape, dtype, named.get("from", low), named.get("to", high))


def _normal(draws: Generator, shape: Any, dtype: Any, mean: float = 0.0, std: float = 1.0) -> Array:
    return draws.normal(shape, dtype, mean, std)


def _exponential(draws: Generator, shape: Any, dtype: Any, lambd: float = 1.0) -> Array:
    return draws.exponential(shape, lambd)


def _bernoulli(draws: Generator, shape: Any, dtype: Any, p: Any = 0.5) -> Array:
    return _chances(draws, shape, p)


def _random(draws: Generator, shape: Any, dtype: Any, *limits: int, **named: int) -> Array:
    """Without limits: all whole numbers up to the largest that the dtype holds exactly."""
    start = named.get("from", limits[0] if len(limits) == 2 else 0)
    end = named.get("to", limits[-1] if limits else None)
    if end is not None:
        return draws.integers(start, end, shape)
    count = math.prod(shape)
    words = draws.long_words(count) if dtype.itemsize == 8 else draws.words(count)
    largest = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else np.iinfo(dtype).max if dtype.kind != "b" else 1
    return (words % np.uint64(largest + 1)).reshape(shape)


def _cauchy(draws: Generator, shape: Any, dtype: Any, median: float = 0.0, sigma: float = 1.0) -> Array:
    return median + sigma * np.tan(np.pi * (draws.uniform(shape) - 0.5))


def _log_normal(draws: Generator, shape: Any, dtype: Any, mean: float = 1.0, std: float = 2.0) -> Array:
    return np.exp(draws.normal_pairs(math.prod(shape)) * std + mean).reshape(shape)


def _geometric(draws: Generator, shape: Any, dtype: Any, p: float) -> Array:
    return np.ceil(np.log(draws.uniform(shape)) / math.log1p(-p))


def _filling(name: str, draw: Draw) -> None:
    def fill(self: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
        dtype = to_numpy_dtype(self._dtype)
        return call("copy_", self, wrap_array(draw(_of(generator), self._shape, dtype, *args, **kwargs).astype(dtype)))  # type: ignore[no-any-return]

    METHODS[name] = fill


for _name, _draw in (("uniform_", _uniform), ("normal_", _normal), ("exponential_", _exponential), ("bernoulli_", _bernoulli),
                     ("random_", _random), ("cauchy_", _cauchy), ("log_normal_", _log_normal), ("geometric_", _geometric)):
    _filling(_name, _draw)


def manual_seed(seed: int) -> Generator:
    """Seed the default generator."""
    return default_generator.manual_seed(seed)


_STATE: dict[str, Any] = {"manual_seed": manual_seed, "seed": default_generator.seed, "initial_seed": default_generator.initial_seed,
              "Generator": Generator, "default_generator": default_generator, "get_rng_state": default_generator.get_state,
              "set_rng_state": default_generator.set_state}
FUNCTIONS |= _STATE
