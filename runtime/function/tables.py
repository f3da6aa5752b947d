"""Tables for notebooks."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["table"]

_LEFT = " style='text-align:left; vertical-align:top'"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; the first cell of each row heads it."""
    columns = f"<tr>{''.join(f'<th{_LEFT}>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(f"<tr><th{_LEFT}>{escape(first)}</th>{''.join(f'<td{_LEFT}>{escape(cell)}</td>' for cell in rest)}</tr>"
                   for first, *rest in rows)
    return f"<table><caption{_LEFT}>{escape(caption)}</caption>{columns}{body}</table>"
