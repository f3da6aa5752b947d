"""What a function takes from outside of its arguments: globals, closure cells, attributes.

Arrays found there are inputs of the program, read again at each call. While the function is traced, names that hold arrays
(or containers of arrays, or functions that read arrays) stand for traced values, so that whatever is computed from them is
part of the program. Everything else that the code reads by name is watched: a change means another trace.
"""
from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...compiler.errors import ChainruleError
from ...compiler.trace import Session, is_traced, wrap
from .references import MISSING, Reference, is_library, plain_function, references, static_attribute
from .signature import Bound
from .structure import Tree

__all__ = ["CaptureChangedError", "Captures", "Hidden"]

Array = np.ndarray[Any, Any]
Getter = Callable[[], Any]
_PRIMITIVES = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, range, slice)
_SHAPE_ONLY = ("shape", "size", "ndim", "dtype", "nbytes", "itemsize")
MAX_ITEMS = 2000  # of containers that are looked through
MAX_DEPTH = 6


class CaptureChangedError(ChainruleError):
    """A captured array is gone, or of another dtype, rank or layout than when the function was traced."""


class Place(NamedTuple):
    """Where an array was found: how to get it again, and how the code calls it."""

    name: str
    get: Getter


class Hidden:
    """A captured array as an input of the program.

    Attributes:
        name: how the code calls it.
        free_sizes: whether its sizes may be others at another call.
    """

    def __init__(self, array: Array, place: Place | None) -> None:
        self.name = place.name if place is not None else "constant"
        self._place = place
        self._array = array if place is None else None
        self._kind = (array.dtype, array.ndim, tuple(k for k, n in enumerate(array.shape) if n == 1))
        self.free_sizes = place is not None

    def fetch(self) -> Any:
        """The array as it is now.

        Raises:
            CaptureChangedError: it is gone, or of another kind.
        """
        if self._place is None:
            return self._array
        array = self._place.get()
        if type(array) is not np.ndarray:
            raise CaptureChangedError(f"captured {self.name} is no longer an array")
        dtype, ndim, ones = self._kind
        if array.dtype != dtype or array.ndim != ndim or tuple(k for k, n in enumerate(array.shape) if n == 1) != ones:
            raise CaptureChangedError(f"captured {self.name}: was {dtype} with {ndim} axes, is {array.dtype} of shape {array.shape}")
        return array


class HiddenView(Hidden):
    """A view, that the traced code made, of a captured array."""

    def __init__(self, array: Array, base: Array, place: Place) -> None:
        super().__init__(array, place)
        self.name = f"part of {place.name}"
        self.free_sizes = False
        self._layout = (base.shape, base.strides, base.dtype)
        self._window = (array.__array_interface__["data"][0] - base.__array_interface__["data"][0], array.shape, array.strides, array.dtype)

    def fetch(self) -> Any:
        assert self._place is not None
        base = self._place.get()
        if type(base) is not np.ndarray or (base.shape, base.strides, base.dtype) != self._layout:
            raise CaptureChangedError(f"captured {self._place.name}: its layout is not the one that {self.name} was taken from")
        offset, shape, strides, dtype = self._window
        return np.asarray(_Window(base, offset, shape, strides, dtype))


