"""Programs as Python source that stands alone: kernels for numba, and the function that checks arguments and runs them.

The kernels are `emit_source`'s, formatted as `ruff format` does it; steps that are no kernels are NumPy's. What a statement would be
too long for is left to its line by `# fmt: skip`.
"""
from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import scalar_functions
from .emit_source import emit_lines, emit_source, size_text
from .errors import ArgumentError
from .ir import Node
from .kernel import lowering_of
from .loopnest import Kernel, Product, Side
from .provenance import at
from .schedule import CallStep, CheckStep, Plan
from .scheduled import PlannedStep
from .sizes import Size, bindings, symbols_of

__all__ = ["Exported", "statement"]

WIDTH = 88
_STRING = re.compile(r"""'([^'"\\\\]*)'""")


class Exported:
    """The source of several programs, which share kernels that are alike.

    Attributes:
        kernels: the source of functions that numba compiles, by name.
        helpers: the names of `scalar_functions` that they call.
    """

    def __init__(self) -> None:
        self.kernels: dict[str, str] = {}
        self._names: dict[str, str] = {}  # by source without a name
        self._called: set[str] = set()

    @property
    def helpers(self) -> list[str]:
        """The source of the helpers that kernels call, with the helpers that those call."""
        return [inspect.getsource(getattr(scalar_functions, name)).replace("Scalar", "float") for name in scalar_functions.__all__
                if name in self._called]

    @property
    def uses_math(self) -> bool:
        return any("math." in text for text in (*self.kernels.values(), *self.helpers))

    def body(self, plan: Plan, steps: Sequence[PlannedStep]) -> list[str]:
        """The statements of a function, whose arguments are arrays, up to what it returns.

        Raises:
            ArgumentError: a step has no source.
        """
        lines = _demands(plan)
        made = {plan.buffers[node] for node in plan.graph.inputs}
        nodes = {name: node for node, name in plan.buffers.items()}
        for step in steps:
            if isinstance(step, CallStep):
                name = plan.buffers[step.node]
                lines += statement(1, f"{name} = {_call(step.node, plan)}")
                lines += [f"    {step.node.param(parameter)} = {name}.shape[0]" for parameter in step.node.op.binds]
                made.add(name)
                continue
            if isinstance(step, CheckStep):
                lines += statement(1, f"_check_index({plan.buffers[step.indices]}, {size_text(step.size)}, {step.axis})")
                continue
            assert isinstance(step, Kernel | Product)
            for buffer in step.buffers:
                if buffer.name not in made:
                    shape, dtype = nodes[buffer.name].shape, nodes[buffer.name].dtype
                    lines += statement(1, f"{buffer.name} = np.empty({_tuple(map(size_text, shape))}, np.{_scalar_type(dtype)})")
                    made.add(buffer.name)
            text = _product(step) if isinstance(step, Product) else None
            if text is not None:
                lines += statement(1, text)
            else:
                kernel = step.loops if isinstance(step, Product) else step
                _require_known(kernel, plan)
                lines += call(1, self._kernel(kernel), [*(b.name for b in kernel.buffers), *kernel.sizes])
        return [*_sizes(plan, "\n".join(lines)), *lines]

    def _kernel(self, kernel: Kernel) -> str:
        """The name of the function of a kernel."""
        source = emit_source(kernel, lowering_of)
        head, _, body = source.partition("\n")
        parameters = head.partition("(")[2].rpartition(")")[0]
        for name in scalar_functions.__all__:
            if f"vm.{name}(" in body:
                body = body.replace(f"vm.{name}(", f"{name}(")
                self._called.add(name)
        key = f"{parameters}\n{body}"
        if key not in self._names:
            name = self._names[key] = f"_kernel_{len(self._names)}"
            lines = call(0, f"def {name}", parameters.split(", "), ":")
            for line in body.splitlines():
                text = line.lstrip()
                lines += statement((len(line) - len(text)) // 4, text)
            self.kernels[name] = "\n".join(lines) + "\n"
        return self._names[key]


def _require_known(kernel: Kernel, plan: Plan) -> None:
    """Refuse functions that only SciPy has."""
    for text, names in emit_lines(kernel, lowering_of):
        found = re.search(r"\bspecial\.(\w+)", text)
        if found:
            site = min((site for name in names for site in plan.origins.get(name, ())), default=None)
            raise ArgumentError(f"special.{found[1]}{at(site)} cannot be exported: numba does not have it")


def statement(depth: int, text: str) -> list[str]:
    """A statement, or the head of a compound one, as it is formatted."""
    head = text.endswith(":")
    (parsed,) = ast.parse(f"{text} pass" if head else text).body
    if isinstance(parsed, ast.Assign) and isinstance(parsed.value, ast.Tuple) and isinstance(parsed.targets[0], ast.Tuple):
        sides = parsed.targets[0], parsed.value
        text = " = ".join(", ".join(map(ast.unparse, side.elts)) for side in sides)  # without parentheses
    else:
        text = ast.unparse(parsed)
    if head:
        text = text.removesuffix("pass").rstrip()
    text = _STRING.sub(r'"\1"', text)
    line = "    " * depth + text
    return [line if len(line) <= WIDTH else f"{line}  # fmt: skip"]


def call(depth: int, name: str, arguments: Sequence[str], end: str = "") -> list[str]:
    """A call, or the head of a definition; in several lines where it is long."""
    indent = "    " * depth
    line = f"{indent}{name}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{indent}{name}(", *(f"{indent}    {argument}," for argument in arguments), f"{indent}){end}"]


