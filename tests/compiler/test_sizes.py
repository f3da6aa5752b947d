"""Symbolic sizes: a ring with integer values, interned; and what a trace finds out about them."""
from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, strategies as st

from chainrule.compiler import sizes
from chainrule.compiler.errors import InternalError, ShapeError
from chainrule.compiler.sizes import (
    Guard,
    Size,
    SizeContext,
    SizeExpr,
    bind,
    bindings,
    evaluate,
    floordiv,
    maximum,
    minimum,
    mod,
    parse_size,
    product,
    substitute,
    symbol,
    symbols_of,
)

N, M, K = symbol("n"), symbol("m"), symbol("k")
NAMES = ("n", "m", "k")


def forms(positive: bool = False) -> st.SearchStrategy[Size]:
    """Sizes grown from symbols and numbers by every operation; `positive` ones are never zero or negative."""
    leaves = st.one_of(st.sampled_from([N, M, K]), st.integers(1 if positive else -6, 6))

    def grow(inner: st.SearchStrategy[Size]) -> st.SearchStrategy[Size]:
        pairs = st.tuples(inner, inner)
        ring = [pairs.map(lambda p: p[0] + p[1]), pairs.map(lambda p: p[0] * p[1])]
        choices = [pairs.map(lambda p: minimum(*p)), pairs.map(lambda p: maximum(*p))]
        if positive:
            return st.one_of(ring + choices)
        divisors = st.tuples(inner, forms_positive)
        quotients = [divisors.map(lambda p: floordiv(*p)), divisors.map(lambda p: mod(*p))]
        return st.one_of([*ring, pairs.map(lambda p: p[0] - p[1]), inner.map(lambda a: -a), *choices, *quotients])

    return st.recursive(leaves, grow, max_leaves=6)


forms_positive = forms(positive=True)
values = st.fixed_dictionaries({name: st.integers(2, 9) for name in NAMES})


@given(forms(), forms(), forms_positive, values)
def test_evaluation_is_a_homomorphism(a: Size, b: Size, d: Size, at: dict[str, int]) -> None:
    x, y, z = evaluate(a, at), evaluate(b, at), evaluate(d, at)
    assert evaluate(a + b, at) == x + y
    assert evaluate(a - b, at) == x - y
    assert evaluate(a * b, at) == x * y
    assert evaluate(-a, at) == -x
    assert evaluate(floordiv(a, d), at) == x // z
    assert evaluate(mod(a, d), at) == x % z
    assert evaluate(minimum(a, b), at) == min(x, y)
    assert evaluate(maximum(a, b), at) == max(x, y)
    assert evaluate(product([a, b, d]), at) == x * y * z


@given(forms(), forms(), forms())
def test_equal_forms_are_one_object(a: Size, b: Size, c: Size) -> None:
    for left, right in (((a + b) + c, a + (b + c)), (a + b, b + a), (a * b, b * a), (a * (b * c), (a * b) * c),
                        (a * (b + c), a * b + a * c), (a + 0, a), (a * 1, a), (a - a, 0), (a * 0, 0), (0 - (-a), a),
                        (minimum(a, b), minimum(b, a)), (maximum(a, b), maximum(b, a))):
        assert left is right or left == right
        assert isinstance(left, int) == isinstance(right, int)


@given(forms())
def test_text_parses_back_to_the_same_object(a: Size) -> None:
    parsed = parse_size(str(a))
    assert parsed is a or (isinstance(a, int) and parsed == a)
    assert pickle.loads(pickle.dumps(a)) == a
    assert copy.deepcopy(a) == a


