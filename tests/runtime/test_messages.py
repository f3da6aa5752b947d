"""Errors: the class, the place in the user's source, and what to do instead."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule import grad

HERE = "test_messages.py"
X = np.arange(6.0).reshape(2, 3)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")


def line_of(function, text):
    """The place of a line of a function's source, as messages give it."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = [k for k, line in enumerate(lines) if text in line]
    return f"{HERE}:{first + offset}"


def raised(error, call, *parts):
    """The message of the error that the call raises, which contains all parts."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for part in parts:
        assert part in message
    return message


# ------------------------------------------------------------------------------------------------ values that are not known
def branch(x):
    if x.sum() > 0:  # branches
        return x.sum()
    return -x.sum()


def loop(x):
    while x.max() > 1:  # loops
        x = x / 2
    return x.sum()


def converts(x):
    return math.exp(x.sum())  # converts


def to_int(x):
    return x.sum() * int(x[0, 0])  # to int


def item(x):
    return x.sum().item()  # item


def range_of_value(x):
    return sum(x.sum() for _ in range(x.argmax()))  # range


def plain_array(x):
    return np.asarray(x).sum()  # plain


def list_array(x):
    return np.array([x[0, 0], x[1, 1]]).sum()  # listed


def stores(x):
    y = np.zeros(3)
    y[0] = x[0, 0]  # stores
    return y.sum()


def stores_rows(x):
    y = np.zeros((2, 3))
    y[:] = x  # stores
    return y.sum()


def sets(x):
    return len({x}) * x.sum()  # hashes


def formats(x):
    print(f"{x.sum():.3f}")  # formats
    return x.sum()


def unsupported(x):
    return np.unique(x).sum()  # unsupported


def attribute(x):
    return x.newbyteorder().sum() if hasattr(x, "newbyteorder") else x.tobytes()  # attribute


def scipy_function(x):
    return scipy.special.logsumexp(x)  # scipy


def float_index(x):
    return x[x[0, 0]]  # float index


@pytest.mark.parametrize(
    ("function", "marker", "hint"),
    [
        (branch, "# branches", "np.where"),
        (loop, "# loops", "np.where"),
        (converts, "# converts", "np.exp for math.exp"),
        (to_int, "# to int", "astype"),
        (item, "# item", "a 0-d array works wherever a number does"),
        (range_of_value, "# range", "Python int"),
        (plain_array, "# plain", "leave out np.asarray"),
        (list_array, "# listed", "np.stack"),
        (stores, "# stores", "np.zeros_like(x)"),
        (stores_rows, "# stores", "np.zeros_like(x)"),
        (sets, "# hashes", "key"),
        (formats, "# formats", "print(x)"),
        (unsupported, "# unsupported", "size that depends on values"),
        (attribute, "# attribute", "NumPy's functions"),
        (scipy_function, "# scipy", "scipy.special.logsumexp"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_what_needs_a_value_says_where_and_what_instead(function, marker, hint):
    decorated = grad(function)
    raised(cr.TraceError, lambda: decorated(X), line_of(function, marker), hint)


def test_an_index_that_is_a_float_is_an_indexing_error():
    raised(cr.IndexingError, lambda: grad(float_index)(X), line_of(float_index, "# float index"), ".astype(int)")


def test_a_branch_names_the_line_that_computed_the_value():
    def f(x):
        positive = x.sum() > 0  # computed
        return x.sum() if positive else -x.sum()  # branched

    raised(cr.TraceError, lambda: grad(f)(X), f"computed at {line_of(f, '# computed')}", line_of(f, "# branched"), "bool[]")


def test_a_value_used_after_its_trace():
    kept = []

    @grad
    def f(x):
        kept.append(x * 2)  # kept
        return x.sum()

    f(X)
    raised(cr.TraceError, lambda: kept[0] + 1, "after its trace has ended", line_of(f.__wrapped__, "# kept"), "return it")
    assert repr(kept[0]) == "<value of a finished trace>"


# ------------------------------------------------------------------------------------------------ shapes and dtypes
def mismatch(w, x):
    return np.sum(x @ w)  # product


def sum_of_different(x, y):
    return np.sum(x + y)  # addition


def bad_reshape(x):
    return x.reshape(4, 2).sum()  # reshape


def out_of_range(x):
    return x[5].sum()  # index


def too_many(x):
    return x[0, 0, 0].sum()  # indices


@pytest.mark.parametrize(
    ("function", "arguments", "marker", "parts"),
    [
        (mismatch, (np.ones(2), X), "# product", ["size 3", "size 2", "float64[2, 3] @ float64[2]"]),
        (mismatch, (np.ones((2, 3)), X), "# product", ["transpose"]),
        (sum_of_different, (X, np.ones(2)), "# addition", ["do not broadcast"]),
        (bad_reshape, (X,), "# reshape", ["(4, 2)"]),
    ],
    ids=["matmul", "transposed", "broadcast", "reshape"],
)
def test_shapes_that_do_not_fit(function, arguments, marker, parts):
    decorated = grad(function)
    raised(cr.ShapeError, lambda: decorated(*arguments), line_of(function, marker), *parts)
    with pytest.raises(ValueError, match=HERE):
        decorated(*arguments)


@pytest.mark.parametrize(("function", "marker"), [(out_of_range, "# index"), (too_many, "# indices")])
def test_indices_that_do_not_fit(function, marker):
    raised(cr.IndexingError, lambda: grad(function)(X), line_of(function, marker))


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.ones(2, complex), "real and imaginary parts"),
        (np.array(["a", "b"]), "plain str"),
        (np.array([1, "a"], object), "array of numbers"),
        (np.array(["2020-01-01"], "M8[D]"), "numbers"),
        (np.ones(2, np.longdouble), "float64"),
    ],
    ids=["complex", "str", "object", "date", "longdouble"],
)
def test_dtypes_that_there_are_not(array, hint):
    raised(cr.DTypeError, lambda: grad(lambda x: x.sum())(array), str(array.dtype), HERE, hint)


def test_a_matrix_has_its_own_rules():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0]])
    raised(cr.ArgumentError, lambda: grad(lambda x: x.sum())(matrix), "matrix", "np.asarray")


def test_a_complex_number_in_the_function():
    def f(x):
        return np.sum(x * 1j)  # complex

    raised(cr.DTypeError, lambda: grad(f)(X), line_of(f, "# complex"))


# ------------------------------------------------------------------------------------------------ derivatives that do not exist
@grad
def rows(x):
    return x.sum(axis=1)


@grad
def pair(x):
    return x.sum(), x.mean()


@grad
def integer(x):
    return (x > 0).sum()


@grad
def power(x, n):
    return np.sum(x**n)


def test_the_gradient_of_an_array_names_its_shape_and_the_remedies():
    raised(
        cr.DifferentiationError,
        lambda: rows.grad(X),
        "rows returns an array of shape (2,) at test_messages.py",
        HERE,
        ".jacobian",
        ".vjp",
        "np.sum",
    )
    with pytest.raises(ValueError, match="jacobian"):
        rows.grad(X)


def test_the_gradient_of_two_values_and_of_an_integer():
    raised(cr.DifferentiationError, lambda: pair.grad(X), "returns 2 values", ".jacobian", HERE)
    raised(cr.DifferentiationError, lambda: integer.grad(X), "int64", "no derivative", HERE)


def test_an_integer_argument_has_no_gradient():
    raised(cr.DifferentiationError, lambda: power.grad(X, 2, wrt="n"), "'n'", "2 of type int", HERE, "2.0 instead of 2")
    raised(cr.DifferentiationError, lambda: power.grad(np.arange(3), 2), "without a float argument", "int64", HERE, "x.astype(float)")
    raised(cr.DifferentiationError, lambda: grad(lambda k: k * 2.0, wrt="k").grad(3), "'k'")


def test_a_wrong_name_in_wrt():
    raised(cr.ArgumentError, lambda: grad(wrt="z")(lambda x, y: x), "'z'", "x, y", HERE)
    raised(cr.ArgumentError, lambda: grad(wrt=5)(lambda x, y: x), "5", "2 parameters", HERE)
    raised(cr.ArgumentError, lambda: power.grad(X, 2, wrt="m"), "'m'", "x, n", HERE)


def test_missing_and_unknown_arguments():
    raised(cr.ArgumentError, lambda: power(X), "power(x, n)", "'n'", HERE)
    raised(cr.ArgumentError, lambda: power(X, 2, q=3), "'q'", HERE)
    with pytest.raises(TypeError, match="missing a required argument"):
        power.grad()


@pytest.mark.parametrize("name", ["wrt", "cotangent", "mode", "out"])
def test_reserved_names_are_refused_at_decoration(name):
    function = eval(f"lambda x, {name}: x")
    raised(cr.ArgumentError, lambda: grad(function), repr(name), "rename", HERE)


def test_what_cannot_be_decorated():
    raised(cr.ArgumentError, lambda: grad(3), "a function", HERE)
    raised(cr.TraceError, lambda: grad(lambda x: None)(X), "returned None", HERE)


def test_cotangents_and_tangents_that_do_not_fit():
    raised(cr.ShapeError, lambda: rows.vjp(X, cotangent=np.ones(3)), "(2,)", "(3,)", HERE)
    raised(cr.ShapeError, lambda: rows.jvp((X,), (np.ones(3),)), "(2, 3)", "(3,)", HERE)
    raised(cr.ArgumentError, lambda: pair.vjp(X, cotangent=1.0), "2 floating values", HERE)
    raised(cr.ArgumentError, lambda: rows.jacobian(X, mode="sideways"), "'sideways'", HERE)


def test_an_error_of_the_users_own_code_is_left_alone():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        grad(f)(X)
    assert grad(lambda x: x.sum())(X) == 15.0
