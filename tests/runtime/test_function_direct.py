"""Calls that go straight into emitted code, and everything that must not."""
from __future__ import annotations

import dataclasses
import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler.entry_spec import hits
from chainrule.compiler.errors import ArgumentError, ChainruleError, DifferentiationError, DTypeError, ShapeError
from chainrule.runtime.function import derivatives


def is_direct(function: Any, method: str) -> bool:
    return isinstance(vars(function)[method].func, types.BuiltinFunctionType)


def direct_calls(function: Any) -> int:
    return sum(map(hits, function.stats.entries))


@pytest.fixture
def product() -> Any:
    return grad(lambda x, y: x**2 * y + x * y)


def test_the_second_call_is_direct_and_gives_the_same(product: Any) -> None:
    first = product(2.0, 3.0), product.grad(2.0, 3.0), product.value_and_grad(2.0, 3.0)
    assert is_direct(product, "grad")
    assert is_direct(product, "value_and_grad")
    compiles = product.stats.compiles
    assert (product(2.0, 3.0), product.grad(2.0, 3.0), product.value_and_grad(2.0, 3.0)) == first
    assert first == (18.0, (15.0, 6.0), (18.0, (15.0, 6.0)))
    assert all(type(v) is np.float64 for v in (product(2.0, 3.0), *product.grad(2.0, 3.0)))
    assert product.stats.compiles == compiles
    assert product.stats.cache_hits == 5


def test_what_does_not_match_goes_the_ordinary_way(product: Any) -> None:
    product.grad(2.0, 3.0)
    assert product.grad(np.float32(2), np.float32(3))[0].dtype == np.float32
    assert product.grad(x=2.0, y=3.0) == (15.0, 6.0)
    assert product.grad(2.0, 3.0, wrt="y") == 6.0
    assert product.grad(2.0, 3) == 15.0  # an int is not differentiated
    with pytest.raises(DifferentiationError, match="shape"):
        product.grad(np.ones(2), 3.0)
    with pytest.raises(TypeError):
        product.grad(2.0)


def test_signatures_are_chained() -> None:
    f = grad(lambda x: np.sum(x**3))
    inputs = [np.ones(3), np.ones(3, np.float32), np.ones((2, 2)), 2.0]
    expected = [f.grad(x) for x in inputs]
    before = f.stats.ordinary_hits
    for x, e in zip(inputs, expected, strict=True):
        np.testing.assert_array_equal(f.grad(x), e)
    assert f.stats.ordinary_hits == before


def test_sizes_and_layouts() -> None:
    f = grad(lambda x: np.sum(np.sin(x)))
    f.grad(np.ones((4, 3)))
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=(7, 5)), rng.normal(size=(5, 7)).T, rng.normal(size=(8, 10))[::-2, ::2], np.empty((0, 3)),
              rng.normal(size=(1, 3)), rng.normal(size=(400, 900)), np.asfortranarray(rng.normal(size=(3, 3)))):
        np.testing.assert_allclose(f.grad(x), np.cos(x), rtol=1e-12)


def test_captured_values_are_looked_at_again() -> None:
    factor = 2.0

    @grad
    def scaled(x: Any) -> Any:
        return x * factor

    assert scaled.grad(1.0) == 2.0
    factor = 5.0
    assert scaled.grad(1.0) == 5.0
    assert not is_direct(scaled, "grad")


def test_captured_arrays_are_read_again() -> None:
    weights = np.array([1.0, 2.0])
    dot = grad(lambda x: np.sum(weights * x))
    assert dot.grad(np.ones(2)).tolist() == [1.0, 2.0]
    weights[0] = 7.0
    assert dot.grad(np.ones(2)).tolist() == [7.0, 2.0]


def test_methods_keep_their_instances_apart() -> None:
    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @grad
        def energy(self, x: Any) -> Any:
            return np.sum(x**2) * self.factor

    x = np.ones(2)
    for _ in range(2):
        assert Scaled(2.0).energy.grad(x).tolist() == [4.0, 4.0]
        assert Scaled(5.0).energy.grad(x).tolist() == [10.0, 10.0]