class _Window:
    """Part of an array's memory, by NumPy's array interface."""

    def __init__(self, base: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.base = base
        self.__array_interface__ = {"data": (base.__array_interface__["data"][0] + offset, True), "shape": shape, "strides": strides,
                                    "typestr": dtype.str, "version": 3}


class Watch(NamedTuple):
    """Something that the code reads and that is no array: another value means another trace."""

    name: str
    get: Getter
    expected: Any


class Contents(NamedTuple):
    """An array whose elements, not only its kind, were used by the trace."""

    name: str
    get: Getter
    expected: bytes
    layout: tuple[Any, ...]


def _contents(array: Array) -> tuple[bytes, tuple[Any, ...]]:
    import hashlib

    digest = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()
    return digest, (array.shape, array.dtype)


class Captures:
    """What one trace of a function took from outside, and whether it is still so."""

    def __init__(self, function: Callable[..., Any], bound: Bound, trees: tuple[Tree, ...]) -> None:
        self._function = function
        self._watches: dict[str, Watch] = {}
        self._places: dict[int, tuple[Array, Place]] = {}
        self._attributes: dict[int, tuple[Array, Place]] = {}  # arrays read as attributes, which are met as they are
        self._contents: dict[str, Contents] = {}
        self._scanned: set[tuple[int, int]] = set()
        self._copies: dict[int, Any] = {}
        self._session: Session | None = None
        self._statics = {label: tree.info.value for label, tree in zip(bound.labels, trees, strict=True) if tree.kind == "static"}
        self._look(function, self._statics)

    # ------------------------------------------------------------------------------------------------ looking around
    def _look(self, value: Any, local: dict[str, Any]) -> None:
        """Find what a callable reads from outside."""
        if isinstance(value, functools.partial):
            self._look(value.func, {})
            for k, item in enumerate(value.args):
                self._walk(item, Place(f"argument {k} of a partial", functools.partial(_item, value, "args", k)), 0)
            for key, item in value.keywords.items():
                self._walk(item, Place(key, functools.partial(_item, value, "keywords", key)), 0)
            return
        if isinstance(value, types.MethodType):
            self._look_function(value.__func__, value.__self__, local)
        elif isinstance(value, types.FunctionType):
            self._look_function(value, MISSING, local)
        elif not isinstance(value, type):  # an object that can be called
            self._look_function(static_attribute(type(value), "__call__"), value, local)

    def _look_function(self, function: Any, instance: Any, local: dict[str, Any]) -> None:
        found = plain_function(function)
        key = (id(function), id(instance))
        if found is None or key in self._scanned:
            return
        self._scanned.add(key)
        code = found.__code__
        known = dict(local)
        if instance is not MISSING and code.co_argcount:
            known[code.co_varnames[0]] = instance
        for reference in references(code):
            getter = self._root(found, reference, known)
            if getter is not None:
                self._follow(reference, getter)

    @staticmethod
    def _root(function: types.FunctionType, reference: Reference, local: dict[str, Any]) -> Getter | None:
        name = reference.name
        if reference.kind == "global":
            namespace = function.__globals__
            return functools.partial(namespace.get, name, MISSING) if name in namespace else None
        if reference.kind == "cell":
            if name in function.__code__.co_freevars and function.__closure__ is not None:
                return functools.partial(_cell_value, function.__closure__[function.__code__.co_freevars.index(name)])
            return None
        if name in local:
            value = local[name]
            return lambda: value
        return None

    def _follow(self, reference: Reference, getter: Getter) -> None:
        """From a name along its attributes, as far as they can be known without running code."""
        value, get, name, through = getter(), getter, reference.name, reference.kind == "local"
        if value is MISSING or is_traced(value):  # what a function that the trace made closes over is new in each trace
            return
        for depth, attribute in enumerate(reference.attributes):
            if isinstance(value, np.ndarray):
                if through or depth:
                    self._meet_attribute(value, Place(name, get), attribute in _SHAPE_ONLY)
                else:
                    self._places[id(value)] = value, Place(name, get)
                return
            if isinstance(value, types.ModuleType):
                if is_library(getattr(value, "__file__", None) or "<frozen"):
                    return
            elif isinstance(value, (*_PRIMITIVES, list, tuple, dict, set)):
                break
            found = static_attribute(value, attribute)
            method = found.fget if isinstance(found, property) else found
            method = getattr(method, "__wrapped__", method) if hasattr(method, "value_and_grad") else method
            if isinstance(method, types.FunctionType) and not isinstance(value, types.ModuleType):
                self._watch_identity(f"{name}.{attribute}", functools.partial(_attribute, get, attribute), found, True)
                self._look_function(method, value, {})
                return
            if found is MISSING or isinstance(found, (classmethod, staticmethod, property)):
                self._watch_identity(name, get, value, depth > 0 or not through)
                return
            self._watch_identity(name, get, value, (depth > 0 or not through) and not isinstance(value, types.ModuleType))
            value, get, name = found, functools.partial(_attribute, get, attribute), f"{name}.{attribute}"
            through = True
        if isinstance(value, np.ndarray) and through and reference.attributes:
            self._meet_attribute(value, Place(name, get), False)
            return
        self._walk(value, Place(name, get), 0, watched=not (through and not reference.attributes))

    def _meet_attribute(self, array: Array, place: Place, shape_only: bool) -> None:
        if shape_only:
            self._watches[place.name + ".shape"] = Watch(place.name + ".shape", lambda: _kind(place.get()), _kind(array))
        else:
            self._attributes[id(array)] = array, place

    def _watch_identity(self, name: str, get: Getter, value: Any, wanted: bool) -> None:
        if wanted and not isinstance(value, types.ModuleType):
            self._watches.setdefault(name, Watch(name, get, _Same(value)))

    def _walk(self, value: Any, place: Place, depth: int, watched: bool = True) -> None:
        """Note the arrays in a value, and watch what else it is."""
        if type(value) is np.ndarray:
            self._places.setdefault(id(value), (value, place))
            return
        if isinstance(value, (types.ModuleType, np.ufunc)):
            return
        if watched:
            self._watches.setdefault(place.name, Watch(place.name, place.get, fingerprint(value)))
        for key, item in _children(value):
            if depth < MAX_DEPTH:
                self._walk(item, Place(f"{place.name}[{key!r}]", functools.partial(_member, place.get, key)), depth + 1, False)
        inner = getattr(value, "__wrapped__", None) if hasattr(value, "value_and_grad") else value
        if callable(inner) and not isinstance(inner, type):
            self._look(inner, {})
        elif hasattr(value, "__dict__") and not isinstance(value, type) and depth < MAX_DEPTH and not is_library(_source_of(value)):
            for attribute, item in list(vars(value).items())[:MAX_ITEMS]:
                if type(item) is np.ndarray:
                    self._attributes.setdefault(id(item), (item, Place(f"{place.name}.{attribute}",
                                                                       functools.partial(_attribute, place.get, attribute))))

    # ------------------------------------------------------------------------------------------------ during the trace
    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], session: Session) -> Any:
        """Run the function with traced values in place of captured arrays."""
        self._session = session
        session.prepare = self.prepared
        return self.prepared(self._function)(*args, **kwargs)

    def prepared(self, value: Any) -> Any:
        """A function, or a container, with traced values in place of the arrays that it holds; itself where there are none."""
        found = self._copies.get(id(value))
        if found is None:
            if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
                self._look(value, {})
            found = self._copies[id(value)] = (value, self._substitute(value, {}))
        return found[1]

    def _substitute(self, value: Any, busy: dict[int, Any]) -> Any:
        if type(value) is np.ndarray:
            return wrap(self._captured(value))
        if id(value) in busy:
            return busy[id(value)]
        if isinstance(value, functools.partial):
            return functools.partial(self._substitute(value.func, busy), *(self._substitute(a, busy) for a in value.args),
                                     **{k: self._substitute(a, busy) for k, a in value.keywords.items()})
        if isinstance(value, types.MethodType):
            function = self._substitute(value.__func__, busy)
            return value if function is value.__func__ else types.MethodType(function, value.__self__)
        if plain_function(value) is not None:
            return self._substitute_function(value, busy)
        if type(value) in (list, tuple, dict) and _count(value) <= MAX_ITEMS and _has_array(value, 0):
            if isinstance(value, dict):
                return {k: self._substitute(v, busy) for k, v in value.items()}
            return type(value)(self._substitute(v, busy) for v in value)
        return value

    def _captured(self, array: Array) -> Any:
        assert self._session is not None
        return self._session.capture(array)

    def _substitute_function(self, function: types.FunctionType, busy: dict[int, Any]) -> Any:
        """A copy of the function that finds traced values in its globals and closure."""
        if not self._reads_arrays(function, set()):
            return function
        cells = [types.CellType() for _ in function.__closure__ or ()]
        namespace = dict(function.__globals__)
        made = types.FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, tuple(cells))
        made.__kwdefaults__ = function.__kwdefaults__
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        made.__dict__.update(function.__dict__)
        busy[id(function)] = made
        for cell, original in zip(cells, function.__closure__ or (), strict=True):
            current = _cell_value(original)
            if current is not MISSING:
                cell.cell_contents = self._substitute(current, busy)
        for reference in references(function.__code__):
            if reference.kind == "global" and reference.name in namespace:
                namespace[reference.name] = self._substitute(function.__globals__[reference.name], busy)
        return made

    def _reads_arrays(self, function: types.FunctionType, seen: set[int]) -> bool:
        """Whether a function, or one that it calls by name, reads an array from outside."""
        if id(function) in seen:
            return False
        seen.add(id(function))
        for reference in references(function.__code__):
            getter = self._root(function, reference, {})
            value = MISSING if getter is None else getter()
            if type(value) is np.ndarray or (type(value) in (list, tuple, dict) and _has_array(value, 0)):
                return True
            inner = plain_function(value.func if isinstance(value, functools.partial) else value)
            if inner is not None and self._reads_arrays(inner, seen):
                return True
            if isinstance(value, functools.partial) and any(type(v) is np.ndarray for v in (*value.args, *value.keywords.values())):
                return True
        return False

    def origin(self, array: Array) -> Hidden | None:
        """Where a plain array that met a traced one comes from."""
        found = self._places.get(id(array)) or self._attributes.get(id(array))
        if found is not None:
            return Hidden(array, found[1])
        base = array.base
        while isinstance(base, np.ndarray):
            found = self._places.get(id(base)) or self._attributes.get(id(base))
            if found is not None:
                return HiddenView(array, base, found[1])
            base = base.base
        return None

    def use_contents(self, array: Array) -> None:
        """The trace depends on the elements of a captured array."""
        found = self._places.get(id(array)) or self._attributes.get(id(array))
        base = array.base
        while found is None and isinstance(base, np.ndarray):
            found = self._places.get(id(base)) or self._attributes.get(id(base))
            base = base.base
        if found is not None:
            whole, place = found
            self._contents[place.name] = Contents(place.name, place.get, *_contents(whole))

    # ------------------------------------------------------------------------------------------------ afterwards
    def finish(self, session: Session) -> None:
        """Decide which arrays' elements the trace may have used without being seen."""
        for name, watch in list(self._watches.items()):
            value = watch.get()
            if not isinstance(watch.expected, _Same) and fingerprint(value) != watch.expected:
                del self._watches[name]  # the function itself counts or collects there
                if isinstance(value, (list, dict, set)):
                    self._watches[name] = Watch(name, watch.get, _Same(value))
        for array in session.used_contents:
            self.use_contents(array)
        met = {id(c.array) for c in session.captured.values()}
        bases = {id(c.array.base) for c in session.captured.values()}
        unknown = session.plain_numbers or any(c.origin is None for c in session.captured.values())
        for key, (array, _) in self._attributes.items():
            if unknown or (key not in met and key not in bases):
                self.use_contents(array)
        self._copies, self._session, self._scanned = {}, None, set()

    @property
    def watches_anything(self) -> bool:
        """Whether `changed` has anything to look at."""
        return bool(self._watches or self._contents)

    def changed(self) -> str:
        """What is not as it was when the function was traced, or nothing."""
        for watch in self._watches.values():
            value = watch.get()
            if isinstance(watch.expected, _Same):
                if value is not watch.expected.value:
                    return f"captured {watch.name} is another object"
                if getattr(value, "__code__", None) is not watch.expected.code:
                    return f"captured {watch.name} has other code"
            elif fingerprint(value) != watch.expected:
                return f"captured {watch.name} changed"
        for contents in self._contents.values():
            array = contents.get()
            if type(array) is not np.ndarray or _contents(array) != (contents.expected, contents.layout):
                return f"the elements of captured {contents.name} changed, on which the trace depends"
        return ""


