"""How the arguments of a kernel lie in memory: one int64 array, which emitted code reads and `pack` writes.

The layout is `[size of each symbol in kernel.sizes..., then for each buffer: data pointer, byte stride of each axis]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .loopnest import Kernel, Product, RowBlocks

__all__ = ["ArgumentLayout", "pack"]


@dataclass(frozen=True, slots=True)
class ArgumentLayout:
    """The slots of a kernel's argument array; make one for each kernel and keep it.

    A product takes one more, after them: the address of its routine. So do row blocks: the address of their memory; and kernels that
    may write past the caches: 1 where they do so.

    Attributes:
        sizes: the size symbols, in slots 0, 1, ...
        buffers: the name of each buffer with the slot of its data pointer; its strides follow.
        length: the number of slots.
        words: the same, with the one after them where there is one.
    """

    sizes: tuple[str, ...]
    buffers: tuple[tuple[str, int], ...]
    length: int
    words: int

    @classmethod
    def of(cls, kernel: Kernel | Product | RowBlocks) -> ArgumentLayout:
        slot, buffers = len(kernel.sizes), []
        for buffer in kernel.buffers:
            buffers.append((buffer.name, slot))
            slot += 1 + buffer.rank
        return cls(kernel.sizes, tuple(buffers), slot, slot + (not isinstance(kernel, Kernel) or bool(kernel.streams)))

    def pack(
        self, sizes: Mapping[str, int], arrays: Mapping[str, np.ndarray[Any, Any]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The argument array of one call. The arrays must outlive the call; dtype and rank are not checked here."""
        values = [sizes[name] for name in self.sizes]
        for name, _ in self.buffers:
            array = arrays[name]
            values.append(array.__array_interface__["data"][0])
            values.extend(array.strides)
        return np.array(values, dtype=np.int64)


def pack(
    kernel: Kernel, sizes: Mapping[str, int], arrays: Mapping[str, np.ndarray[Any, Any]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """`ArgumentLayout.of(kernel).pack(...)`, for a single call."""
    return ArgumentLayout.of(kernel).pack(sizes, arrays)