def test_methods_of_instances_go_directly() -> None:
    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor, self.offset = factor, np.ones(2)

        @grad
        def energy(self, x: Any, y: Any) -> Any:
            return np.sum((x + self.offset) * y**2) * self.factor

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    ways: dict[str, Callable[[Any], Any]] = {
        "value": lambda m: m(x, y), "grad": lambda m: m.grad(x, y=y), "value_and_grad": lambda m: m.value_and_grad(x, y),
        "vjp": lambda m: m.vjp(x, y, cotangent=1.0), "jvp": lambda m: m.jvp((x, y), (y, x)), "hvp": lambda m: m.hvp((x, y), (y, x)),
        "jacobian": lambda m: m.jacobian(x, y), "hessian": lambda m: m.hessian(x, y)}
    one, other = Scaled(2.0), Scaled(5.0)
    expected = {name: way(grad(lambda x, y: np.sum((x + 1.0) * y**2))) for name, way in ways.items()}
    for instance in (one, other):
        for name, way in ways.items():
            way(instance.energy)  # the ordinary way
            ordinary = Scaled.energy.stats.ordinary_hits
            assert_same(way(instance.energy), unpacked(expected[name], instance.factor))
            assert Scaled.energy.stats.ordinary_hits == ordinary, name
    assert one.energy is one.energy is not other.energy
    one.offset[:] = 3.0
    assert one.energy(x, y) == 2.0 * np.sum((x + 3.0) * y**2)
    one.factor = 7.0
    assert one.energy(x, y) == 7.0 * np.sum((x + 3.0) * y**2)
    many = [Scaled(float(k)) for k in range(40)]
    assert [m.energy(x, y) for m in many] == [m.factor * np.sum((x + 1.0) * y**2) for m in many]


def test_methods_and_properties_that_are_replaced_count() -> None:
    class Spring:
        stiffness = property(lambda self: 2.0)

        def stretch(self, x: Any) -> Any:
            return x**2

        @grad
        def energy(self, x: Any) -> Any:
            return self.stretch(x) * self.stiffness

    class Stiff(Spring):
        stiffness = property(lambda self: 7.0)

    spring = Spring()
    assert spring.energy(3.0) == spring.energy(3.0) == 18.0
    Spring.stiffness = property(lambda self: 5.0)  # type: ignore[method-assign,assignment]
    assert spring.energy(3.0) == spring.energy(3.0) == 45.0
    spring.__class__ = Stiff
    assert spring.energy(3.0) == 63.0
    spring.stretch = lambda x: x  # type: ignore[method-assign]
    assert spring.energy(3.0) == 21.0


def unpacked(value: Any, factor: float) -> Any:
    """A structure of arrays times a factor."""
    return tuple(unpacked(v, factor) for v in value) if isinstance(value, tuple) else value * factor


def test_inside_another_trace_the_function_is_inlined(product: Any) -> None:
    product.grad(2.0, 3.0)
    outer = grad(lambda x: product.grad(x, x)[0])
    assert outer.grad(2.0) == pytest.approx(4 * 2.0 + 1)  # 2xy + y at x = y: 2x^2 + x


def test_a_function_with_direct_calls_is_collected() -> None:
    f = grad(lambda x: x**2)
    f.grad(1.0)
    f.grad(1.0)
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None


@dataclasses.dataclass
class Parameters:
    a: Any


STRUCTURES: dict[str, Any] = {
    "dict": {"w": np.arange(3.0), "b": 0.5},
    "list": [np.arange(3.0), 0.5],
    "tuple": (np.arange(3.0), 0.5),
    "nested": {"layers": [{"w": np.arange(3.0)}, (0.5, None)], 7: (), "name": "linear"},
    "scalars": [np.float64(1.5), np.float32(2.5), np.arange(3, dtype=np.float32)],
    "integers": {"x": np.arange(3.0), "n": np.arange(3), "on": True},
}


