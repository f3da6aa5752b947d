"""Pictures of graphs: what is drawn, where it stands, and what is left out of large ones."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.runtime.report.drawing import MOST_BOXES, Drawing, drawing
from chainrule.runtime.report.picture import svg

pytest.importorskip("fast_sugiyama")


def drawn(function: Any, *args: Any, stage: str = "traced", results: tuple[str, ...] = ("f",)) -> Drawing:
    made = grad(function)
    view = made.trace(*args)
    before = frozenset(view.ir("traced").nodes()) if stage != "traced" else frozenset()
    return drawing(view.ir(stage), results, before, view._program.sites)


def places(text: str) -> list[tuple[float, float, float, float]]:
    """x, y, width and height of every box."""
    boxes = re.findall(r"<rect x='(.*?)' y='(.*?)' width='(.*?)' height='(.*?)'", text)
    return [tuple(map(float, box)) for box in boxes]  # type: ignore[misc]


def test_operations_and_arguments_are_boxes_and_constants_are_in_their_labels() -> None:
    made = drawn(lambda x, y: np.sum(2.0 * np.exp(x) - y), np.ones(3), np.ones(3))
    assert [box.lines for box in made.boxes] == [("x", "[s0]"), ("exp(·)", "[s0]"), ("2*·", "[s0]"), ("y", "[s0]"), ("· - ·", "[s0]"),
                                                ("sum(·)",)]
    assert made.edges == ((0, 1), (1, 2), (2, 4), (3, 4), (4, 5))
    assert [box.kind for box in made.boxes] == ["input", "elementwise", "elementwise", "input", "elementwise", "reduce"]
    assert [box.result for box in made.boxes] == ["", "", "", "", "", "f"]
    assert made.boxes[1].note.startswith("exp: f64[s0]\ntest_report_pictures.py:")
    assert made.caption.startswith("6 boxes for 8 nodes; those that are constants, ")


def test_boxes_do_not_overlap_and_operands_are_above() -> None:
    made = drawn(lambda x, y: np.sum(np.sin(x) * np.cos(y) + np.exp(x * y) / (1 + x * x) - np.tanh(np.sin(x) * y)), np.ones(3), np.ones(3))
    boxes = places(svg(made, lambda sites: "", "graph"))
    assert len(boxes) == len(made.boxes)
    for k, (x, y, width, height) in enumerate(boxes):
        assert not [1 for u, v, w, h in boxes[:k] if x < u + w and u < x + width and y < v + h and v < y + height]
    assert all(boxes[a][1] + boxes[a][3] < boxes[b][1] for a, b in made.edges)
    assert all(x >= 0 and y >= 0 for x, y, _, _ in boxes)


def test_operands_that_one_operation_uses_are_written_into_it_where_there_are_many() -> None:
    def many(x, y):  # type: ignore[no-untyped-def]
        total = x
        for k in range(2, 12):
            total = total + np.sin(k * x) * np.exp(y) / (x + k)
        return total

    made = drawn(many, 0.5, 0.5)
    labels = [box.lines[0] for box in made.boxes]
    assert len(labels) < 25
    assert "x" not in labels  # many use it: its name is written
    assert "y" in labels
    assert "exp(·)" in labels  # used ten times: a box of its own
    assert any("sin(" in label and "exp" not in label and "/(" in label for label in labels)
    for k, box in enumerate(made.boxes):
        assert len(box.lines[0]) <= 26
        assert [b for _, b in made.edges].count(k) == box.lines[0].count("·")  # as many edges as places
    assert "exp, " not in made.boxes[labels.index("exp(·)")].note


def test_a_large_graph_has_a_box_for_each_line_and_one_for_a_loop() -> None:
    def long(x):  # type: ignore[no-untyped-def]
        y = x
        for _ in range(60):
            y = np.sin(y) * x
            x = x + y
        return np.exp(y)

    made = drawn(long, 0.5, stage="differentiated", results=("d f",))
    boxes = {box.lines: box for box in made.boxes}
    loop = next(box for lines, box in boxes.items() if "y = np.sin(y) * x" in lines and box.kind == "lines")
    assert "x = x + y" in loop.lines
    assert loop.lines[-1].endswith(" operations")
    assert len(loop.sites) == 2
    assert {box.kind for box in made.boxes} == {"input", "lines", "derivative"}
    assert [box.result for box in made.boxes].count("d f") == 1
    assert len(made.boxes) <= 6
    assert "one box" in made.caption
    assert all(a < b for a, b in made.edges)


def test_of_many_lines_those_near_the_result_are_drawn() -> None:
    space: dict[str, Any] = {"np": np}
    body = "".join(f"    x = np.sin(x) + {k}\n" for k in range(160))
    exec(compile(f"def many(x):\n{body}    return x\n", "many.py", "exec"), space)
    made = drawn(space["many"], 0.5)
    assert len(made.boxes) == MOST_BOXES
    assert made.boxes[-1].result == "f"
    assert made.caption.startswith("80 boxes for 321 operations")
    assert made.caption.endswith("; 81 that are further from the results are left out")


def test_names_and_labels_stay_text() -> None:
    def plain(x):  # type: ignore[no-untyped-def]
        return x * x  # <script>alert(1)</script>

    text = svg(drawn(plain, 1.0, results=("<b>",)), lambda sites: "", "<i>")
    assert not re.search("<(script|b|i)>", text)
    assert "&lt;script&gt;" in text