@pytest.mark.parametrize("text", ["", "s0 +", "s0 s1", "3 $", "floordiv(s0)", "floordiv(s0, 2", "power(s0, 2)", "* 3",
                                  "s0)"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


def test_forms_read_as_people_write_them() -> None:
    assert str(2 * N - 1) == "2*n - 1"
    assert str(N * M + M * N) == "2*n*m" or str(N * M + M * N) == "2*m*n"
    assert str(-N) == "-n"
    assert str(floordiv(N + 1, 2)) == "floordiv(n + 1, 2)"


@given(forms(), forms_positive)
def test_division_is_exact_where_it_can_be(a: Size, d: Size) -> None:
    if isinstance(d, SizeExpr) and len(d.terms) > 1:  # only one term is divided by
        return
    quotient = floordiv(a * d, d)
    assert quotient is a or quotient == a
    assert mod(a * d, d) == 0


def test_division_that_leaves_a_rest_stays_symbolic() -> None:
    assert floordiv(N, 2) is floordiv(N, 2)
    assert not isinstance(mod(N, 2), int)
    assert floordiv(N * M + 1, N) != M
    assert floordiv(6 * N * N * M, 2 * N) is 3 * N * M
    assert floordiv(7, 2) == 3
    assert mod(-7, 2) == 1


@given(forms(), st.fixed_dictionaries({name: forms() for name in NAMES}), values)
def test_substitution_commutes_with_evaluation(a: Size, by: dict[str, Size], at: dict[str, int]) -> None:
    inner = {name: evaluate(size, at) for name, size in by.items()}
    try:
        expected = evaluate(a, inner)
    except ZeroDivisionError:
        return
    assert evaluate(substitute(a, by), at) == expected


def test_a_missing_value_is_named() -> None:
    with pytest.raises(InternalError, match="n has symbols without a value"):
        evaluate(N, {"m": 2})
    assert symbols_of(floordiv(N + 1, M) * K) == {"n", "m", "k"}


# ------------------------------------------------------------------------------------------------ contexts
def context(*hints: int) -> tuple[SizeContext, list[Any]]:
    made = SizeContext()
    return made, [made.fresh(hint) for hint in hints]


def guards(made: SizeContext) -> list[str]:
    return [f"{g.left} {g.op} {g.right}" for g in made.guards]


def test_one_is_no_symbol() -> None:
    made, (a, b) = context(1, 5)
    assert a == 1
    assert not made.equal(b, 1)
    assert [guard[:3] for guard in made.guards] == [("!=", b, 1)]  # a symbol is never 1; who allows it all the same looks here


def test_equality_by_form_needs_no_guard() -> None:
    made, (a, b) = context(4, 4)
    assert made.equal(a + b, b + a)
    assert not made.equal(a, a + 1)
    assert not made.guards


def test_equality_by_hint_is_recorded_once_and_unifies() -> None:
    made, (a, b, c) = context(4, 4, 4)
    assert made.equal(a, b)
    assert guards(made) == ["s0 == s1"]
    assert made.equal(b, a)
    assert made.equal(a * c, b * c)
    assert len(made.guards) == 1
    assert made.resolve(b) is a  # the older symbol stands for both
    assert made.equal(b, c)
    assert made.resolve(c) is a
    assert made.guards_left() == []  # the shapes of the inputs say all of it


def test_difference_by_hint_is_a_guard() -> None:
    made, (a, b) = context(4, 5)
    assert not made.equal(a, b)
    assert not made.equal(b, a + 7)
    assert guards(made) == ["s0 != s1", "s1 != s0 + 7"]
    assert len(made.guards_left()) == 2


def test_less_is_decided_by_form_or_by_a_guard() -> None:
    made, (a, b) = context(4, 6)
    assert made.less(a, a + 1)
    assert not made.less(a + b, a)
    assert not made.guards
    assert made.less(a, b)
    assert not made.less(b, a)
    assert guards(made) == ["s0 < s1", "s1 >= s0"]


def test_a_quotient_may_be_negative() -> None:
    made, (a,) = context(4)
    assert made.less(floordiv(a - 7, 2), 0)
    assert guards(made) == ["floordiv(s0 - 7, 2) < 0"]


def test_specialising_fixes_a_size() -> None:
    made, (a, b) = context(4, 6)
    assert made.specialise(a) == 4
    assert made.resolve(a + b) is b + 4
    assert made.specialise(a) == 4
    assert guards(made) == ["s0 == 4"]


def test_linear_equalities_are_solved() -> None:
    made, (a, b, c, d) = context(2, 5, 3, 4)
    assert made.equal(a + b, c + d)
    assert made.resolve(a + b) is made.resolve(c + d)
    assert symbols_of(made.resolve(d)) == {"s0", "s1", "s2"}


def test_a_multiple_is_counted_by_a_new_symbol() -> None:
    made, (a,) = context(6)
    assert made.equal(mod(a, 2), 0)
    half = floordiv(a, 2)
    assert made.equal(half * 2, a)
    assert made.resolve(half * 2) is made.resolve(a)
    assert str(made.resolve(a)) == "2*s1"
    assert made.hint(made.resolve(half)) == 3
    assert made.guards_left() == []
    assert bind([[made.resolve(a)]], [[10]]) == {"s1": 5}
    with pytest.raises(ShapeError):
        bind([[made.resolve(a)]], [[9]])


def test_a_multiple_of_a_symbol() -> None:
    made, (a, b) = context(12, 4)
    assert made.equal(mod(a, b), 0)
    assert made.resolve(floordiv(a, b) * b) is made.resolve(a)
    assert bind([[made.resolve(a)], [made.resolve(b)]], [[15], [5]]) == {"s1": 5, "s2": 3}


def test_a_quotient_that_is_one_needs_no_symbol() -> None:
    made, (a,) = context(2)
    assert made.equal(mod(a, 2), 0)
    assert made.resolve(a) == 2


def test_what_cannot_be_solved_is_specialised() -> None:
    made, (a, b, c, d) = context(4, 6, 3, 8)
    assert made.equal(a * b, c * d)
    assert made.resolve(a * b) == made.resolve(c * d) == 24
    assert all(guard.holds(made.hints) for guard in made.guards)


@given(st.lists(st.integers(2, 5), min_size=3, max_size=4), st.lists(st.tuples(forms(), forms()), max_size=4))
def test_sizes_found_equal_have_one_form_afterwards(hints: list[int], pairs: list[tuple[Size, Size]]) -> None:
    made = SizeContext()
    rename = {name: made.fresh(hint) for name, hint in zip(NAMES, hints, strict=False)}
    asked = []
    for left, right in pairs:
        a, b = substitute(left, rename), substitute(right, rename)
        try:
            asked.append((a, b, made.equal(a, b), made.hint(a) == made.hint(b)))
        except ZeroDivisionError:
            return
    for a, b, answer, truth in asked:
        assert answer == truth
        if answer:
            assert made.resolve(a) is made.resolve(b) or made.resolve(a) == made.resolve(b)
    assert all(guard.holds(made.hints) for guard in made.guards)
    for name, value in made.equal_to.items():
        assert made.hint(value) == made.hints[name]
        assert not symbols_of(value) & made.equal_to.keys()


def test_outside_a_trace_only_forms_count() -> None:
    assert sizes.equal(N + M, M + N)
    assert not sizes.equal(N, M)
    assert not sizes.less(N + M, N)
    with pytest.raises(InternalError, match="cannot be decided"):
        sizes.less(N, M)


def test_a_size_that_only_running_tells_is_one_for_each_mask() -> None:
    made = SizeContext()
    first, second = made.unbacked("a mask"), made.unbacked("another")
    assert first is made.unbacked("a mask")
    assert first is not second


def test_guards_hold_or_not() -> None:
    assert Guard("<", N, 2 * M).holds({"n": 3, "m": 2})
    assert not Guard("!=", N, M).holds({"n": 3, "m": 3})
    assert str(Guard(">=", N, 3)) == "n >= 3"


# ------------------------------------------------------------------------------------------------ binding
def test_bare_symbols_bind_first() -> None:
    found = bindings([[2 * M + N], [M, N + 1]])
    assert list(found) == ["m", "n"]
    assert bind([[2 * M + N], [M, N + 1]], [[11], [4, 4]]) == {"m": 4, "n": 3}


@pytest.mark.parametrize(("shapes", "lengths"), [
    ([[N], [N]], [[3], [4]]), ([[3]], [[4]]), ([[2 * N]], [[5]]), ([[N, N + 1]], [[3, 3]]),
])
def test_lengths_that_contradict_their_sizes(shapes: list[list[Size]], lengths: list[list[int]]) -> None:
    with pytest.raises(ShapeError, match="is expected"):
        bind(shapes, lengths)


def test_what_no_axis_determines_is_not_bound() -> None:
    assert dict(bindings([[N * M], [floordiv(K, 2)]])) == {}
