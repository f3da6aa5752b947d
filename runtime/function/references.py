"""Which outside names a function's code reads, found in its bytecode, and what attributes stand for without running code."""
from __future__ import annotations

import dis
import os
import sysconfig
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["MISSING", "Reference", "is_library", "plain_function", "references", "static_attribute"]

MISSING = object()
_LOADS = {"LOAD_GLOBAL": "global", "LOAD_NAME": "global", "LOAD_DEREF": "cell", "LOAD_CLASSDEREF": "cell", "LOAD_FAST": "local",
          "LOAD_FAST_BORROW": "local", "LOAD_FAST_CHECK": "local"}
_SKIPPED = {"CACHE", "EXTENDED_ARG", "PRECALL", "PUSH_NULL", "NOP", "RESUME"}


class Reference(NamedTuple):
    """A name that code reads and the attributes it then takes: `self.layer.weight` is ("local", "self", ("layer", "weight"))."""

    kind: str  # "global", "cell", "local"
    name: str
    attributes: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.attributes))


@lru_cache(maxsize=1024)
def references(code: types.CodeType) -> tuple[Reference, ...]:
    """Every name that the code, or code nested in it, reads, with the attributes that are taken of it."""
    found = dict.fromkeys(_scan(code))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(r for r in references(constant) if r.kind != "local"))
    return tuple(found)


def _scan(code: types.CodeType) -> Iterator[Reference]:
    kind = name = ""
    attributes: list[str] = []
    for instruction in dis.get_instructions(code):
        operation = instruction.opname
        if operation in _SKIPPED:
            continue
        if name and operation in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.append(str(instruction.argval))
            continue
        if name:
            yield Reference(kind, name, tuple(attributes))
            name = ""
        loaded = _LOADS.get(operation)
        if loaded is not None:
            kind, name, attributes = loaded, str(instruction.argval), []
        elif operation.startswith("LOAD_FAST") and isinstance(instruction.argval, tuple):  # two at once; the last is on top
            kind, name, attributes = "local", str(instruction.argval[-1]), []
    if name:
        yield Reference(kind, name, tuple(attributes))


_FOLDERS = {sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
_LIBRARIES = tuple(os.path.abspath(folder) + os.sep for folder in _FOLDERS)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


@lru_cache(maxsize=1024)
def is_library(filename: str) -> bool:
    """Whether a source file belongs to an installed package or the standard library, whose globals do not change."""
    if filename.startswith("<frozen"):
        return True
    path = os.path.abspath(filename)
    own = path.startswith((_PACKAGE + "__init__.py", *(_PACKAGE + part + os.sep for part in ("compiler", "runtime"))))
    return own or path.startswith(_LIBRARIES)


def plain_function(value: Any) -> types.FunctionType | None:
    """The Python function behind a value (a function, a method), unless it belongs to a library."""
    function = value.__func__ if isinstance(value, types.MethodType) else value
    if not isinstance(function, types.FunctionType) or is_library(function.__code__.co_filename):
        return None
    return function


def static_attribute(value: Any, name: str) -> Any:
    """The attribute of an object or module without running any of the user's code; `MISSING` where that cannot be said.

    A function or property of the class is returned as it stands there.
    """
    if isinstance(value, types.ModuleType):
        return vars(value).get(name, MISSING)
    inherited: Any = MISSING
    for base in type(value).__mro__ if not isinstance(value, type) else value.__mro__:
        if name in base.__dict__:
            inherited = base.__dict__[name]
            break
    if isinstance(inherited, types.MemberDescriptorType):  # a slot
        try:
            return inherited.__get__(value)
        except AttributeError:
            return MISSING
    if isinstance(inherited, property):
        return inherited
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict) and name in own:
        return own[name]
    return inherited