def _sizes(plan: Plan, following: str) -> list[str]:
    """Symbols from the shapes of the inputs, as far as the following lines, or one another, need them."""
    inputs = plan.graph.inputs
    lines: list[str] = []
    for name, (position, axis, factor, rest) in reversed(list(bindings([node.shape for node in inputs]).items())):
        if not re.search(rf"\b{name}\b", following):
            continue
        text = f"{plan.buffers[inputs[position]]}.shape[{axis}]"
        if rest != 0:
            text = f"({text} - ({size_text(rest)}))"
        lines = [*statement(1, f"{name} = {text if factor == 1 else f'{text} // ({size_text(factor)})'}"), *lines]
        following += f"\n{lines[0]}"
    return lines


def _demands(plan: Plan) -> list[str]:
    """What must hold of sizes."""
    inputs = plan.graph.inputs
    bound = {(b.position, b.axis) for b in bindings([node.shape for node in inputs]).values() if b.factor == 1 and b.rest == 0}
    known = {size for node in inputs for each in node.shape for size in symbols_of(each)}
    lines = []
    for position, node in enumerate(inputs):
        for axis, size in enumerate(node.shape):
            if (position, axis) not in bound:
                place = f"{plan.buffers[node]}.shape[{axis}]"
                lines += call(1, "_require", [_plain(f"{place} == {size_text(size)}"), _quoted(f"{place} has to be {_said(size, plan)}")])
    for guard in plan.graph.guards:
        if symbols_of(guard.left) | symbols_of(guard.right) <= known:
            holds = _plain(f"{size_text(guard.left)} {guard.op} {size_text(guard.right)}")
            said = f"{_said(guard.left, plan)} {guard.op} {_said(guard.right, plan)} has to hold{at(guard.site)}"
            lines += call(1, "_require", [holds, _quoted(said)])
    return lines


def _plain(text: str) -> str:
    return ast.unparse(ast.parse(text, mode="eval"))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _said(size: Size, plan: Plan) -> str:
    """A size in terms of arguments."""
    text = size_text(size)
    found = bindings([node.shape for node in plan.graph.inputs])
    for name in sorted(symbols_of(size) & found.keys(), key=len, reverse=True):
        position, axis, factor, rest = found[name]
        if factor == 1 and rest == 0:
            text = text.replace(name, f"{plan.buffers[plan.graph.inputs[position]]}.shape[{axis}]")
    return text


def _tuple(items: Any) -> str:
    listed = list(items)
    return f"({', '.join(listed)}{',' if len(listed) == 1 else ''})"


def _scalar_type(dtype: np.dtype[Any]) -> str:
    return "bool_" if dtype.kind == "b" else dtype.name


def _product(product: Product) -> str | None:
    """A product of matrices as NumPy writes it; None where it is more than that."""
    stack, rows, summed, columns = product.groups
    out, left, right = product.out, product.left, product.right
    if stack or max(len(rows), len(columns)) > 1 or len(summed) != 1 or not all(map(_whole, (out, left, right))):
        return None
    if out.labels != (*rows, *columns):
        return None
    sides = []
    for side, wanted in ((left, (*rows, *summed)), (right, (*summed, *columns))):
        if side.labels not in (wanted, wanted[::-1]):
            return None
        sides.append(side.buffer if side.labels == wanted else f"{side.buffer}.T")
    text = " @ ".join(sides)
    if product.scale != 1.0:
        text = f"{product.scale!r} * ({text})"
    return f"{out.buffer}[...] {'+=' if product.accumulate else '='} {text}"


def _whole(side: Side) -> bool:
    return all(start == 0 and step == 1 for start, step in zip(side.start, side.steps, strict=True)) and "" not in side.labels


def _call(node: Node, plan: Plan) -> str:
    """A step that is no kernel, as an expression of NumPy's."""
    operands = [plan.buffers[x] if x in plan.buffers else repr(x.value) for x in node.inputs]
    if node.op.kind == "movement":
        written = _VIEWS.get(node.op.name)
        text = "" if written is None else written(node, operands[0])
    else:
        exported = node.op.names.exported
        template = (exported(**node.named_params) if callable(exported) else exported) or node.op.names.numpy
        text = "" if "special." in template else template.format(*operands, **node.named_params)
    if not text:
        raise ArgumentError(f"{node.op.name}{at(min(node.sites, default=None))} cannot be exported: neither NumPy nor a loop that numba "
                            "compiles computes it")
    return text


def _sliced(node: Node, x: str) -> str:
    parts = []
    for start, step, size in zip(node.param("start"), node.param("step"), node.param("shape"), strict=True):
        if not isinstance(step, int) or step < 1:
            return ""
        first, length = size_text(start), size_text(size)
        parts.append(f"{first} : {first} + {length}" if step == 1 else f"{first} : {first} + {step} * ({length}) : {step}")
    return f"{x}[{', '.join(parts)}]"


def _expanded(node: Node, x: str) -> str:
    axes = node.param("axes")
    kept = ", ".join(":" if k in axes else "None" for k in range(node.ndim))
    return f"np.broadcast_to({x}[{kept or '()'}], {_tuple(map(size_text, node.shape))})"


_VIEWS = {
    "reshape": lambda node, x: f"np.reshape({x}, {_tuple(map(size_text, node.shape))})",
    "permute": lambda node, x: f"np.transpose({x}, {node.param('order')})",
    "flip": lambda node, x: f"np.flip({x}, {node.param('axes')})",
    "slice": _sliced,
    "expand": _expanded,
}
