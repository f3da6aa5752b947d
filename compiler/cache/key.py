"""The key of a program: everything that its record and its machine code depend on, hashed.

That is the traced graph without its source lines and example sizes, the request and options, chainrule's own sources,
the versions of what compiles, and the CPU. Two traces with one key give one program.
"""
from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..ir import Graph, Node, toposort
from ..sizes import Guard, SizeExpr

__all__ = ["Unkeyed", "key_of"]

_STARTED = time.time()
_SOURCES = Path(__file__).parent.parent  # of the whole compiler
# What changes the code that numba makes.
_SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX", "NUMBA_LOOP_VECTORIZE", "NUMBA_OPT",
             "NUMBA_SLP_VECTORIZE")
_LITERAL = frozenset({type(None), bool, int, float, str, bytes})


class Unkeyed(Exception):
    """A program that has no key: it depends on something that no hash covers. The message says what."""


def _text(value: Any) -> str:
    """A text that only equal values have."""
    if type(value) in _LITERAL:
        return repr(value)
    if isinstance(value, tuple) and not isinstance(value, Guard):
        return f"({','.join(map(_text, value))})"
    if isinstance(value, SizeExpr):
        return f"<{value}>"
    if isinstance(value, Guard):
        return f"guard{_text(tuple(value[:3]))}"  # the fourth is its source line
    if isinstance(value, np.dtype):
        return f"dtype{value.str}"
    if isinstance(value, Graph):
        return f"graph[{';'.join(_lines(value))}]"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}{_text(tuple(getattr(value, f.name) for f in fields(value)))}"
    raise Unkeyed(f"a {type(value).__name__} has no key")


def _lines(graph: Graph) -> Iterator[str]:
    """A graph as text: its nodes in order, its ends and its guards."""
    place: dict[Node, int] = {}
    avals: dict[tuple[Any, ...], str] = {}
    for node in toposort([*graph.inputs, *graph.outputs]):
        aval = avals.get((node.shape, node.dtype))
        if aval is None:
            aval = avals[node.shape, node.dtype] = f"{_text(node.shape)} {node.dtype.str}"
        inputs = [place[i] for i in node.inputs]
        place[node] = len(place)
        yield f"{node.op.name} {inputs} {_text(node.params) if node.params else ''} {aval}"
    yield f"{[place[n] for n in graph.inputs]} {[place[n] for n in graph.outputs]}"
    for guard in graph.guards:
        yield _text(guard)


def _source_files(folder: Path) -> Iterator[str]:
    for directory, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        yield from (os.path.join(directory, name) for name in sorted(names) if name.endswith(".py"))


def sources_digest(folder: Path, since: float) -> str:
    """A hash of every module under a folder.

    Raises:
        Unkeyed: there are none to read, or one was changed after `since`, so that this process may run an older one.
    """
    digest, count = hashlib.sha256(), 0
    for path in _source_files(folder):
        try:
            with open(path, "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_mtime > since:
                    raise Unkeyed(f"{path} was changed after it was imported")
                content = file.read()
        except OSError as error:
            raise Unkeyed(f"chainrule's own source cannot be read: {error}") from None
        digest.update(f"{path[len(str(folder)):]} {len(content)}\n".encode())
        digest.update(content)
        count += 1
    if not count:
        raise Unkeyed("chainrule's own sources are not there")
    return digest.hexdigest()


def _numba_version() -> str:
    """The text of numba's version module: importing numba costs more than all else that a warm start does."""
    from importlib.util import find_spec

    found = find_spec("numba")
    if found is None or found.origin is None:
        raise Unkeyed("numba is not installed as files")
    return (Path(found.origin).parent / "_version.py").read_text()


@cache
def _sources() -> str:
    return sources_digest(_SOURCES, _STARTED)


@cache
def _environment() -> str:
    """The versions and the CPU that compiled code is for."""
    import llvmlite
    import llvmlite.binding as llvm

    return _text((
        sys.platform, sys.implementation.cache_tag, sys.hexversion, getattr(sys, "abiflags", ""), np.__version__,
        llvmlite.__version__, _numba_version(), llvm.get_default_triple(), llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ))


def key_of(graph: Graph, settings: tuple[Any, ...], environ: Mapping[str, str] = os.environ) -> str:
    """The key of the program that is made of a traced graph.

    Args:
        settings: what else the program depends on: the request, the options, the layout of its call entry.

    Raises:
        Unkeyed: the graph or the settings contain something that has no text (a function, say).
    """
    digest = hashlib.sha256()
    for line in (_sources(), _environment(), _text(tuple(environ.get(name) for name in _SETTINGS)), _text(settings)):
        digest.update(f"{line}\n".encode())
    for line in _lines(graph):
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()