def total(structure: Any, scale: Any) -> Any:
    if isinstance(structure, dict):
        return sum(total(structure[key], scale) for key in structure)
    if isinstance(structure, (list, tuple)):
        return sum((total(item, scale) for item in structure), 0.0)
    return 0.0 if structure is None or isinstance(structure, (str, bool)) else np.sum(structure * structure) * scale


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert found.keys() == expected.keys()
    if isinstance(found, (dict, list, tuple)):
        assert len(found) == len(expected)
        for a, b in zip(found.values() if isinstance(found, dict) else found,
                        expected.values() if isinstance(found, dict) else expected, strict=True):
            same(a, b)
    elif found is not None:
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_direct(name: str) -> None:
    given, f = STRUCTURES[name], grad(total)
    first = f.value_and_grad(given, 2.0)
    again = f.value_and_grad(given, 2.0)
    same(again, first)
    assert direct_calls(f) == 1
    g = grad(total, wrt=0)
    same(g.grad(given, 3.0), g.grad(given, 3.0))
    same(g.grad(given, 2.0), first[1][0])
    assert direct_calls(g) == 2


def test_a_dict_in_another_order_and_one_of_other_keys() -> None:
    f = grad(lambda p: sum((k + 1) * value for k, value in enumerate(p.values())))
    for _ in range(2):
        for given, value in (({"a": 1.0, "b": 2.0}, 5.0), ({"b": 2.0, "a": 1.0}, 4.0), ({1: 1.0, "b": 2.0}, 5.0),
                             ({True: 1.0, "b": 3.0}, 7.0)):
            assert f(given) == value
            assert list(f.grad(given).items()) == [(key, k + 1.0) for k, key in enumerate(given)]
    assert direct_calls(f) == 6  # a key that is no str or int goes the ordinary way
    assert f({"a": 1.0, "b": 2.0, "c": 3.0}) == 14.0
    assert f({"a": 1.0, "b": np.float64(2.0)}) == 5.0
    assert direct_calls(f) == 6


def test_what_emitted_code_does_not_take_apart() -> None:
    f = grad(lambda p: p.a**2)
    for _ in range(2):
        assert f.grad(Parameters(3.0)) == Parameters(6.0)
    assert not is_direct(f, "grad")
    g = grad(lambda p: p[(1, 2)] ** 2)
    for _ in range(2):
        assert g.grad({(1, 2): 3.0}) == {(1, 2): 6.0}
    assert not is_direct(g, "grad")


def test_numpy_scalars_are_direct() -> None:
    f = grad(lambda b, x: np.sum((x - b) ** 2), wrt=0)
    b, x = 0.0, np.arange(4.0)
    for _ in range(5):
        b = b - 0.1 * f.grad(b, x)
    assert b == pytest.approx(1.5, abs=0.02)
    assert direct_calls(f) == 3  # a float and a NumPy scalar went the ordinary way once each


def test_items_of_lists_and_dicts_keep_their_references() -> None:
    f = grad(lambda p: np.sum(p["w"][0] * p["w"][1]))
    w, v = np.arange(3.0), np.ones(3)
    p = {"w": [w, v]}
    f.grad(p)
    before = sys.getrefcount(w), sys.getrefcount(v)
    for _ in range(10):
        f.grad(p)
    f.grad({"w": [w, np.ones(3, np.float32)]})  # does not match at its last item
    assert (sys.getrefcount(w), sys.getrefcount(v)) == before


def test_a_list_may_change_while_it_is_worked_on() -> None:
    f = grad(lambda p: np.sum(np.exp(np.sin(p[0])) * p[1]))
    n = 400_000
    expected = f.grad([np.full(n, 0.5), np.full(n, 2.0)])
    p = [np.full(n, 0.5), np.full(n, 2.0)]
    running = True

    def change() -> None:
        while running:
            p[:] = [np.full(n, 0.5), np.full(n, 2.0)]  # the arrays before are freed

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            same(f.grad(p), expected)
    finally:
        running = False
        thread.join()


# ------------------------------------------------------------------------------------------------ every method
def vector_valued(x: Any, y: Any) -> Any:
    return 3 * x**3 - y**2 * x


def several_valued(x: Any, y: Any) -> Any:
    return np.sin(x) * y, np.sum(x * y)


X, Y, V, W = (np.random.default_rng(k).normal(size=7) for k in range(4))
PARAMETERS = {"w": X, "rest": [Y, (1.5,)]}
TANGENTS = {"w": V, "rest": [W, (0.5,)]}


def of_parameters(p: Any, x: Any) -> Any:
    return np.sum(np.tanh(p["w"] * x) * p["rest"][0]) * p["rest"][1][0]