class _Same:
    """An expectation by identity, and by the code of functions: who reloads a module may put new code into the old function."""

    __slots__ = ("code", "value")

    def __init__(self, value: Any) -> None:
        self.value, self.code = value, getattr(value, "__code__", None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value and other.code is self.code

    __hash__ = None  # type: ignore[assignment]


def fingerprint(value: Any, depth: int = 0) -> Any:
    """What has to be the same for a trace to be right: plain values by value, arrays by kind, containers by their items."""
    if isinstance(value, np.generic):
        return type(value), value.tobytes()
    if isinstance(value, float):
        return float, value.hex()
    if isinstance(value, _PRIMITIVES):
        return type(value), value
    if type(value) is np.ndarray:
        return "array", value.dtype, value.ndim
    if isinstance(value, (list, tuple, dict)) and depth < MAX_DEPTH and _count(value) <= MAX_ITEMS:
        items = tuple(fingerprint(item, depth + 1) for _, item in _children(value))
        return type(value), tuple(value) if isinstance(value, dict) else None, items
    return _Same(value)


def _kind(value: Any) -> Any:
    return (value.shape, value.dtype) if isinstance(value, np.ndarray) else type(value)


def _count(value: Any) -> int:
    return len(value)


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, (list, tuple)) and len(value) <= MAX_ITEMS:
        yield from enumerate(value)
    elif isinstance(value, dict) and len(value) <= MAX_ITEMS:
        yield from value.items()


def _has_array(value: Any, depth: int) -> bool:
    return depth < MAX_DEPTH and any(type(v) is np.ndarray or (type(v) in (list, tuple, dict) and _has_array(v, depth + 1))
                                     for _, v in _children(value))


def _cell_value(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return MISSING


def _attribute(get: Getter, name: str) -> Any:
    return static_attribute(get(), name)


def _member(get: Getter, key: Any) -> Any:
    try:
        return get()[key]
    except (LookupError, TypeError):
        return MISSING


def _item(value: functools.partial[Any], part: str, key: Any) -> Any:
    return getattr(value, part)[key]


def _source_of(value: Any) -> str:
    import sys

    module = sys.modules.get(type(value).__module__)
    return getattr(module, "__file__", None) or ("<user>" if type(value).__module__ == "__main__" else "<frozen")


