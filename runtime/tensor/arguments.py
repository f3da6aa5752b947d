"""Arguments that do not fit, in torch's words."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

# Operations with several signatures: torch does not say which argument is wrong, but what it got and what there is.
OVERLOADED = frozenset({
    "all", "any", "arange", "clamp", "fill_", "index_fill", "linspace", "masked_fill", "max", "mean", "median", "min",
    "norm", "ones", "pow", "prod", "quantile", "repeat", "scatter", "sort", "split", "squeeze", "std", "std_mean", "sum", "tensor_split",
    "var", "var_mean", "view", "view_as", "where", "zeros",
})

# What torch calls the types in the signatures of the table's rules; where a rule says `Any`, the parameter's name tells.
_ANNOTATED = {"int": "int", "int | None": "int", "Tensor": "Tensor", "Tensor | None": "Tensor", "bool": "bool", "float": "float"}
_NAMED = {
    "dim": "int", **dict.fromkeys(("other", "exponent", "index", "mask", "condition"), "Tensor"),
    **dict.fromkeys(("dims", "size", "sizes", "shape", "shifts", "repeats"), "tuple of ints"),
    **dict.fromkeys(("min", "max", "value", "fill_value", "start", "end"), "Number"),
}

NUMBERS = (bool, int, float, np.number, np.bool_)


def is_number(item: Any) -> bool:
    """Whether `item` is a number that takes part in promotion as a Python scalar."""
    return isinstance(item, NUMBERS)


class WrongType(TypeError):
    """An argument of a type that an operation does not take; the operation's name and the position are added further up."""

    def __init__(self, argument: str, expected: str, value: Any) -> None:
        super().__init__(f"argument '{argument}' must be {expected}, not {type_name(value)}")
        self.argument, self.expected, self.value = argument, expected, value


def type_name(value: object) -> str:
    """A type's name as torch's messages have it."""
    kind = type(value)
    return f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__


def refuse(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], is_method: bool,
           error: Exception) -> NoReturn:
    """Raise the TypeError that torch raises for this call, given what Python or a rule said; `error` itself, if no argument is to blame.

    Raises:
        TypeError: torch's message.
    """
    text = str(error)
    shown = args[1:] if is_method else args
    wrong = _wrong(function, args, kwargs) or (error if isinstance(error, WrongType) else None)
    if wrong is not None:
        if name in OVERLOADED:
            raise TypeError(_combination(name, function, shown, kwargs)) from None
        place = next((f" (position {k})" for k, a in enumerate(shown, start=1) if a is wrong.value), "")
        raise TypeError(f"{name}(): argument '{wrong.argument}'{place} must be {wrong.expected}, not "
                        f"{type_name(wrong.value)}") from None
    own = function.__name__ + "()" in text
    if not own or not any(said in text for said in (" missing ", " takes ", " got ")):
        raise error
    if name in OVERLOADED:
        raise TypeError(_combination(name, function, shown, kwargs)) from None
    if " missing " in text:
        names = [n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        missing = [n for k, n in enumerate(names) if k >= len(args) and n not in kwargs]
        quoted = ", ".join('"' + ("input" if n == "self" else n) + '"' for n in missing)
        raise TypeError(f"{name}() missing {len(missing)} required positional arguments: {quoted}") from None
    if is_method and len(inspect.signature(function).parameters) == 1 and len(args) > 1:
        raise TypeError(f"TensorBase.{name}() takes no arguments ({len(args) - 1} given)") from None
    raise TypeError(name + "()" + text.partition("()")[2]) from None


def _wrong(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> WrongType | None:
    """The first argument of a failed call whose type is not what the function's signature says."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    for key, given in bound.items():
        parameter = signature.parameters[key]
        expected = _ANNOTATED.get(str(parameter.annotation), _NAMED.get(key, ""))
        several = parameter.kind is parameter.VAR_POSITIONAL
        for value in given if several else (given,):
            if expected and value is not parameter.default and not _fits(value, expected, key):
                return WrongType(key.replace("sizes", "size"), expected, value)
    return None


def _fits(value: Any, expected: str, name: str) -> bool:
    is_tensor = hasattr(value, "_storage")
    if expected == "Tensor":
        return is_tensor or (is_number(value) and name in ("other", "exponent"))
    if expected in ("Number", "float"):
        return is_number(value) or is_tensor
    if expected == "tuple of ints" or (expected == "int" and name == "dim"):
        return hasattr(value, "__index__") or (isinstance(value, (tuple, list)) and all(hasattr(v, "__index__") for v in value))
    return hasattr(value, "__index__")


def _combination(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    got = ", ".join([type_name(a) for a in args] + [f"{k}={type_name(v)}" for k, v in kwargs.items()])
    got += ", " if kwargs and not args else ""
    return f"{name}() received an invalid combination of arguments - got ({got}), but expected one of:\n * {inspect.signature(function)}\n"


def check_first(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise torch's error for a first argument that is no tensor.

    Raises:
        TypeError: torch's message; for arrays with a hint.
    """
    first = args[0] if args else kwargs.get("self")
    hint = f" (for NumPy arrays: np.{name}, or chainrule.as_tensor first)" if isinstance(first, np.ndarray) else ""
    raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type_name(first)}{hint}")


def as_int(value: Any, argument: str) -> int:
    """An integer argument.

    Raises:
        WrongType: it is none.
    """
    try:
        return value.__index__()  # type: ignore[no-any-return]
    except (AttributeError, TypeError):
        raise WrongType(argument, "int", value) from None