CALLS: dict[str, Any] = {
    "vjp": (vector_valued, lambda f: f.vjp, (X, Y), {"cotangent": V}),
    "vjp of several": (several_valued, lambda f: f.vjp, (X, Y), {"cotangent": (V, 2.0)}),
    "vjp of numbers": (lambda x, y: x * y, lambda f: f.vjp, (2.0, 3.0), {"cotangent": 1.5}),
    "jvp": (vector_valued, lambda f: f.jvp, ((X, Y), (V, W)), {}),
    "jvp of several": (several_valued, lambda f: f.jvp, ((X, Y), (V, W)), {}),
    "jvp of one": (lambda x: np.exp(x), lambda f: f.jvp, (X, V), {}),
    "hvp": (lambda x, y: np.sum(x**3 * y), lambda f: f.hvp, ((X, Y), (V, W)), {}),
    "hvp of one": (lambda x: np.sum(np.exp(x)), lambda f: f.hvp, (X, V), {}),
    "jvp of a dict": (of_parameters, lambda f: f.jvp, ((PARAMETERS, W), (TANGENTS, V)), {}),
    "hvp of a dict": (of_parameters, lambda f: f.hvp, ((PARAMETERS, W), (TANGENTS, V)), {}),
    "hvp of one tuple": (lambda p: np.sum(p[0] ** 3 * p[1]), lambda f: f.hvp, (((X, 2.0),), ((V, 1.5),)), {}),
    "hvp of one dict": (lambda p: np.sum(p["x"] ** 3), lambda f: f.hvp, ({"x": X}, {"x": V}), {}),
    "hessian of a dict": (of_parameters, lambda f: f.hessian, (PARAMETERS, W), {}),
    "jacobian of a list": (lambda p: p[0] * p[1], lambda f: f.jacobian, ([X, Y],), {}),
    "grad by keyword": (lambda x, y: np.sum(x * y**2), lambda f: f.grad, (X,), {"y": Y}),
    "value_and_grad by keywords": (lambda x, y: np.sum(x * y**2), lambda f: f.value_and_grad, (), {"y": Y, "x": X}),
    "several values": (several_valued, lambda f: f, (X, Y), {}),
    "a dict of values": (lambda x: {"a": np.sin(x), "b": (x, np.sum(x))}, lambda f: f, (X,), {}),
    "a gradient that is an argument": (lambda x, y: np.sum(x * y), lambda f: f.grad, (X, Y), {}),
    "a default that is no number": (lambda x, power=3: np.sum(x**power), lambda f: f.grad, (X,), {}),
}


def test_tangents_and_vectors_are_found_by_key() -> None:
    compiled = grad(lambda p, x: np.sum(p["a"] ** 2 * x) + 3.0 * np.sum(p["b"]))
    p, t = {"a": X, "b": Y}, {"a": V, "b": W}
    turned = dict(reversed(t.items()))
    pushed = 2 * np.sum(X * V * W) + 3 * np.sum(W) + np.sum(X**2 * Y)
    for tangents in (turned, t, turned):
        np.testing.assert_allclose(compiled.jvp((p, W), (tangents, Y)), pushed)
        np.testing.assert_allclose(compiled.hvp((p, W), (tangents, Y))[0]["a"], 2 * (V * W + X * Y))
    inside = grad(lambda v, w: compiled.jvp((p, W), ({"b": w, "a": v}, Y)))
    np.testing.assert_allclose(inside(V, W), pushed)
    pulled = grad(lambda x, y: {"s": x * 2.0, "p": y * 5.0}).vjp(X, Y, cotangent={"p": W, "s": V})
    np.testing.assert_allclose(pulled, (2 * V, 5 * W))


