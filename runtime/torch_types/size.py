"""`Size`, `device`, `layout` and `memory_format`: the small value types around a tensor."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from typing import Any, NoReturn, Self, SupportsIndex, TypeVar, overload


def _extent(position: int, item: Any) -> int:
    """`item` as an axis length, refused in torch's words when it is no integer."""
    try:
        return operator.index(item)
    except TypeError:
        kind = type(item)
        name = f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__
        raise TypeError(f"torch.Size() takes an iterable of 'int' (item {position} is '{name}')") from None


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints printed as `torch.Size([2, 3])`; slices, sums and multiples are Sizes.

    Raises: TypeError: an item is not an integer (a bool, and any object with `__index__`, is one).
    """

    __slots__ = ()

    def __new__(cls, extents: Iterable[SupportsIndex] = (), /) -> Size:
        made = tuple.__new__(cls, extents)
        for item in made:
            if type(item) is not int:
                return tuple.__new__(cls, [_extent(position, item) for position, item in enumerate(made)])
        return made

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def numel(self) -> int:
        """The number of elements of a tensor of this size: the product, 1 for no axes."""
        return math.prod(self)

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> Size: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> int | Size:
        found = tuple.__getitem__(self, key)
        return tuple.__new__(Size, found) if isinstance(found, tuple) else found

    def __add__(self, other: Any, /) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")
        return Size((*self, *other))

    def __radd__(self, other: Any, /) -> Size:
        return Size((*other, *self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: SupportsIndex, /) -> Size:
        return tuple.__new__(Size, tuple(self) * times)

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


_DEVICE_TYPES = (
    *("cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve"),
    *("fpga", "maia", "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone"),
)
_DEVICE_TEXT = re.compile(r"([a-zA-Z_]+)(?::(0|[1-9][0-9]*))?")

_NO_SIGNATURE = (
    "device() received an invalid combination of arguments - got ({got}), but expected one of:\n"
    " * (torch.device device)\n"
    "      didn't match because some of the arguments have invalid types: (!{got}!)\n"
    " * (str type, int index = -1)\n"
)


class device:
    """Where a tensor lives: always the CPU, `device(type='cpu')`, with an index if one was named.

    Args:
        type: `"cpu"`, `"cpu:0"`, or a device.
        index: the index, where `type` does not hold it.

    Raises:
        RuntimeError: a malformed device string, or a device other than the CPU.
        TypeError: an argument of another type.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            name, index = type.type, type.index
        elif isinstance(type, str):
            name, index = _parse_device(type, index)
        elif isinstance(type, int) and not isinstance(type, bool):
            raise RuntimeError(
                "Device index must not be negative"
                if type < 0
                else "Cannot access accelerator device when none is available."
            )
        else:
            raise TypeError(_NO_SIGNATURE.format(got=_class_name(type)))
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", index)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"attribute {name!r} of 'torch.device' objects is not writable")

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type,) if self.index is None else (self.type, self.index)

    def __enter__(self) -> device:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to restore: the CPU is the only default device."""


def _class_name(value: object) -> str:
    return type(value).__name__


def _parse_device(text: str, index: int | None) -> tuple[str, int | None]:
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise TypeError(f"device(): argument 'index' (position 2) must be int, not {type(index).__name__}")
    if not text:
        raise RuntimeError("Device string must not be empty")
    parsed = _DEVICE_TEXT.fullmatch(text)
    if parsed is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    name, own_index = parsed.groups()
    if name not in _DEVICE_TYPES:
        raise RuntimeError(f"Expected one of {', '.join(_DEVICE_TYPES)} device type at start of device string: {name}")
    if name != "cpu":
        raise RuntimeError(f"chainrule runs on the CPU only: cannot use a device of type '{name}'")
    if own_index is not None:
        if index is not None:
            raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {text}")
        return name, int(own_index)
    if index is not None and index < 0:
        raise RuntimeError("Device index must not be negative")
    return name, index


CPU = device("cpu")
"""The device every tensor reports."""


def as_device(value: object, function: str) -> device:
    """Read a `device=` argument of `function`; tensors carry no index, so neither does the result.

    Raises:
        TypeError: not a device, a string, an int or None.
        RuntimeError: as `device`.
    """
    if value is None or isinstance(value, device):
        return CPU
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError(f"{function}(): argument 'device' must be torch.device, not {type(value).__name__}")
    device(value)  # type: ignore[arg-type]  # an int is refused there, in torch's words
    return CPU


class _Named:
    """A constant known by its name in torch, equal by identity; the public face makes no new ones."""

    __slots__ = ("_name",)

    _name: str

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        raise TypeError(f"cannot create 'torch.{cls.__name__}' instances")

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _constant, (self._name,)


class layout(_Named):
    """How a tensor's elements lie in memory: `torch.strided` is the only layout."""

    __slots__ = ()


class memory_format(_Named):
    """The order of a tensor's axes in memory, as factories and copies take it."""

    __slots__ = ()


_Constant = TypeVar("_Constant", bound=_Named)


def _define(cls: type[_Constant], name: str) -> _Constant:
    made = object.__new__(cls)
    made._name = name
    _CONSTANTS[name] = made
    return made


_CONSTANTS: dict[str, _Named] = {}


def _constant(name: str) -> _Named:
    return _CONSTANTS[name]


strided = _define(layout, "strided")
contiguous_format = _define(memory_format, "contiguous_format")
preserve_format = _define(memory_format, "preserve_format")
channels_last = _define(memory_format, "channels_last")
channels_last_3d = _define(memory_format, "channels_last_3d")
