"""The numbers that each form of a formula stands for."""
from typing import Any

import numpy as np
import scipy.special
import sympy

from chainrule.compiler.formula import Formula
from chainrule.compiler.ir import Graph
from chainrule.compiler.sizes import evaluate


def arguments(graph: Graph, seed: int = 1) -> dict[str, Any]:
    """Random arguments of the example's sizes: floats in (0.3, 1), integers below 3."""
    rng = np.random.default_rng(seed)
    made = {}
    for node in graph.inputs:
        shape = [evaluate(size, graph.hints) for size in node.shape]
        made[node.param("name")] = rng.uniform(0.3, 1.0, shape) if node.dtype.kind == "f" else rng.integers(0, 3, shape)
    return made


def by_source(formula: Formula, at: dict[str, Any]) -> Any:
    return eval(formula.numpy, {"np": np, "special": scipy.special, **at})


def by_sympy(formula: Formula, graph: Graph, at: dict[str, Any]) -> np.ndarray:
    """The SymPy expression with numbers in place of sizes, matrices and elements; free indices run over their sizes."""
    names = {formula._names.size(symbol): value for symbol, value in graph.hints.items()}
    expression = formula.sympy.subs({sympy.Symbol(name): value for name, value in names.items()})
    matrices = {}
    for symbol in expression.atoms(sympy.MatrixSymbol):
        array = np.asarray(at[symbol.name])
        matrices[symbol] = sympy.ImmutableMatrix(array.reshape(array.shape if array.ndim == 2 else (-1, 1)))
    scalars = {sympy.Symbol(name): value for name, value in at.items() if np.ndim(value) == 0}
    expression = expression.xreplace(matrices).subs(scalars)
    if expression.is_Matrix:
        made = expression.doit()
        made = (made.as_explicit() if hasattr(made, "as_explicit") else made).subs(scalars).doit()
        return np.vectorize(_number)(np.array(made.tolist(), dtype=object))
    labels = [(sympy.Symbol(formula._names.label(label)), evaluate(label.size, graph.hints)) for label in formula._labels]
    result = np.zeros([size for _, size in labels])
    for place in np.ndindex(result.shape):
        element = expression.subs(dict(zip([symbol for symbol, _ in labels], place, strict=True))).doit()
        element = element.replace(lambda t: isinstance(t, sympy.Determinant), lambda t: t.arg.subs(scalars).as_explicit().det())
        element = element.replace(lambda t: isinstance(t, sympy.Indexed), lambda t: _element(t, at))
        element = element.replace(lambda t: isinstance(t, sympy.Trace), lambda t: t.arg.as_explicit().trace())
        result[place] = _number(element.subs(scalars).doit())
    return result


def _element(indexed: sympy.Indexed, at: dict[str, Any]) -> Any:
    array = at[indexed.base.name]
    value = array[tuple(int(_place(i, at)) for i in indexed.indices)]
    return sympy.Integer(int(value)) if array.dtype.kind == "i" else sympy.Float(value, 30)


def _place(index: Any, at: dict[str, Any]) -> Any:
    return index.replace(lambda t: isinstance(t, sympy.Indexed), lambda t: _element(t, at))


def _number(value: Any) -> float:
    return float(sympy.N(value, 20))
