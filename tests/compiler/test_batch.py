"""Every op of the table, batched, against a loop over the examples."""
from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from chainrule.compiler.batch import batch
from chainrule.compiler.errors import BatchError
from chainrule.compiler.interpret import evaluate_nodes, quiet
from chainrule.compiler.ir import Graph, f, make
from chainrule.compiler.op import all_ops, get

SIZE = 3
AXES = {"axes": (1,)}
F, INT, B = "float64", "int64", "bool"
M = ((2, 2, 2), F)  # a stack of matrices
DEFINITE, TALL = ((1, 1, 1), F), ((3, 2), F)
TWO = ((2, 3), F)
FACTORS = ((3, 2), F)  # of a matrix of two rows, and its pivots
INDEX = ((4,), INT)


def loop_body():
    """A step that carries two numbers: s, a row of three and two constants -> sin(s) w + x[1:]."""
    s, x, w = (make("input", shape=(n,), dtype=np.dtype(F), position=-k, name="step") for k, n in ((1, 2), (2, 3), (3, 2)))
    return Graph((s, x, w), (f.sin(s) * w + f.slice(x, start=(1,), step=(1,), shape=(2,)),))


def halving():
    """A step that halves the first number until it is less than 0.3; the last one says whether there is another step."""
    s, row, w = (make("input", shape=(n,), dtype=np.dtype(F), position=-k, name="step") for k, n in ((1, 2), (2, 0), (3, 2)))
    first = f.slice(s * 0.5 * w, start=(0,), step=(1,), shape=(1,))
    return Graph((s, row, w), (f.concatenate(first, f.cast(f.ge(first, 0.3), dtype=F), axis=0),))


def branches():
    """Two bodies of two numbers and a matrix."""
    x, w = (make("input", shape=shape, dtype=np.dtype(F), position=k, name="x") for k, shape in enumerate([(2,), (2, 3)]))
    wide = f.expand(x, shape=(2, 3), axes=(0,))
    return tuple(Graph((x, w), (made,)) for made in (wide * w, f.sin(w)))


# op: inputs (shape, dtype) and parameters
CASES = {
    "contract": [((TWO, ((3, 4), F)), {"left": "ij", "right": "jk", "out": "ki"}), ((TWO, TWO), {"left": "ij", "right": "ij", "out": "i"})],
    "reshape": [((TWO,), {"shape": (3, 2)}), ((TWO,), {"shape": (6,)})],
    "permute": [((M,), {"order": (2, 0, 1)})],
    "expand": [((((3,), F),), {"shape": (2, 3, 2), "axes": (1,)})],
    "slice": [((((5, 4), F),), {"start": (1, 0), "step": (2, 3), "shape": (2, 2)})],
    "place": [((TWO,), {"start": (1, 0), "step": (2, 1), "shape": (4, 5)})],
    "flip": [((TWO,), {"axes": (0, 1)})],
    "diagonal": [((M,), {"roles": (1, 0, 1)})],
    "embed": [((TWO,), {"roles": (1, 0, 1)})],
    "concatenate": [((TWO, ((2, 1), F), TWO), {"axis": 1})],
    "cumsum": [((TWO,), {"axis": 0})],
    "argsort": [((TWO,), {"axis": 1})],
    "gather": [((TWO, INDEX), {"axes": (0,)}), ((TWO, INDEX, INDEX), {"axes": (0, 1)}), ((M, ((2, 3), INT)), {"axes": (1,)})],
    "scatter_add": [((((4, 3), F), INDEX), {"axes": (0,), "shape": (2, 3)}), ((((4, 3), F), INDEX), {"axes": (1,), "shape": (3, 2)})],
    "scatter": [((TWO, ((4, 3), F), INDEX), {"axes": (0,)}), ((TWO, ((4, 2), F), INDEX), {"axes": (1,)})],
    "inverse": [((M,), {})], "det": [((M,), {})], "cofactor": [((M,), {})], "cofactor_change": [((M, M), {})],
    "logabsdet": [((M,), {})], "detsign": [((M,), {})],
    "solve": [((((2, 2), F), ((2, 3), F)), {})],
    "lu": [((((2, 2), F),), {})],
    "lu_solve": [((FACTORS, ((2, 3), F)), {"transposed": False}), ((FACTORS, ((2, 3), F)), {"transposed": True})],
    "lu_inverse": [((FACTORS,), {})],
    "triangular_solve": [((((2, 2), F), ((2, 3), F)), {"triangle": "lower", "diagonal": "ones"})],
    "cholesky": [((DEFINITE,), {})], "eigenvalues": [((M,), {})], "eigenvectors": [((M,), {})],
    "singular_values": [((TALL,), {})], "left_singular_vectors": [((TALL,), {})], "right_singular_vectors": [((TALL,), {})],
    "qr_q": [((TALL,), {})], "qr_r": [((TALL,), {})], "pseudo_inverse": [((TALL,), {})],
    "scan": [((((2,), F), ((4, 3), F), ((2,), F)), {"body": loop_body(), "last": last, "names": (), "values": (), "rows": 1})
             for last in (True, False)],
    "while": [((((2,), F), ((2,), F)), {"body": halving(), "names": (), "values": (), "count": "u0"})],
    "cond": [((((), B), ((2,), F), TWO), {"then": branches()[0], "otherwise": branches()[1], "names": (), "values": ()})],
    "checkpoint": [((((2,), F), TWO), {"body": branches()[0], "names": (), "values": ()})],
    "custom": [((TWO, ((2,), F), TWO), {"name": "f", "rule": branches()[0], "forward": True, "arguments": 1, "closed": 0, "names": (),
                                        "values": ()})],
    "matrix_exp": [((M,), {})], "matrix_exp_change": [((M, M), {})],
}