def assert_same(result: Any, expected: Any) -> None:
    assert type(result) is type(expected)
    if isinstance(expected, dict):
        assert list(result) == list(expected)
        result, expected = tuple(result.values()), tuple(expected.values())
    if isinstance(expected, (tuple, list)):
        for r, e in zip(result, expected, strict=True):
            assert_same(r, e)
    else:
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def test_jacobians_are_direct_for_shapes_whose_cheaper_mode_is_the_first_one() -> None:
    f = grad(lambda x, y: {"a": np.outer(x, y), "n": np.sum(x > 0), "b": (np.exp(y), None)})
    x, y = np.arange(1.0, 4.0), np.arange(2.0)
    first = f.jacobian(x, y)
    again = f.jacobian(x, y)
    assert direct_calls(f) == 1
    assert_same(again["a"], first["a"])
    assert_same(again["b"][0], first["b"][0])
    assert again["n"] is first["n"] is again["b"][1] is None
    g = grad(lambda x, m: m @ x, wrt="x")
    tall, wide = np.ones((5, 2)), np.ones((2, 5))
    for _ in range(2):
        np.testing.assert_array_equal(g.jacobian(np.ones(2), tall), tall)
    assert direct_calls(g) == 1
    for _ in range(2):  # by rows, which is another program
        np.testing.assert_array_equal(g.jacobian(np.ones(5), wide), wide)
    assert direct_calls(g) == 1
    np.testing.assert_array_equal(g.jacobian(np.ones(2), tall, mode="reverse"), tall)
    assert direct_calls(g) == 1
    h = grad(lambda p: np.exp(p["x"]))
    for n in (2, 2, 3):
        np.testing.assert_allclose(h.jacobian({"x": np.ones(n)})["x"], np.e * np.eye(n))
    assert direct_calls(h) == 1  # shapes inside of containers are looked at, too


@pytest.mark.parametrize("name", CALLS)
def test_every_kind_of_call_becomes_direct(name: str) -> None:
    function, method_of, args, kwargs = CALLS[name]
    f = grad(function)
    method = method_of(f)  # held from before the first call
    expected = method(*args, **kwargs)
    ordinary = f.stats.ordinary_hits
    for _ in range(3):
        assert_same(method(*args, **kwargs), expected)
    assert f.stats.ordinary_hits == ordinary
    assert sum(hits(entry) for entry in f.stats.entries) == 3


def test_other_cotangents_go_the_ordinary_way() -> None:
    f = grad(vector_valued)
    expected = f.vjp(X, Y, cotangent=V)
    for cotangent in (V.tolist(), V.astype(np.float32).astype(float)[::1], np.asfortranarray(V)):
        for result, e in zip(f.vjp(X, Y, cotangent=cotangent), expected, strict=True):
            np.testing.assert_allclose(result, e, rtol=1e-5)
    with pytest.raises(ShapeError, match=r"shape \(7,\) is expected, not \(6,\)"):
        f.vjp(X, Y, cotangent=V[:6])
    with pytest.raises(TypeError):
        f.vjp(X, Y)
    np.testing.assert_array_equal(f.vjp(X, Y, cotangent=V, wrt="y"), expected[1])


def test_a_method_says_what_it_is(product: Any) -> None:
    import inspect
    import pydoc

    for _ in range(2):
        assert "Gradients of the scalar output" in product.grad.__doc__
        assert product.grad.__name__ == "grad"
        assert list(inspect.signature(product.grad).parameters) == ["args", "wrt", "out", "kwargs"]
        assert "Gradients of the scalar output" in pydoc.render_doc(product.grad)
        product.grad(2.0, 3.0)


def test_many_threads_make_the_first_calls() -> None:
    import threading

    f = grad(lambda x, y: np.sum(x**2 * y))
    held, wrong = f.grad, []
    start = threading.Barrier(8)

    def call(k: int) -> None:
        x = np.full((k % 3 + 2,) * (k % 2 + 1), 2.0)
        start.wait()
        for _ in range(50):
            gx, gy = held(x, x)
            if not (np.array_equal(gx, 2 * x * x) and np.array_equal(gy, x * x)):
                wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ------------------------------------------------------------------------------------------------ captures
SCALE = 2.0
WEIGHTS = np.arange(7.0)


def squashed(x: Any) -> Any:
    return np.tanh(x) * SCALE


def captures_much(x: Any) -> Any:
    return np.sum(WEIGHTS * squashed(x))


def ordinary_calls(f: Any) -> int:
    calls: int = f.stats.ordinary_hits
    return calls


