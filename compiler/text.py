"""The text form of a graph: what people read, and what parses back to the same interned nodes.

    graph(%0, %1) {
      sizes s0=5
      guard s0 != 3
      %0: f64[s0] = input() {position=0, name="x"}
      %1: f64[s0] = input() {position=1, name="y"}
      %2: f64[s0] = mul(%0, %1)  # loss.py:8
      return %2
    }

What follows a `#` outside a string is a comment: the user's line that made the node. Constants are decimal where that
is exact (it is for every number), and `nan:<bits>` for a nan other than NumPy's.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from . import ops
from .ir import Graph, Node, make, toposort
from .op import get
from .sizes import Guard, Size, SizeExpr, parse_size

__all__ = ["dtype_text", "parse", "print_graph", "scalar_text"]

_ = ops  # the table is declared by importing it

_COMPARISONS = ("==", "!=", "<", ">=")
_JSON = json.JSONDecoder()


def dtype_text(dtype: np.dtype[Any]) -> str:
    """`f64`, `i32`, `u8`, `bool`."""
    return "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"


def _parse_dtype(text: str) -> np.dtype[Any]:
    return np.dtype(bool) if text == "bool" else np.dtype(f"{text[0]}{int(text[1:]) // 8}")


def scalar_text(value: bytes, dtype: np.dtype[Any]) -> str:
    """A constant's bytes as a number that `parse` reads back exactly."""
    number = np.frombuffer(value, dtype=dtype)[0]
    if dtype.kind != "f":
        return str(number).lower()
    for text in (str(number), float(number).hex()):
        if _parse_scalar(text, dtype) == value:
            return text
    return f"nan:{value[::-1].hex()}"


def _parse_scalar(text: str, dtype: np.dtype[Any]) -> bytes:
    if text.startswith("nan:"):
        return bytes.fromhex(text[4:])[::-1]
    if dtype.kind != "f":
        return np.array({"true": True, "false": False}[text] if dtype.kind == "b" else int(text), dtype).tobytes()
    number = float.fromhex(text) if "0x" in text else float(text)
    return np.array(number).astype(dtype).tobytes()


