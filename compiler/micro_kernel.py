"""Matrix products of blocks that are in cache, as vectors in registers: `C (+)= scale * A * B`.

A tile of C, some rows high and a few vectors wide, stays in registers while a loop over what is summed loads a row of B, and
for each row of the tile one element of A, which all lanes share. So A may lie in any way and only B has to be dense along its
rows; where it is not, its elements are gathered. Nothing is copied beforehand: these products are small, and what BLAS spends
on packing them is a quarter of their time.

Every element of C is the sum of its terms in order, one multiplication and addition after another (fused where the machine has
that), whichever tile it falls in; only every `DEPTH` terms it passes through memory.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from .common_llvm import POINTER, Value, counted, internal, slot
from .loopnest import Side
from .scalar_llvm import BOOL, INT64
from .sizes import Size

__all__ = ["TALL", "multiply", "walked"]

TALL = 6  # rows of a tile: with four vectors, 24 sums in registers
HEIGHTS = (TALL, 4, 1)
DEPTH = 512  # terms in a tile at once, so that the part of B that it reads stays in the second cache
INT = ir.IntType(32)
VOID = ir.VoidType()


def _machine(module: Any) -> tuple[int, int]:
    """Bytes of a vector register where a module's code is to run, and how many of them a tile is wide."""
    if "avx512f" in module.features:
        return 64, 4
    return (32, 2) if "avx" in module.features else (16, 2)


def multiply(module: Any, number: Any) -> Any:
    """The function for an element type, `number`, made once in a module.

    It takes A and the byte strides of its rows and columns, B and both strides, C and that of its rows (they are dense), the
    numbers of rows, of terms and of columns, the scale, and whether to add to what is in C. Without terms C becomes zero.
    """
    name = f"multiply.{number}"
    return module.globals.get(name) or _Multiply(module, number, name).function


def walked(builder: Any, arguments: Value, first: int, side: Side, size: Callable[[Size], Value]) -> tuple[Value, dict[str, Value]]:
    """Where an operand or the result of a product begins, and how far a step along each of its labels leads, in bytes.

    Args:
        first: the slot of its address among the arguments; its strides follow.
    """
    pointer = slot(builder, builder.bitcast(arguments, POINTER.as_pointer()), first)
    strides: dict[str, Value] = {}
    for axis, (start, label, by) in enumerate(zip(side.start, side.labels, side.steps, strict=True)):
        stride = slot(builder, arguments, first + 1 + axis)
        if start != 0:
            pointer = builder.gep(pointer, [builder.mul(size(start), stride)])
        if label:
            strides[label] = builder.mul(stride, INT64(by))
    return pointer, strides


