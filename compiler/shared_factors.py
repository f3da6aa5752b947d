"""Systems, inverses and determinants of one matrix share its LU factors; systems of triangular factors need none.

The derivative of a solution solves a system with the transposed matrix, that of a log-determinant has the inverse: each
would factor the matrix again. `np.linalg.solve` of a Cholesky factor, for which NumPy has no routine, is a triangular system.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .ir import Graph, Node, f, with_inputs
from .ops.linalg import matrix_transpose
from .ops.lu import lu_detsign, lu_logabsdet

__all__ = ["shared_factors"]

TRANSPOSED = {"lower": "upper", "upper": "lower"}
MODERATE = 1000.0  # a solution without a larger factor, or without a smaller one, could overflow where the one with it does not

# By op: what it is of the factors of its matrix, which may be known for the transpose: (factors, is it transposed, other inputs).
FROM_FACTORS: dict[str, Callable[[Node, bool, list[Node]], Node]] = {
    "solve": lambda lu, transposed, rest: _solution(rest[0], lambda right: f.lu_solve(lu, right, transposed=transposed)),
    "inverse": lambda lu, transposed, rest: matrix_transpose(f.lu_inverse(lu)) if transposed else f.lu_inverse(lu),
    "logabsdet": lambda lu, transposed, rest: lu_logabsdet(lu),
    "detsign": lambda lu, transposed, rest: lu_detsign(lu),
}


def _solution(right: Node, solve: Callable[[Node], Node]) -> Node:
    """The solution; a moderate multiple of another right side has that multiple of its solution, with another rounding."""
    if right.op.name == "neg":
        return f.neg(_solution(right.inputs[0], solve))
    if right.op.name == "mul":
        factor, other = sorted(right.inputs, key=lambda i: i.op.name != "const")
        if factor.op.name == "const" and 1 / MODERATE <= abs(factor.value) <= MODERATE:
            return factor * _solution(other, solve)
    return solve(right)


def shared_factors(graph: Graph) -> Graph:
    """The graph, with the factors of each matrix of which several things are computed."""
    graph = _triangular(graph)
    order = graph.nodes()
    users: dict[Node, int] = {}
    for node in order:
        if node.op.name in FROM_FACTORS:
            matrix, _ = _base(node.inputs[0])
            users[matrix] = users.get(matrix, 0) + 1
    if all(count == 1 for count in users.values()):
        return graph
    done: dict[Node, Node] = {}
    for node in order:
        inputs = [done[i] for i in node.inputs]
        matrix, transposed = _base(node.inputs[0]) if node.op.name in FROM_FACTORS else (node, False)
        if users.get(matrix, 0) > 1 and node.op.name in FROM_FACTORS:
            done[node] = FROM_FACTORS[node.op.name](f.lu(done[matrix]), transposed, inputs[1:])
        else:
            done[node] = node if tuple(inputs) == node.inputs else with_inputs(node, tuple(inputs))
    return graph.with_outputs(done[n] for n in graph.outputs)


def _triangular(graph: Graph) -> Graph:
    """The graph, with systems of triangular matrices (of Cholesky factors, which are never singular) as such."""
    order = graph.nodes()
    found = {node: triangle for node in order if node.op.name == "solve" and (triangle := _triangle(node.inputs[0]))}
    if not found:
        return graph
    done: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(done[i] for i in node.inputs)
        if node in found:
            matrix, right = inputs
            done[node] = _solution(right, partial(f.triangular_solve, matrix, triangle=found[node], diagonal="given"))
        else:
            done[node] = node if inputs == node.inputs else with_inputs(node, inputs)
    return graph.with_outputs(done[n] for n in graph.outputs)


def _triangle(matrix: Node) -> str:
    """The triangle that has a matrix, "" where both may."""
    base, transposed = _base(matrix)
    triangle = base.op.triangle
    return TRANSPOSED[triangle] if transposed and triangle else triangle


def _base(matrix: Node) -> tuple[Node, bool]:
    """The matrix, or the one whose transpose it is."""
    swapped = (*range(matrix.ndim - 2), matrix.ndim - 1, matrix.ndim - 2)
    if matrix.op.name == "permute" and matrix.param("order") == swapped:
        return matrix.inputs[0], True
    return matrix, False
