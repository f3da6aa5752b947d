"""Integer arguments that keep changing: traced as numbers where the function allows it, else named in a warning."""
from __future__ import annotations

import warnings
from collections.abc import Iterator

from ...compiler.errors import ChainruleError
from ...compiler.provenance import at, user_site
from .signature import Bound, Flat

__all__ = ["Integers"]

TRY_AFTER = 3  # values of an argument, each of which made another program
WARN_AFTER = 8


class Integers:
    """What is known about the integer arguments of one function.

    Attributes:
        traced: the arguments whose value is no part of the signature.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.traced: set[str] = set()
        self._seen: dict[str, set[int]] = {}
        self._refused: dict[str, str] = {}

    def changing(self, bound: Bound, flat: Flat, static: int) -> Iterator[str]:
        """The integer arguments of a call for which tracing them is worth a try."""
        for label, value, tree in zip(bound.labels[static:], bound.values[static:], flat.trees[static:], strict=True):
            if tree.kind != "static" or type(value) is not int:
                continue
            seen = self._seen.setdefault(label, set())
            if len(seen) <= WARN_AFTER:
                seen.add(value)
            if len(seen) == WARN_AFTER and label in self._refused:
                warnings.warn(f"{self._name}: the argument {label!r} keeps changing, and each value is traced and compiled again"
                              f"{at(user_site())}: {self._refused[label]}", RuntimeWarning, stacklevel=2)
                seen.add(-1 - max(seen))  # once is enough
            elif len(seen) >= TRY_AFTER and label not in self._refused:
                yield label

    def refuse(self, label: str, error: ChainruleError) -> None:
        """The function needs the number itself."""
        self.traced.discard(label)
        self._refused[label] = str(error)
