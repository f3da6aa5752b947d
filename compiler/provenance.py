"""Where in the user's source a value was made."""
from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_HERE)
_LIBRARIES = tuple(os.sep + os.path.join("site-packages", name) + os.sep for name in ("numpy", "scipy"))
_OWN: dict[str, bool] = {}  # co_filename -> is it ours (or NumPy's, or SciPy's)? a handful of files, so never pruned


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


def _is_own(filename: str) -> bool:
    own = _OWN.get(filename)
    if own is None:
        path = os.path.abspath(filename)
        inside = path.startswith((_HERE + os.sep, os.path.join(_ROOT, "runtime") + os.sep))
        own = inside or path == os.path.join(_ROOT, "__init__.py") or any(library in path for library in _LIBRARIES)
        _OWN[filename] = own
    return own


def user_site(skip: int = 1) -> Site | None:
    """The innermost line of the calling thread that is neither chainrule's nor NumPy's or SciPy's; None when there is none."""
    frame = sys._getframe(skip)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not _is_own(filename):
            return Site(filename, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def at(site: Site | None) -> str:
    """` (at file.py:12)`, or nothing when the place is unknown: the tail of an error message."""
    return f" (at {site})" if site is not None else ""
