"""Where in the user's source a value was made."""
from __future__ import annotations

import os
import sys
from bisect import bisect_right
from types import CodeType, FrameType
from typing import Any, NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_HERE)
_LIBRARIES = tuple(os.sep + os.path.join("site-packages", name) + os.sep for name in ("numpy", "scipy", "numba"))
_OWN: dict[str, bool] = {}  # co_filename -> is it ours (or a library's)? a handful of files, so never pruned
# Of functions with thousands of lines: (code, offsets where a line starts, lines). The interpreter reads the table of lines
# from its beginning for each `f_lineno`, so tracing such a function would take quadratic time.
_LONG: dict[int, tuple[CodeType, list[int], list[int]]] = {}
_LONG_TABLE, _MOST_LONG = 2_000, 16


class Site(NamedTuple):
    """A line of the user's source."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{_shown(self.file)}:{self.line}"


def _shown(filename: str) -> str:
    """The file's name; of a notebook's cell, which is kept in a file that nobody knows, the prompt beside it."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    named = shell.compile.format_code_name(filename) if shell is not None else None  # ("Cell", "In[3]")
    return str(named[1]) if named else os.path.basename(filename)


def is_own(filename: str) -> bool:
    """Whether a file is chainrule's, NumPy's or SciPy's."""
    own = _OWN.get(filename)
    if own is None:
        path = os.path.abspath(filename)
        inside = path.startswith((_HERE + os.sep, os.path.join(_ROOT, "runtime") + os.sep))
        own = inside or path == os.path.join(_ROOT, "__init__.py") or any(library in path for library in _LIBRARIES)
        _OWN[filename] = own
    return own


def _line(frame: FrameType) -> int:
    code = frame.f_code
    if len(code.co_linetable) < _LONG_TABLE:
        return frame.f_lineno
    known = _LONG.get(id(code))
    if known is None:
        if len(_LONG) >= _MOST_LONG:
            _LONG.clear()
        spans = [(start, line) for start, _, line in code.co_lines() if line is not None]
        known = _LONG[id(code)] = code, [start for start, _ in spans], [line for _, line in spans]
    _, starts, lines = known
    return lines[max(0, bisect_right(starts, frame.f_lasti) - 1)]


def user_site(skip: int = 1) -> Site | None:
    """The innermost line of the calling thread that is neither chainrule's nor that of a library below; None when there is none."""
    frame = sys._getframe(skip)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not is_own(filename):
            return Site(filename, _line(frame))
        frame = frame.f_back  # type: ignore[assignment]
    return None


def variables_of(value: object) -> list[str]:
    """The local names, in the innermost function that is neither chainrule's nor of a library below, that have this value."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_own(frame.f_code.co_filename):
        frame = frame.f_back
    return [] if frame is None else [name for name, found in frame.f_locals.items() if found is value and name.isidentifier()]


def at(site: Site | None) -> str:
    """` (at file.py:12)`, or nothing when the place is unknown: the tail of an error message."""
    return f" (at {site})" if site is not None else ""
