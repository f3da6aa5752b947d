"""How arguments are named, bound and selected."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...compiler.errors import ArgumentError, DifferentiationError
from ...compiler.promises import promised
from ...compiler.provenance import at, user_site
from .structure import Identity, Tree, flatten, float_leaves

__all__ = ["RESERVED", "Bound", "Parameters", "Wrt"]

RESERVED = ("wrt", "cotangent", "mode", "out")
Wrt = "str | int | Sequence[str | int] | None"


class Bound(NamedTuple):
    """The arguments of one call.

    labels: one for each argument: a parameter's name, `name[k]` for those of `*name`, the keyword for `**name`.
    passed: whether the caller gave it (else it is the default).
    positional: how many are handed over by position.
    """

    labels: tuple[str, ...]
    values: tuple[Any, ...]
    passed: tuple[bool, ...]
    positional: int


class Flat(NamedTuple):
    """Arguments taken apart: the key of their signature, all leaves, and where each argument's leaves begin."""

    key: tuple[Any, ...]
    leaves: list[Any]
    trees: tuple[Tree, ...]
    starts: tuple[int, ...]


class Parameters:
    """The parameters of a function.

    Raises:
        ArgumentError: a parameter has a reserved name.
    """

    def __init__(self, function: Callable[..., Any], name: str, wrt: Any = None) -> None:
        self.name = name
        try:
            self.signature: inspect.Signature | None = None if isinstance(function, np.ufunc) else inspect.signature(function)
        except (TypeError, ValueError):  # builtins without one
            self.signature = None
        self.parameters: Mapping[str, inspect.Parameter] = self.signature.parameters if self.signature is not None else {}
        taken = [p for p in self.parameters if p in RESERVED]
        if taken:
            raise ArgumentError(f"{name} has a parameter called {taken[0]!r}{at(user_site())}: {', '.join(RESERVED)} are reserved for "
                                f"options of .grad, .vjp and .jacobian; rename the parameter")
        kinds = [p.kind for p in self.parameters.values()]
        self._simple = self.signature is not None and all(
            k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for k in kinds)
        self._names = tuple(self.parameters)
        self._all_passed = (True,) * len(self._names)
        self.wrt = self._listed(wrt)
        if self.signature is not None:
            self._check_names(self.wrt)

    def promises(self, assume: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
        """What is promised of each argument.

        Raises:
            ArgumentError: an unknown argument or promise.
        """
        where = f"assume={assume!r}{at(user_site())}"
        for name in assume:
            if self.signature is not None and name not in self.parameters:
                raise ArgumentError(f"{where}: {self.name} has no parameter {name!r}; it has {_listed_names(self.parameters)}")
        return {name: promised(dict.fromkeys(names.split() if isinstance(names, str) else names, True), where)
                for name, names in assume.items()}

    # ------------------------------------------------------------------------------------------------ binding
    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """The call's arguments, defaults filled in.

        Raises:
            ArgumentError: an argument is missing, unknown or given twice.
        """
        if self._simple and not kwargs and len(args) == len(self._names):
            return Bound(self._names, args, self._all_passed, len(args))
        if self.signature is None:
            labels = (*(f"argument {k}" for k in range(len(args))), *kwargs)
            return Bound(labels, (*args, *kwargs.values()), (True,) * len(labels), len(args))
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}{self.signature}: {error}{at(user_site())}") from None
        given = set(bound.arguments)
        bound.apply_defaults()
        labels_: list[str] = []
        values: list[Any] = []
        passed: list[bool] = []
        keywords: list[tuple[str, Any, bool]] = []
        for name, value in bound.arguments.items():
            kind = self.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                for k, item in enumerate(value):
                    labels_.append(f"{name}[{k}]")
                    values.append(item)
                    passed.append(True)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                keywords += [(key, item, True) for key, item in value.items()]
            elif kind is inspect.Parameter.KEYWORD_ONLY:
                keywords.append((name, value, name in given))
            else:
                labels_.append(name)
                values.append(value)
                passed.append(name in given)
        positional = len(labels_)
        for name, value, was_given in keywords:
            labels_.append(name)
            values.append(value)
            passed.append(was_given)
        return Bound(tuple(labels_), tuple(values), tuple(passed), positional)

    @staticmethod
    def flatten(bound: Bound, static: int = 0, traced_ints: Collection[str] = ()) -> Flat:
        """The arguments' leaves and the key of their signature.

        Args:
            static: how many leading arguments (`self`) are never taken apart.
            traced_ints: arguments whose value, a Python int, is no part of the signature.
        """
        leaves: list[Any] = []
        trees: list[Tree] = []
        starts: list[int] = []
        for k, value in enumerate(bound.values):
            starts.append(len(leaves))
            if k < static:
                trees.append(Tree("static", Identity(value)))
            elif type(value) is int and bound.labels[k] in traced_ints and -2**63 <= value < 2**63:
                leaves.append(value)
                trees.append(Tree("weakint"))
            else:
                trees.append(flatten(value, leaves))
        made = tuple(trees)
        return Flat((bound.labels, bound.positional, made), leaves, made, tuple(starts))

    # ------------------------------------------------------------------------------------------------ selection
    @staticmethod
    def _listed(wrt: Any) -> tuple[str | int, ...] | None:
        if wrt is None:
            return None
        return (wrt,) if isinstance(wrt, (str, int)) else tuple(wrt)

    def _check_names(self, wrt: tuple[str | int, ...] | None) -> None:
        variadic = {p.kind for p in self.parameters.values()}
        for item in wrt or ():
            if isinstance(item, str):
                if item not in self.parameters and inspect.Parameter.VAR_KEYWORD not in variadic:
                    raise ArgumentError(f"wrt={item!r}: {self.name} has no parameter of that name{at(user_site())}; it has "
                                        f"{_listed_names(self.parameters)}")
            elif not isinstance(item, int) or isinstance(item, bool):
                raise ArgumentError(f"wrt={item!r}{at(user_site())}: a name or a position of a parameter is expected")
            elif inspect.Parameter.VAR_POSITIONAL not in variadic and not -len(self.parameters) <= item < len(self.parameters):
                raise ArgumentError(f"wrt={item}: {self.name} has {len(self.parameters)} parameters{at(user_site())}: "
                                    f"{_listed_names(self.parameters)}")

    def select(self, bound: Bound, trees: Sequence[Tree], wrt: Any = None) -> tuple[tuple[int, ...], bool]:
        """Which arguments are differentiated, and whether their gradients are wrapped in a tuple.

        Raises:
            ArgumentError: an unknown name or position.
            DifferentiationError: an argument that was asked for has no float in it, or none has.
        """
        asked = self.wrt if wrt is None else self._listed(wrt)
        if asked is None:
            chosen = [k for k, tree in enumerate(trees) if bound.passed[k] and float_leaves(tree)]
            if not chosen:
                kinds = ", ".join(f"{label}: {describe(v)}" for label, v in zip(bound.labels, bound.values, strict=True))
                raise DifferentiationError(f"{self.name} was called without a float argument, so there is nothing to differentiate "
                                           f"with respect to{at(user_site())} ({kinds or 'no arguments'}): pass floats or float arrays "
                                           "(2.0 instead of 2, x.astype(float))")
            return tuple(chosen), len(chosen) > 1
        if wrt is not None and self.signature is not None:
            self._check_names(asked)
        chosen = []
        for item in asked:
            chosen += self._positions(bound, item)
        for k in chosen:
            if not float_leaves(trees[k]):
                raise DifferentiationError(f"{self.name} cannot be differentiated with respect to {bound.labels[k]!r}, which is "
                                           f"{describe(bound.values[k])}{at(user_site())}: derivatives need floats; pass 2.0 instead "
                                           "of 2, or x.astype(float), or leave it out of wrt")
        bare = len(chosen) == 1 and (len(asked) == 1)
        return tuple(chosen), not bare

    def _positions(self, bound: Bound, item: str | int) -> list[int]:
        if isinstance(item, int):
            if not -len(bound.labels) <= item < len(bound.labels):
                raise ArgumentError(f"wrt={item}: {self.name} was called with {len(bound.labels)} arguments{at(user_site())}")
            return [item % len(bound.labels)]
        found = [k for k, label in enumerate(bound.labels) if label == item]
        if not found:
            found = [k for k, label in enumerate(bound.labels) if label.startswith(item + "[")]
        if not found:
            parameter = self.parameters.get(item)
            if parameter is not None and parameter.kind is inspect.Parameter.VAR_KEYWORD:
                known = {p for p in self.parameters}
                found = [k for k, label in enumerate(bound.labels) if label not in known and k >= bound.positional]
        if not found:
            raise ArgumentError(f"wrt={item!r}: {self.name} was called without that argument{at(user_site())}; it has "
                                f"{_listed_names(bound.labels)}")
        return found


def _listed_names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def describe(value: Any) -> str:
    """What an argument is, for messages."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array of dtype {value.dtype}, shape {tuple(value.shape)}"
    return f"{value!r:.40} of type {type(value).__name__}"
