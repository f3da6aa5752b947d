"""Programs as Python source that stands alone: kernels for numba, and the function that checks arguments and runs them.

The kernels are `emit_source`'s; steps that are no kernels are NumPy's, or run bodies (`export_bodies`).
"""
from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from . import scalar_functions
from .assemble import plainly_planned
from .derivation import finish_body
from .emit_source import emit_lines, emit_source, size_text
from .errors import ArgumentError
from .export_bodies import run
from .export_text import call, scalar_type, statement, tuple_text, unwrapped
from .ir import Graph, Node
from .kernel import lowering_of
from .loopnest import Kernel, Product, Side
from .provenance import at
from .schedule import CallStep, CheckStep, Plan
from .scheduled import PlannedStep
from .sizes import Size, bindings, symbols_of

__all__ = ["Exported"]

COMPILED = {"permute", "slice", "expand"}  # views of NumPy's that numba has, too


class Exported:
    """The source of several programs, which share kernels that are alike.

    Attributes:
        functions: the source of kernels, and of the bodies of loops and branches, by name.
        helpers: the names of `scalar_functions` that they call.
    """

    def __init__(self, reserved: Collection[str]) -> None:
        """Variables do not have the `reserved` names."""
        self.reserved = reserved
        self.functions: dict[str, str] = {}
        self._names: dict[str, str] = {}  # by source without a name
        self._called: set[str] = set()

    @property
    def helpers(self) -> list[str]:
        """The source of the helpers that kernels call, with the helpers that those call."""
        sources = [inspect.getsource(getattr(scalar_functions, name)).replace("Scalar", "float") for name in scalar_functions.__all__
                   if name in self._called]
        return ["".join(f"{unwrapped(line) if ' = ' in line else line}\n" for line in source.splitlines()) for source in sources]

    @property
    def uses_math(self) -> bool:
        return any("math." in text for text in (*self.functions.values(), *self.helpers))

    def body(self, plan: Plan, steps: Sequence[PlannedStep]) -> list[str]:
        """The statements of a function, whose arguments are arrays, up to what it returns.

        Raises:
            ArgumentError: a step has no source.
        """
        lines, _ = self._steps(plan, steps, False)
        lines = [*_demands(plan), *lines]
        return [*_sizes(plan, "\n".join(lines)), *lines]

    def _steps(self, plan: Plan, steps: Sequence[PlannedStep], inside: bool) -> tuple[list[str], bool]:
        """The statements of steps, and whether numba compiles all of them; `inside` of functions that it should, products are loops."""
        lines: list[str] = []
        compiled = True
        made = {plan.buffers[node] for node in plan.graph.inputs}
        nodes = {name: node for node, name in plan.buffers.items()}
        shapes = {name: node.shape for name, node in nodes.items()}
        for step in steps:
            if isinstance(step, CallStep):
                name = plan.buffers[step.node]
                if step.node.op.runs:
                    text, itself = run(self, step.node, [_operand(x, plan) for x in step.node.inputs])
                else:
                    text, itself = _call(step.node, plan), step.node.op.name in COMPILED
                compiled = compiled and itself
                lines += statement(1, f"{name} = {text}")
                lines += [f"    {step.node.param(parameter)} = {name}.shape[0]" for parameter in step.node.op.binds]
                made.add(name)
                continue
            if isinstance(step, CheckStep):
                compiled = False
                lines += statement(1, f"_check_index({plan.buffers[step.indices]}, {size_text(step.size)}, {step.axis})")
                continue
            assert isinstance(step, Kernel | Product)
            for buffer in step.buffers:
                if buffer.name not in made:
                    shape, dtype = nodes[buffer.name].shape, nodes[buffer.name].dtype
                    lines += statement(1, f"{buffer.name} = np.empty({tuple_text(map(size_text, shape))}, np.{scalar_type(dtype)})")
                    made.add(buffer.name)
            product = _product(step, shapes) if isinstance(step, Product) and not inside else None
            if product is not None:
                lines += statement(1, product)
            else:
                kernel = step.loops if isinstance(step, Product) else step
                _require_known(kernel, plan)
                lines += call(1, self._kernel(kernel), [*(b.name for b in kernel.buffers), *kernel.sizes])
        return lines, compiled

    def function(self, body: Graph, further: Sequence[str]) -> tuple[str, bool]:
        """The name of the function of a body, which takes `further` sizes behind its inputs; and whether numba compiles it."""
        plan, steps = plainly_planned(finish_body(body), self.reserved)
        lines, compiled = self._steps(plan, steps, True)
        (output,) = plan.graph.outputs
        lines += statement(1, f"return {plan.buffers[output]}")
        lines = [*_sizes(plan, "\n".join(lines)), *lines]
        return self.add("body", [*(plan.buffers[x] for x in plan.graph.inputs), *further], lines, compiled), compiled

    def add(self, kind: str, parameters: Sequence[str], lines: Sequence[str], compiled: bool) -> str:
        """The name of a function with these statements; one that is there already has it."""
        key = "\n".join([kind, *parameters, *lines])
        if key not in self._names:
            name = self._names[key] = f"_{kind}_{sum(other.startswith(f'_{kind}_') for other in self.functions)}"
            head = call(0, f"def {name}", parameters, ":")
            self.functions[name] = "\n".join([*(["@_compiled"] if compiled else []), *head, *lines]) + "\n"
        return self._names[key]

    def _kernel(self, kernel: Kernel) -> str:
        """The name of the function of a kernel."""
        source = emit_source(kernel, lowering_of)
        head, _, body = source.partition("\n")
        parameters = head.partition("(")[2].rpartition(")")[0]
        for name in scalar_functions.__all__:
            if f"vm.{name}(" in body:
                body = body.replace(f"vm.{name}(", f"{name}(")
                self._called.add(name)
        lines = []
        for line in _read_lines(body.splitlines()):
            text = line.lstrip()
            lines += statement((len(line) - len(text)) // 4, text)
        return self.add("kernel", parameters.split(", "), lines, True)


def _read_lines(lines: list[str]) -> list[str]:
    """The same without variables that nothing reads."""
    while True:
        counts = Counter(re.findall(r"\b[A-Za-z_]\w*", "\n".join(lines)))
        kept = [line for line in lines if not ((found := re.match(r"\s*(v\w*) = ", line)) and counts[found[1]] == 1)]
        if len(kept) == len(lines):
            return lines
        lines = kept


def _require_known(kernel: Kernel, plan: Plan) -> None:
    """Refuse functions that only SciPy has."""
    for text, names in emit_lines(kernel, lowering_of):
        found = re.search(r"\bspecial\.(\w+)", text)
        if found:
            site = min((site for name in names for site in plan.origins.get(name, ())), default=None)
            raise ArgumentError(f"special.{found[1]}{at(site)} cannot be exported: numba does not have it")


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


def _product(product: Product, shapes: Mapping[str, tuple[Size, ...]]) -> str | None:
    """A product of matrices as NumPy writes it; None where it is more than that."""
    stack, rows, summed, columns = product.groups
    out = product.out
    if stack or max(len(rows), len(columns)) > 1 or len(summed) != 1 or out.labels != (*rows, *columns):
        return None
    if _part(out, shapes, product) != out.buffer:
        return None
    sides = []
    for side, wanted in ((product.left, (*rows, *summed)), (product.right, (*summed, *columns))):
        text = _part(side, shapes, product)
        if side.labels not in (wanted, wanted[::-1]) or text is None:
            return None
        sides.append(text if side.labels == wanted else f"{text}.T")
    text = " @ ".join(sides)
    if product.scale != 1.0:
        text = f"{product.scale!r} * ({text})"
    return f"{out.buffer}[...] {'+=' if product.accumulate else '='} {text}"


def _part(side: Side, shapes: Mapping[str, tuple[Size, ...]], product: Product) -> str | None:
    """What of a buffer is an operand; None where that is no slice."""
    if "" in side.labels or any(step != 1 for step in side.steps):
        return None
    extents = dict(product.extents)
    lengths = [extents[label] for label in side.labels]
    if all(start == 0 for start in side.start) and tuple(lengths) == shapes[side.buffer]:
        return side.buffer
    return f"{side.buffer}[{', '.join(_slice(start, start + n) for start, n in zip(side.start, lengths, strict=True))}]"


def _slice(start: Size, stop: Size, step: int = 1) -> str:
    """A slice, formatted."""
    texts = [size_text(start), size_text(stop), *([str(step)] if step != 1 else [])]
    return (":" if all(text.isidentifier() or text.isdecimal() for text in texts) else " : ").join(texts)


def _operand(x: Node, plan: Plan) -> str:
    """An operand of a body, as an array."""
    return plan.buffers.get(x) or f"np.full({tuple_text(map(size_text, x.shape))}, {x.value!r}, np.{scalar_type(x.dtype)})"


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
        parts.append(_slice(start, start + step * size, step))
    return f"{x}[{', '.join(parts)}]"


def _expanded(node: Node, x: str) -> str:
    axes = node.param("axes")
    kept = ", ".join(":" if k in axes else "None" for k in range(node.ndim))
    return f"np.broadcast_to({x}[{kept or '()'}], {tuple_text(map(size_text, node.shape))})"


_VIEWS = {
    "reshape": lambda node, x: f"np.reshape({x}, {tuple_text(map(size_text, node.shape))})",
    "permute": lambda node, x: f"np.transpose({x}, {node.param('order')})",
    "flip": lambda node, x: f"np.flip({x}, {node.param('axes')})",
    "slice": _sliced,
    "expand": _expanded,
}
