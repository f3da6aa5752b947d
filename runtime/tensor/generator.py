"""torch's random numbers on a CPU: the Mersenne Twister, and the distributions made of its 32-bit words.

The words are torch's, and so is what follows from them by exact arithmetic. Normal numbers go through logarithms and sines, whose
last bit depends on the library. On processors by Intel torch draws Bernoulli and exponential numbers by another library; here they
are what it draws on all others.

Source: Matsumoto & Nishimura 1998; Box & Muller 1958; torch's ATen/core/DistributionsHelper.h for the order of draws.
"""
from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from .tensor import Tensor, wrap_array

Array = np.ndarray[Any, Any]
FILL = 16  # from so many elements on, normal numbers are made in pairs eight apart
_STATE = np.dtype([("seed", np.uint64), ("key", np.uint32, 624), ("pos", np.int32), ("has_next", np.bool_), ("next", np.float64)])


class Generator:
    """A source of random numbers with a seed of its own.

    Attributes:
        drawn: grows with every draw.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self.drawn = 0
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`."""
        self._seed = int(seed) % (1 << 64)
        self._engine = np.random.MT19937()
        self._engine._legacy_seeding(self._seed & 0xFFFFFFFF)
        self._next_normal: float | None = None
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
        inner = self._engine.state["state"]
        known = self._next_normal
        record = np.array((self._seed, inner["key"], inner["pos"], known is not None, known or 0.0), _STATE)
        return wrap_array(np.frombuffer(record.tobytes(), np.uint8).copy())

    def set_state(self, new_state: Tensor) -> None:
        """Continue as from `get_state`.

        Raises:
            RuntimeError: these bytes are no state.
        """
        state = new_state._array().tobytes()
        if len(state) != _STATE.itemsize:
            raise RuntimeError(f"Expected a generator state of {_STATE.itemsize} bytes, as get_state gives, but got {len(state)}")
        record = np.frombuffer(state, _STATE)[0]
        self._seed = int(record["seed"])
        self._engine.state = {"bit_generator": "MT19937", "state": {"key": record["key"], "pos": int(record["pos"])}}
        self._next_normal = float(record["next"]) if record["has_next"] else None

    # ------------------------------------------------------------------ words
    def words(self, count: int) -> Array:
        """Random 32-bit words, as uint64."""
        self.drawn += 1
        return self._engine.random_raw(count)

    def long_words(self, count: int) -> Array:
        """Random 64-bit words."""
        pairs = self.words(2 * count)
        return pairs[0::2] << np.uint64(32) | pairs[1::2]

    # ------------------------------------------------------------------ distributions
    def uniform(self, shape: tuple[int, ...], dtype: Any = np.float64, low: float = 0.0, high: float = 1.0) -> Array:
        """Uniform on [low, high), with as many random bits as the dtype holds."""
        kind = np.dtype(dtype)
        digits = 53 if kind.itemsize == 8 else 24
        count = math.prod(shape)
        words = self.long_words(count) if kind.itemsize == 8 else self.words(count)
        x = (words & np.uint64((1 << digits) - 1)).astype(np.float64) * 2.0**-digits
        if (low, high) != (0.0, 1.0):
            x = x * float(kind.type(high - low)) + float(kind.type(low))
        return x.astype(kind).reshape(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers from `low` up to, without, `high`."""
        span, count = high - low, math.prod(shape)
        words = self.long_words(count) if span >= 1 << 28 else self.words(count)
        return ((words % np.uint64(span)).astype(np.int64) + low).reshape(shape)

    def normal(self, shape: tuple[int, ...], dtype: Any = np.float64, mean: float = 0.0, std: float = 1.0) -> Array:
        """Normal numbers."""
        count = math.prod(shape)
        made = self._pairs_eight_apart(count, np.dtype(dtype), mean, std) if count >= FILL else self.normal_pairs(count) * std + mean
        return made.astype(dtype).reshape(shape)

    def normal_pairs(self, count: int) -> Array:
        """Standard normal numbers in float64, in pairs of which the second waits for the next call."""
        self.drawn += 1
        made = []
        for _ in range(count):
            if self._next_normal is None:
                first, second = (float(u) for u in self.uniform((2,)))
                radius, angle = math.sqrt(-2.0 * math.log1p(-second)), 2.0 * math.pi * first
                made.append(radius * math.cos(angle))
                self._next_normal = radius * math.sin(angle)
            else:
                made.append(self._next_normal)
                self._next_normal = None
        return np.array(made)

    def _pairs_eight_apart(self, count: int, dtype: np.dtype[Any], mean: float, std: float) -> Array:
        x = self.uniform((count,), dtype)
        whole = count - count % FILL
        last = self.uniform((FILL,), dtype) if count % FILL else None  # the last sixteen are made anew
        made = _box_muller(x[:whole].reshape(-1, 2, 8), mean, std).reshape(-1)
        if last is None:
            return made
        return np.concatenate([made[:count - FILL], _box_muller(last.reshape(1, 2, 8), mean, std).reshape(-1)])

    def exponential(self, shape: tuple[int, ...], rate: float = 1.0) -> Array:
        """Exponential numbers."""
        return -np.log1p(-self.uniform(shape)) / rate

    def permutation(self, count: int) -> Array:
        """A random order of 0 to count - 1."""
        order = list(range(count))
        words = self.words(max(count - 1, 0)).tolist()
        for i, word in enumerate(words):
            k = i + word % (count - i)
            order[i], order[k] = order[k], order[i]
        return np.array(order, np.int64)


def _box_muller(x: Array, mean: float, std: float) -> Array:
    """(..., 2, 8) uniform to normal numbers, each step rounded to their dtype."""
    kind = x.dtype.type

    def rounded(values: Array) -> Array:
        return values.astype(kind).astype(np.float64)

    u, v = (x[:, k, :].astype(np.float64) for k in (0, 1))
    radius = rounded(np.sqrt(-2.0 * rounded(np.log(1.0 - u))))
    angle = rounded(float(kind(2.0 * np.pi)) * v)
    made = [rounded(radius * rounded(turned)) * std + mean for turned in (np.cos(angle), np.sin(angle))]
    return np.stack(made, 1).astype(kind)
