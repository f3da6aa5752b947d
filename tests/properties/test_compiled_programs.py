"""A compiled program gives what the interpreter gives, whatever the graph."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from programs import Program, programs

from chainrule.compiler.program import compile_program


def assert_agrees(program: Program) -> None:
    compiled = compile_program(program.graph)
    for _ in range(2):  # a second run must not see what the first left behind
        results = compiled.run(program.arrays)
        for result, expected, node in zip(results, program.expected, program.graph.outputs, strict=True):
            expected = np.asarray(expected)
            assert result.shape == expected.shape
            assert result.dtype == node.dtype
            tolerance = {"f": 3e-4 if node.dtype.itemsize == 4 else 1e-9}.get(node.dtype.kind, 0)
            np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance, err_msg=str(compiled.plan))


@given(programs())
def test_a_compiled_program_agrees_with_the_interpreter(program: Program) -> None:
    assert_agrees(program)


@given(programs())
@settings(max_examples=20)
def test_results_are_fresh(program: Program) -> None:
    compiled = compile_program(program.graph)
    results = compiled.run(program.arrays)
    for k, result in enumerate(results):
        assert result.flags.writeable
        assert not any(np.may_share_memory(result, other) for other in (*program.arrays, *results[:k]))
