"""Errors for what cannot be done with a traced value, and how to tell what the user was doing."""

from __future__ import annotations

import dis
import sys
from collections.abc import Set
from typing import TYPE_CHECKING

from ..errors import TraceError
from ..ir import Node
from ..provenance import Site, at, user_site

if TYPE_CHECKING:
    from .traced import Traced

__all__ = ["UnsupportedAttributeError", "conversion", "is_storing", "made_at", "needs_value"]


class UnsupportedAttributeError(TraceError, AttributeError):
    """An attribute of arrays that traced ones do not have."""


def needs_value(value: Traced, what: str, instead: str) -> TraceError:
    """The error for asking a traced value for its number."""
    node = value.node
    here = user_site()
    made = made_at(node, value.session.sites)
    computed = f", computed{made}" if made and at(here) != f" ({made.strip()})" else ""
    return TraceError(
        f"{what} needs the value of a traced {node.dtype}[{', '.join(map(str, node.shape))}]"
        f"{computed}{at(here)}, and a traced value is only known when the compiled function runs: {instead}"
    )


def made_at(node: Node, lines: Set[Site]) -> str:
    """` at file.py:12`: where a value was computed, among the lines of its trace; other functions may have the same node."""
    site: Site | None = min(node.sites & lines, default=None)
    return f" at {site}" if site is not None else ""


def conversion(value: Traced) -> TraceError:
    """The error for making a plain array of a traced value: storing it somewhere, or a function that NumPy cannot dispatch."""
    library = _calling_library()
    if library:
        return TraceError(
            f"{library} converts its arguments to plain arrays, which a traced value cannot be{at(user_site())}: "
            "ufuncs of scipy.special (expit, xlogy, gammaln, ...) can be traced, and cr.logsumexp, cr.softmax; "
            "compute other things outside of the function, or write them with NumPy's functions"
        )
    return needs_value(
        value,
        "making a plain array of it (np.array, np.asarray, storing it in a np.zeros(n), a function that NumPy does not dispatch)",
        "use np.zeros_like(x) or np.empty_like(x) of a traced x for an array to store it in, np.stack([...]) "
        "or np.concatenate instead of np.array([...]), and leave out np.asarray",
    )


def is_storing() -> bool:
    """Whether the user's line is storing into something by index, which is where NumPy asks for a float."""
    frame = sys._getframe(2)
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "STORE_SUBSCR"


def _calling_library() -> str:
    """The public function of SciPy that the user's code has called, if it is one that asks for a plain array."""
    frame, found = sys._getframe(2), ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("scipy."):
            found = f"{module.partition('._')[0]}.{frame.f_code.co_name}"
        elif not module.startswith(("numpy", "chainrule")):
            break
        frame = frame.f_back  # type: ignore[assignment]
    return found
