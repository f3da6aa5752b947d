"""The warning that a Python loop became a large program."""
from __future__ import annotations

import threading
import warnings
from collections import Counter

from ...compiler.errors import UnrolledLoopWarning
from ...compiler.ir import Graph
from ...compiler.provenance import Site, at

__all__ = ["warn_of_unrolled"]

LARGE = 2_000  # operations of a program that takes seconds to compile
REPEATED = 100  # operations that one line makes only when it runs many times

_lock = threading.Lock()
_warned: set[Site] = set()


def warn_of_unrolled(graph: Graph, name: str) -> None:
    """Warn of the line that made the most operations of a large traced program, once for each line."""
    operations = [node for node in graph.nodes() if node.op.kind != "leaf"]
    if len(operations) < LARGE:
        return
    made = Counter(site for node in operations for site in node.sites)
    site, count = max(made.items(), key=lambda item: item[1], default=(None, 0))
    with _lock:
        if site is None or count < REPEATED or site in _warned:
            return
        _warned.add(site)
    try:
        warnings.warn_explicit(
            f"this line made {count:,} of the {len(operations):,} operations of {name}{at(site)}: a Python loop is unrolled when it is "
            "traced, and each operation is compiled by itself. Write the loop as operations on whole arrays, or with cr.scan, which "
            "traces one step", UnrolledLoopWarning, site.file, site.line)
    except UnrolledLoopWarning:  # a filter makes errors of warnings: it is one every time
        _warned.discard(site)
        raise