def test_captured_things_are_looked_at_before_direct_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    f = grad(captures_much)
    held, slope = f.grad, 1 - np.tanh(X) ** 2
    for weights, scale in ((WEIGHTS, 2.0), (-WEIGHTS, 2.0), (-WEIGHTS, 3.0), (WEIGHTS, 2.0)):
        monkeypatch.setitem(globals(), "WEIGHTS", weights)
        monkeypatch.setitem(globals(), "SCALE", scale)
        for _ in range(3):
            np.testing.assert_allclose(held(X), weights * scale * slope, rtol=1e-12)
            np.testing.assert_allclose(f.jvp(X, V), np.sum(weights * scale * slope * V), rtol=1e-12)
            np.testing.assert_allclose(f.vjp(X, cotangent=2.0), 2 * weights * scale * slope, rtol=1e-12)
    before = ordinary_calls(f)
    for _ in range(5):
        held(X)
        f.vjp(X, cotangent=2.0)
    assert ordinary_calls(f) == before
    with pytest.raises(TypeError):
        held(X, X)
    with pytest.raises(ChainruleError):
        held(X[:3])  # WEIGHTS has seven
    monkeypatch.setitem(globals(), "WEIGHTS", 5.0)
    np.testing.assert_allclose(held(X), 5 * 2 * slope, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ out=
def test_gradients_are_written_into_out() -> None:
    f = grad(lambda x, y: np.sum(np.exp(x) * y))
    expected = f.grad(X, Y)
    first, second = np.empty(7), np.empty(14)[::2]
    for _ in range(2):
        value, result = f.value_and_grad(X, Y, out=(first, second))
        assert result[0] is first
        assert result[1] is second
        assert value == f(X, Y)
        assert_same(result, expected)
        first[...] = second[...] = np.nan
    made = f.grad(X, Y, out=(None, second))
    assert made[1] is second
    assert_same(made, expected)


def test_out_may_be_an_argument() -> None:
    f = grad(lambda x, y: np.sum(np.exp(x) * y))
    x, y = X.copy(), Y.copy()
    expected = f.grad(X, Y)
    result = f.grad(x, y, out=(y, x))
    assert result[0] is y
    assert_same(result, expected)


def test_out_that_does_not_fit() -> None:
    f = grad(lambda x, y: np.sum(np.exp(x) * y))
    fixed = np.empty(7)
    fixed.flags.writeable = False
    for out, error, message in [
        ((np.empty(6), None), ShapeError, r"out= for 'x': shape \(7,\) is expected, not \(6,\)"),
        ((None, np.empty(7, np.float32)), DTypeError, "out= for 'y': dtype float64 is expected, not float32"),
        ((None, fixed), ArgumentError, "out= for 'y': the array is read-only"),
        ((None, [0.0] * 7), ArgumentError, "for 'y' a list was given"),
        ((None,), ArgumentError, "out= has 1 items for 2 gradients"),
    ]:
        with pytest.raises(error, match=message):
            f.grad(X, Y, out=out)
    g = grad(lambda x, s: np.sum(x) * s)
    with pytest.raises(ArgumentError, match="the gradient of 's' is a number"):
        g.grad(X, 2.0, out=(None, np.empty(())))
    assert g.grad(X, 2.0, out=(np.empty(7), None))[1] == pytest.approx(np.sum(X))


def test_hessians_are_direct_for_shapes_of_which_the_memory_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    f = grad(lambda x, y: np.sum(x**2 * y) + np.sum(np.exp(x) @ y))
    rng = np.random.default_rng(0)
    small, large = [(rng.normal(size=n), rng.normal(size=n)) for n in (3, 5)]
    first = f.hessian(*small)
    (entry,) = f.stats.entries
    assert hits(entry) == 0
    again = f.hessian(*small)
    assert hits(entry) == 1
    np.testing.assert_equal(again, first)
    assert type(again) is type(again[0]) is tuple
    f.hessian(*large)  # the ordinary way, which looks at the sizes
    assert hits(entry) == 1
    f.hessian(*large)
    assert hits(entry) == 2
    assert f.hessian(*small, wrt="x").shape == (3, 3)
    np.testing.assert_equal(f.hessian(x=small[0], y=small[1]), first)
    monkeypatch.setattr(derivatives, "MOST_MEMORY", 0)
    monkeypatch.setattr(derivatives, "SEVERAL", 0)
    swept = grad(lambda x: np.sum(np.exp(x[:, None] * x)))
    np.testing.assert_allclose(swept.hessian(small[0]), swept.hessian(small[0]))
    assert not swept.stats.entries