def _param_text(value: Any) -> str:
    if isinstance(value, tuple):
        items = ", ".join(map(_param_text, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (int, SizeExpr)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Graph):  # a body: it is shown, and not read back
        return f"<{len(value)} nodes>"
    raise TypeError(f"a parameter of type {type(value).__name__} has no text form")


def _comment(sites: Iterable[Any]) -> str:
    places = ", ".join(str(site) for site in sorted(sites))
    return f"  # {places}".replace("\n", " ") if places else ""


def node_lines(nodes: Iterable[Node], names: dict[Node, str]) -> Iterator[str]:
    """One line a node; `names` gets a name for each."""
    for node in nodes:
        names[node] = f"%{len(names)}"
        operands = ", ".join(names[i] for i in node.inputs)
        fields = []
        for key, value in node.named_params.items():
            if key in node.op.optional and value == node.op.optional[key]:
                continue
            text = scalar_text(value, node.dtype) if isinstance(value, bytes) else _param_text(value)
            fields.append(f"{key}={text}")
        params = f" {{{', '.join(fields)}}}" if fields else ""
        shape = ", ".join(map(str, node.shape))
        aval = f"{dtype_text(node.dtype)}[{shape}]"
        yield f"{names[node]}: {aval} = {node.op.name}({operands}){params}{_comment(node.sites if node.inputs else ())}"


def print_graph(graph: Graph) -> str:
    """The text of a graph."""
    names: dict[Node, str] = {}
    body = list(node_lines(toposort([*graph.inputs, *graph.outputs]), names))
    header = []
    if graph.hints:
        header.append("sizes " + ", ".join(f"{name}={value}" for name, value in graph.hints.items()))
    for guard in graph.guards:
        header.append(f"guard {guard.left} {guard.op} {guard.right}{_comment([guard.site] if guard.site else [])}")
    lines = [*header, *body, f"return {', '.join(names[n] for n in graph.outputs)}".rstrip()]
    return "\n".join([f"graph({', '.join(names[n] for n in graph.inputs)}) {{", *(f"  {line}" for line in lines), "}"])


_LINE = re.compile(r"(%\d+): (\w+)\[(.*?)\] = (\w+)\(([^)]*)\)")


class _Reader:
    """A cursor over one line."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text, self.position = text, position

    def error(self) -> ValueError:
        return ValueError(f"column {self.position + 1} of {self.text!r} cannot be read")

    def skip(self) -> None:
        while self.text.startswith(" ", self.position):
            self.position += 1

    def take(self, token: str) -> bool:
        self.skip()
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def until(self, stops: str) -> str:
        """The text up to one of `stops` outside parentheses."""
        start, depth = self.position, 0
        while self.position < len(self.text):
            char = self.text[self.position]
            if depth == 0 and char in stops:
                break
            depth += (char == "(") - (char == ")")
            self.position += 1
        return self.text[start:self.position].strip()

    def value(self) -> Any:
        self.skip()
        if self.text.startswith('"', self.position):
            value, self.position = _JSON.raw_decode(self.text, self.position)
            return value
        if self.take("("):
            items = []
            while not self.take(")"):
                items.append(self.value())
                if not self.take(",") and not self.text.startswith(")", self.position):
                    raise self.error()
            return tuple(items)
        return parse_size(self.until(",)}"))

    def params(self, dtype: np.dtype[Any], scalars: frozenset[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.take("{"):
            while not self.take("}"):
                self.skip()
                name = self.until("=")
                if not self.take("="):
                    raise self.error()
                found[name] = _parse_scalar(self.until(",}"), dtype) if name in scalars else self.value()
                if not self.take(",") and not self.text.startswith("}", self.position):
                    raise self.error()
        self.skip()
        if self.text[self.position:self.position + 1] not in ("", "#"):
            raise self.error()
        return found


def _shape(text: str) -> tuple[Size, ...]:
    reader, sizes = _Reader(text), []
    while reader.position < len(text):
        sizes.append(parse_size(reader.until(",")))
        reader.take(",")
    return tuple(sizes)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def parse(text: str) -> Graph:
    """The graph that `text` describes, of the same objects that it was printed from while those are alive.

    Raises:
        ValueError: `text` is not the text of a graph, or a node's shape or dtype is not what its op gives.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    opening = re.fullmatch(r"graph\((.*)\) \{", lines[0]) if lines else None
    if opening is None or lines[-1] != "}":
        raise ValueError("a graph's text begins with 'graph(...) {' and ends with '}'")
    nodes: dict[str, Node] = {}
    guards: list[Guard] = []
    hints: dict[str, int] = {}
    outputs: list[str] | None = None
    for line in lines[1:-1]:
        if line.startswith("sizes "):
            hints = {name: int(value) for name, value in (item.split("=") for item in _names(line[6:]))}
        elif line.startswith("guard "):
            left, op, right = re.split(f" ({'|'.join(_COMPARISONS)}) ", line[6:].partition("#")[0].strip())
            guards.append(Guard(op, parse_size(left), parse_size(right)))
        elif line.startswith("return"):
            outputs = _names(line[6:])
        elif line and not line.startswith("#"):
            name, node = _parse_node(line, nodes)
            nodes[name] = node
    if outputs is None:
        raise ValueError("a graph's text has a line 'return ...'")
    try:
        inputs = tuple(nodes[n] for n in _names(opening[1]))
        return Graph(inputs, tuple(nodes[n] for n in outputs), tuple(guards), hints)
    except KeyError as missing:
        raise ValueError(f"{missing} is not defined") from None


def _parse_node(line: str, nodes: dict[str, Node]) -> tuple[str, Node]:
    match = _LINE.match(line)
    if match is None:
        raise ValueError(f"not a node: {line!r}")
    name, dtype_name, shape_text, op_name, operands = match.groups()
    try:
        op, dtype, shape = get(op_name), _parse_dtype(dtype_name), _shape(shape_text)
        inputs = [nodes[n] for n in _names(operands)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"unknown op, dtype or operand in {line!r}: {error}") from None
    params = _Reader(line, match.end()).params(dtype, frozenset(["value"]) if op_name == "const" else frozenset())
    if set(params) | set(op.optional) != set(op.params):
        raise ValueError(f"{op_name} has the parameters {op.params}, not {tuple(params)}: {line!r}")
    node = make(op, inputs, **({**params, "shape": shape, "dtype": dtype} if op.kind == "leaf" else params))
    if node.shape != shape or node.dtype != dtype:
        raise ValueError(f"the op gives {node!r}: {line!r}")
    return name, node
