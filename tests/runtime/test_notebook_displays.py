"""What notebooks show of functions, of their counters and of their accuracy."""
from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import chainrule as cr


class Cells(HTMLParser):
    """The cells of a table, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def softplus() -> Any:
    def softplus(x_1: Any, y: Any) -> Any:
        return np.log(1 + np.exp(x_1)) * y

    return cr.grad(softplus)


def test_a_function_is_its_formula_once_it_was_called(softplus: Any) -> None:
    assert cr.grad(softplus.__wrapped__)._repr_latex_() is None
    softplus.grad(1.0, 2.0)
    assert softplus._repr_latex_() == rf"$\displaystyle \mathrm{{softplus}}\left(x_{{1}}, y\right) = {softplus.formula.latex}$"


def test_a_long_function_is_only_named() -> None:
    def long(x: Any) -> Any:
        for k in range(40):
            x = np.sin(x) + k
        return x

    made = cr.grad(long)
    made.trace(0.5)
    assert made._repr_latex_() is None
    assert repr(made).startswith("<grad of long(")


def test_counters_are_a_table(softplus: Any) -> None:
    softplus.grad(1.0, 2.0)
    rows = Cells(softplus.stats._repr_html_()).rows
    assert [": ".join(row) for row in rows] == str(softplus.stats).splitlines()
    softplus.stats.misses.append("<b>")
    assert "<b>" not in softplus.stats._repr_html_()


def test_accuracy_is_a_table(softplus: Any) -> None:
    found = cr.accuracy(softplus, {"x_1": (-5.0, 5.0), "y": (1.0, 2.0)}, points=20)
    head, *rows = Cells(found._repr_html_()).rows
    assert head[1:3] == ["mean bits of error", "worst"]
    assert [row[0] for row in rows] == ["value", "d/dx_1", "d/dy"]
    assert rows[0][1] == f"{found.value.mean:.1f}"
    assert all(len(row) == len(head) for row in rows)
    assert repr(found) == str(found)