def cases_of(op):
    if op.kind == "elementwise":
        dtype = {"float": F, "int": INT, "bool": B}[op.dtypes[0]]
        params = {"cast": {"dtype": "float32"}, "polygamma": {"order": 1}}.get(op.name, {})
        inputs = ((((2, 3), B), TWO, TWO) if op.name == "where" else (((2, 3), dtype),) * op.arity)
        return [(inputs, params)]
    if op.kind == "reduce":
        return [((((2, 3), B if op.dtypes == ("bool",) else F),), AXES)]
    return CASES[op.name]


def drawn(generator, shape, dtype):
    if dtype == F:
        return generator.uniform(0.1, 0.9, shape)
    return generator.integers(0, 2, shape).astype(dtype)


@pytest.mark.parametrize("name", [op.name for op in all_ops() if op.kind != "leaf" and not op.binds])
def test_an_op_is_batched_as_a_loop_would_do_it(name):
    generator = np.random.default_rng(0)
    for inputs, params in cases_of(get(name)):
        nodes = [make("input", shape=shape, dtype=np.dtype(dtype), position=k, name=f"x{k}")
                 for k, (shape, dtype) in enumerate(inputs)]
        node = make(name, nodes, **params)
        for which in product((True, False), repeat=len(nodes)):
            arrays = [drawn(generator, (SIZE, *shape) if many else shape, dtype)
                      for (shape, dtype), many in zip(inputs, which, strict=True)]
            stacks = {n: make("input", shape=(SIZE, *n.shape), dtype=n.dtype, position=9 + k, name=f"X{k}")
                      for k, (n, many) in enumerate(zip(nodes, which, strict=True)) if many}
            (made,) = batch([node], stacks, SIZE)
            values = {stacks.get(n, n): array for n, array in zip(nodes, arrays, strict=True)}
            with quiet():
                (actual,) = evaluate_nodes([made], values, {})
                rows = []
                for k in range(SIZE):
                    example = [array[k] if many else array for array, many in zip(arrays, which, strict=True)]
                    rows += evaluate_nodes([node], dict(zip(nodes, example, strict=True)), {})
            assert made.shape == (SIZE, *node.shape)
            assert actual.dtype == node.dtype
            np.testing.assert_allclose(actual, np.stack(rows), rtol=1e-12)


def test_what_does_not_depend_on_the_example_is_computed_once():
    x, w = (make("input", shape=(2,), dtype=np.dtype(F), position=k, name="") for k in range(2))
    stack = make("input", shape=(SIZE, 2), dtype=np.dtype(F), position=5, name="")
    shared = f.exp(w)
    (made,) = batch([x * shared], {x: stack}, SIZE)
    assert made.inputs[1].inputs == (shared,)


def test_every_op_says_how_it_is_batched():
    silent = [op.name for op in all_ops() if op.kind not in ("leaf", "elementwise", "reduce") and op.batch is None and not op.binds]
    assert not silent


def test_a_size_that_depends_on_the_example_is_refused():
    from chainrule.compiler.sizes import SizeContext

    mask = make("input", shape=(4,), dtype=np.dtype(B), position=0, name="")
    node = f.nonzero(mask, count=SizeContext().unbacked(4))
    with pytest.raises(BatchError, match="differ between the examples"):
        batch([node], {mask: make("input", shape=(SIZE, 4), dtype=np.dtype(B), position=1, name="")}, SIZE)
