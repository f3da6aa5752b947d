"""Named tuples of results, printed as torch prints them."""
from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any


class _Results(tuple[Any, ...]):
    """A tuple whose items also have names."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        inside = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{inside})"


@cache
def return_type(name: str, *fields: str) -> Any:
    """The class of an operation's results, called with the results."""
    namespace: dict[str, Any] = {"__slots__": (), "_fields": fields, "__module__": "torch.return_types"}
    for k, field in enumerate(fields):
        namespace[field] = property(itemgetter(k))
    cls = type(name, (_Results,), namespace)
    return lambda *values: cls(values)
