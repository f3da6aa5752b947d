"""A function as a list of steps over numbered values, so that neither its size nor its depth matters."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

__all__ = ["Steps"]


class Steps:
    """Built step by step, then made a function. A value is named by its number; arguments come first.

    What was put once is not put again: equal steps have one number.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        self._steps: list[tuple[Callable[..., Any] | None, Any]] = [(None, None)] * len(self.arguments)
        self._known: dict[Hashable, int] = {}

    def constant(self, value: Any) -> int:
        """The number of a Python number."""
        return self._put((type(value), repr(value)), None, value)

    def apply(self, name: Hashable, call: Callable[..., Any], *operands: int) -> int:
        """The number of `call(*operands)`; `name` says which function it is."""
        return self._put((name, operands), call, operands)

    def _put(self, key: Hashable, call: Callable[..., Any] | None, what: Any) -> int:
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._steps)
            self._steps.append((call, what))
        return number

    def function(self, name: str, result: Any, doc: str) -> Callable[..., Any]:
        """A function of the arguments; `result` is a number, or a tuple, list or dict of results."""
        steps, arguments = tuple(self._steps[len(self.arguments):]), self.arguments

        def evaluate(*args: Any, **kwargs: Any) -> Any:
            values: list[Any] = [*args, *(kwargs[a] for a in arguments[len(args):])]
            with np.errstate(all="ignore"):  # of numbers that are written
                for call, what in steps:
                    values.append(what if call is None else call(*[values[k] for k in what]))
            return _filled(result, values)

        evaluate.__name__ = evaluate.__qualname__ = name
        evaluate.__doc__ = doc
        evaluate.is_expression = True  # type: ignore[attr-defined]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        evaluate.__signature__ = inspect.Signature([inspect.Parameter(a, kind) for a in self.arguments])  # type: ignore[attr-defined]
        return evaluate


def _filled(result: Any, values: Sequence[Any]) -> Any:
    if isinstance(result, int):
        return values[result]
    if isinstance(result, dict):
        return {key: _filled(item, values) for key, item in result.items()}
    return type(result)(_filled(item, values) for item in result)
