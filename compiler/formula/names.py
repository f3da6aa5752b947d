"""Names for what has none: sizes, indices, shared sub-terms."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from .terms import Label

__all__ = ["Names"]

_SIZES = "nmkpqdrh"
_INDICES = "ijklrsuv"
_SHARED = "stuvwrqp"


class Names:
    """Names that differ from each other and from the arguments'."""

    def __init__(self, taken: Iterable[str], sizes: Iterable[str]) -> None:
        self._taken = {part for name in taken for part in (name, name.split(".")[0].split("[")[0])}
        self._candidates: dict[str, Iterator[str]] = {}
        self.sizes = {size: self._next(_SIZES) for size in sizes}
        self._labels: dict[Label, str] = {}
        self._shared: dict[str, str] = {}

    def copy(self) -> Names:
        """The same names so far; what it names from now on, it names alone."""
        made = Names((), ())
        made._taken, made.sizes, made._labels, made._shared = set(self._taken), dict(self.sizes), dict(self._labels), dict(self._shared)
        return made

    def _next(self, letters: str) -> str:
        candidates = self._candidates.setdefault(letters, _candidates(letters))
        name = next(n for n in candidates if n not in self._taken)
        self._taken.add(name)
        return name

    def size(self, symbol: str) -> str:
        """A size symbol's name: n, m, k, ... in the order in which the arguments bring them."""
        if symbol not in self.sizes:
            self.sizes[symbol] = self._next(_SIZES)
        return self.sizes[symbol]

    def label(self, label: Label) -> str:
        """An index's name: i, j, ..."""
        if label not in self._labels:
            self._labels[label] = self._next(_INDICES)
        return self._labels[label]

    def symbol(self, name: str) -> str:
        """An argument's own name; a letter for a shared sub-term."""
        if not name.startswith("@"):
            return name
        if name not in self._shared:
            self._shared[name] = self._next(_SHARED)
        return self._shared[name]


def _candidates(letters: str) -> Iterator[str]:
    yield from letters
    for k in count(1):
        yield from (f"{letter}{k}" for letter in letters)