class _Multiply:
    def __init__(self, module: Any, number: Any, name: str) -> None:
        self.module, self.number = module, number
        self.item = 4 if number == ir.FloatType() else 8
        bytes_, self.wide = _machine(module)
        self.lanes = bytes_ // self.item
        self.vector = ir.VectorType(number, self.lanes)
        parameters = [POINTER, INT64, INT64, POINTER, INT64, INT64, POINTER, INT64, INT64, INT64, INT64, number, BOOL]
        self.function = internal(module, ir.FunctionType(VOID, parameters), name)
        self.function.attributes.add("noinline")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self._emit()

    def _emit(self) -> None:
        builder = self.builder
        a, a_row, a_k, b, b_k, b_column, c, c_row, m, k, n, scale, add = self.function.args
        dense = builder.icmp_signed("==", b_column, INT64(self.item))
        least = builder.select(builder.icmp_signed(">", k, INT64(1)), k, INT64(1))  # without terms there are still results
        width = self.wide * self.lanes
        whole = builder.select(dense, builder.sub(n, builder.srem(n, INT64(width))), INT64(0))
        with counted(builder, INT64(0), least, DEPTH) as first:
            left = builder.sub(k, first)
            terms = builder.select(builder.icmp_signed("<", left, INT64(DEPTH)), left, INT64(DEPTH))
            added = builder.or_(add, builder.icmp_signed(">", first, INT64(0)))
            a_first, b_first = (builder.gep(x, [builder.mul(first, by)]) for x, by in ((a, a_k), (b, b_k)))

            def panel(column: Value, tile: Callable[[int], Any], further: Sequence[Value]) -> None:
                """The columns of one tile, from top to bottom."""
                b_here = builder.gep(b_first, [builder.mul(column, b_column)])
                c_here = builder.gep(c, [builder.mul(column, INT64(self.item))])
                done: Value = INT64(0)
                for height in HEIGHTS:
                    stop = builder.sub(m, builder.srem(builder.sub(m, done), INT64(height)))
                    with counted(builder, done, stop, height) as row:
                        places = builder.gep(a_first, [builder.mul(row, a_row)]), builder.gep(c_here, [builder.mul(row, c_row)])
                        builder.call(tile(height), [places[0], a_row, a_k, b_here, b_k, places[1], c_row, terms, scale, added, *further])
                    done = stop

            with counted(builder, INT64(0), whole, width) as column:
                panel(column, lambda height: self.tile(height, self.wide), ())
            with counted(builder, whole, n, self.lanes) as column:
                further = builder.sub(n, column), b_column
                with builder.if_else(dense, likely=True) as (plain, apart):
                    with plain:
                        panel(column, lambda height: self.tile(height, 1, "masked"), further)
                    with apart:
                        panel(column, lambda height: self.tile(height, 1, "gathered"), further)
        builder.ret_void()

    def tile(self, height: int, wide: int, kind: str = "whole") -> Any:
        """The function for a tile.

        Args:
            kind: "whole", or one vector of which some lanes may lie beyond the last column: "masked", "gathered" where B is not dense.
        """
        name = f"tile.{self.number}.{height}.{kind}"
        return self.module.globals.get(name) or self._tile(name, height, wide, kind)

    def _tile(self, name: str, height: int, wide: int, kind: str) -> Any:
        numbers, vector, bytes_ = self.number.as_pointer(), self.vector, self.lanes * self.item
        parameters = [POINTER, INT64, INT64, POINTER, INT64, POINTER, INT64, INT64, self.number, BOOL]
        function = internal(self.module, ir.FunctionType(VOID, parameters + [INT64, INT64] * (kind != "whole")), name)
        function.attributes.add("noinline")
        a, a_row, a_k, b, b_k, c, c_row, terms, scale, add, *further = function.args
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        mask: Value = None
        if kind != "whole":
            count = ir.Constant(ir.VectorType(INT64, self.lanes), list(range(self.lanes)))
            mask = builder.icmp_signed("<", count, self._spread(builder, further[0]))
        if kind == "gathered":
            steps = builder.mul(count, self._spread(builder, further[1]))

        def load(place: Value) -> Value:
            place = builder.bitcast(place, vector.as_pointer())
            if mask is None:
                return builder.load(place, align=self.item)
            masked = self._intrinsic("llvm.masked.load", vector, vector.as_pointer(), INT, mask.type, vector)
            return builder.call(masked, [place, INT(self.item), mask, ir.Constant(vector, None)])

        def store(value: Value, place: Value) -> None:
            place = builder.bitcast(place, vector.as_pointer())
            if mask is None:
                builder.store(value, place, align=self.item)
                return
            masked = self._intrinsic("llvm.masked.store", VOID, vector, vector.as_pointer(), INT, mask.type)
            builder.call(masked, [value, place, INT(self.item), mask])

        def load_b(place: Value) -> Value:
            if kind != "gathered":
                return load(place)
            addresses = builder.add(self._spread(builder, builder.ptrtoint(place, INT64)), steps)
            places = builder.inttoptr(addresses, ir.VectorType(numbers, self.lanes))
            gather = self._intrinsic("llvm.masked.gather", vector, places.type, INT, mask.type, vector)
            return builder.call(gather, [places, INT(self.item), mask, ir.Constant(vector, None)])

        rows = [builder.mul(a_row, INT64(r)) for r in range(height)]
        before, head = builder.block, function.append_basic_block("sum")
        after = function.append_basic_block("store")
        zero = ir.Constant(vector, None)
        builder.cbranch(builder.icmp_signed(">", terms, INT64(0)), head, after)
        builder.position_at_end(head)
        index = builder.phi(INT64)
        a_here, b_here = builder.phi(POINTER), builder.phi(POINTER)
        sums = [[builder.phi(vector) for _ in range(wide)] for _ in range(height)]
        row = [load_b(builder.gep(b_here, [INT64(bytes_ * v)])) for v in range(wide)]
        next_sums = []
        for r in range(height):
            element = builder.load(builder.bitcast(builder.gep(a_here, [rows[r]]), numbers))
            shared = self._spread(builder, element)
            next_sums.append([builder.fadd(total, builder.fmul(shared, x, flags=("contract",)), flags=("contract",))
                              for total, x in zip(sums[r], row, strict=True)])
        following = builder.add(index, INT64(1))
        moves = (index, INT64(0), following), (a_here, a, builder.gep(a_here, [a_k])), (b_here, b, builder.gep(b_here, [b_k]))
        for phi, start, end in moves:
            phi.add_incoming(start, before)
            phi.add_incoming(end, head)
        for phi_row, end_row in zip(sums, next_sums, strict=True):
            for phi, end in zip(phi_row, end_row, strict=True):
                phi.add_incoming(zero, before)
                phi.add_incoming(end, head)
        builder.cbranch(builder.icmp_signed("<", following, terms), head, after)
        builder.position_at_end(after)
        scaled = []
        for end_row in next_sums:
            for end in end_row:
                total = builder.phi(vector)
                total.add_incoming(zero, before)
                total.add_incoming(end, head)
                scaled.append(total)
        factor = self._spread(builder, scale)
        scaled = [builder.fmul(total, factor) for total in scaled]
        places = [builder.gep(c, [builder.add(builder.mul(c_row, INT64(r)), INT64(bytes_ * v))])
                  for r in range(height) for v in range(wide)]
        with builder.if_else(add) as (more, fresh):
            with more:
                for total, place in zip(scaled, places, strict=True):
                    store(builder.fadd(load(place), total), place)
            with fresh:
                for total, place in zip(scaled, places, strict=True):
                    store(total, place)
        builder.ret_void()
        return function

    def _spread(self, builder: Any, value: Value) -> Value:
        """A vector with the value in every lane."""
        kind = ir.VectorType(value.type, self.lanes)
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, INT(0))
        return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(INT, self.lanes), [0] * self.lanes))

    def _intrinsic(self, name: str, result: Any, *arguments: Any) -> Any:
        lanes = f"v{self.lanes}{'f32' if self.item == 4 else 'f64'}"
        pointers = f"v{self.lanes}p0" if name.endswith("gather") else "p0"
        full = f"{name}.{lanes}.{pointers}"
        return self.module.globals.get(full) or ir.Function(self.module, ir.FunctionType(result, arguments), full)
