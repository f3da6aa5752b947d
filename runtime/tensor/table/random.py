"""Random numbers: our own reproducible generator (not torch's numbers), drawn when they are asked for."""
from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from ...torch_types import NAMES, as_dtype, dtype as Dtype, get_default_dtype, to_numpy_dtype
from ..create import finished
from ..row import FUNCTIONS, METHODS, call
from ..tensor import Tensor, wrap, wrap_array
from ..value import Array, leaf
from .common import as_shape


class Generator:
    """A source of random numbers with a seed of its own."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`."""
        self._seed = int(seed)
        self.bits = np.random.Generator(np.random.Philox(self._seed % (1 << 64)))
        return self

    def seed(self) -> int:
        """Start from a seed that cannot be foreseen, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed last set."""
        return self._seed

    def get_state(self) -> Tensor:
        """Everything that the next numbers depend on, as bytes."""
        import pickle

        return wrap_array(np.frombuffer(pickle.dumps((self._seed, self.bits.bit_generator.state)), np.uint8).copy())

    def set_state(self, state: Tensor) -> None:
        """Continue as from `get_state`."""
        import pickle

        self._seed, inner = pickle.loads(state._array().tobytes())
        self.bits.bit_generator.state = inner


default_generator = Generator()


def _of(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).bits


def _given(array: Array, dtype: Any, requires_grad: bool, otherwise: Dtype | None = None) -> Tensor:
    kind = (otherwise or get_default_dtype()) if dtype is None else as_dtype(dtype, "random")
    return finished(wrap(leaf(np.asarray(array).astype(to_numpy_dtype(kind))), kind), requires_grad)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
         layout: Any = None) -> Tensor:
    """Uniform on [0, 1)."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype, "rand")
    draw = _of(generator).random(as_shape(size, "rand"), np.float32 if kind is NAMES["float32"] else np.float64)
    return _given(draw, dtype, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
          layout: Any = None) -> Tensor:
    """Standard normal."""
    return _given(_of(generator).standard_normal(as_shape(size, "randn")), dtype, requires_grad)


def randint(*args: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
            **kwargs: Any) -> Tensor:
    """Integers from `low` (default 0) up to, without, `high`."""
    names = ("high", "size") if len(args) + len(kwargs) == 2 else ("low", "high", "size")
    given = dict(zip(names, args, strict=False)) | kwargs
    low, high = given.get("low", 0), given["high"]
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _given(_of(generator).integers(low, high, as_shape((given["size"],), "randint")), dtype, requires_grad, NAMES["int64"])


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A random order of 0 to n - 1."""
    return _given(_of(generator).permutation(n), dtype, requires_grad, NAMES["int64"])


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None, **_: Any) -> Tensor:
    """Normal, with means and deviations that are numbers or tensors."""
    if size is not None:
        return _given(mean + std * _of(generator).standard_normal(as_shape((size,), "normal")), dtype, False)
    center, spread = (x._array() if isinstance(x, Tensor) else x for x in (mean, std))
    shape = np.broadcast_shapes(np.shape(center), np.shape(spread))
    like = mean if isinstance(mean, Tensor) else std
    return _given(center + spread * _of(generator).standard_normal(shape), None, False, like._dtype)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element (or `p`) says, else 0."""
    chance = input._array() if p is None else p
    return _given(_of(generator).random(input._shape) < chance, None, False, input._dtype)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn with probability in proportion to the weights."""
    weights = np.atleast_2d(input._array()).astype(np.float64)
    rows = [_of(generator).choice(len(w), num_samples, replacement, w / w.sum()) for w in weights]
    return wrap_array(np.stack(rows) if input.dim() == 2 else rows[0])


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
def _draw(name: str, draw: Any) -> None:
    def fill(self: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
        array = np.asarray(draw(_of(generator), self._shape, *args, **kwargs)).astype(to_numpy_dtype(self._dtype))
        return call("copy_", self, wrap_array(array))  # type: ignore[no-any-return]

    METHODS[name] = fill


_draw("uniform_", lambda bits, shape, a=0.0, b=1.0, **k: bits.uniform(k.get("from", a), k.get("to", b), shape))
_draw("normal_", lambda bits, shape, mean=0.0, std=1.0: bits.normal(mean, std, shape))
_draw("exponential_", lambda bits, shape, lambd=1.0: bits.exponential(1.0 / lambd, shape))
_draw("bernoulli_", lambda bits, shape, p=0.5: bits.random(shape) < (p._array() if isinstance(p, Tensor) else p))
_draw("random_", lambda bits, shape, low=0, high=None: bits.integers(*((0, low) if high is None else (low, high)), shape))
_draw("cauchy_", lambda bits, shape, median=0.0, sigma=1.0: median + sigma * bits.standard_cauchy(shape))
_draw("log_normal_", lambda bits, shape, mean=1.0, std=2.0: bits.lognormal(mean, std, shape))
_draw("geometric_", lambda bits, shape, p: np.ceil(np.log1p(-bits.random(shape)) / math.log1p(-p)))


def manual_seed(seed: int) -> Generator:
    """Seed the default generator."""
    return default_generator.manual_seed(seed)


_STATE: dict[str, Any] = {"manual_seed": manual_seed, "seed": default_generator.seed, "initial_seed": default_generator.initial_seed,
              "Generator": Generator, "default_generator": default_generator, "get_rng_state": default_generator.get_state,
              "set_rng_state": default_generator.set_state}
FUNCTIONS |= _STATE
