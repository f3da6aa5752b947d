"""Values, first and second derivatives of every op that torch has, against torch (pytest -m oracle)."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivatives import (
    Builder,
    forward,
    forward_over_reverse,
    is_real,
    reverse,
    reverse_over_reverse,
    value,
    zeros_for_none,
)
from special_points import DEPARTURES, SPECIAL, Special

from chainrule.compiler.ir import Node, f, make
from chainrule.compiler.op import all_ops
from chainrule.compiler.ops import special as special_ops
from chainrule.compiler.sizes import symbol

# torch.func.jvp scripts its decompositions with what torch itself calls deprecated
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")]

NAN, INF = math.nan, math.inf
GRID = np.array([-INF, -3.0, -1.0, -0.5, -1e-9, -0.0, 0.0, 1e-9, 0.5, 1.0, 2.5, 30.0, INF, NAN])
SMOOTH_GRID = np.array([-3.2, -1.7, -0.6, -0.25, 0.3, 0.75, 1.25, 2.4])  # no kink, no pole, no quotient that is whole
RANDOM = np.random.default_rng(11)


def torch_functions() -> dict[str, Callable[..., Any]]:
    import torch

    functional, special = torch.nn.functional, torch.special
    same = (
        "add", "sub", "mul", "div", "neg", "remainder", "fmod", "pow", "square", "reciprocal", "sqrt", "rsqrt", "abs",
        "sign", "floor", "ceil", "trunc", "round", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
        "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
        "arctanh", "erf", "erfc", "erfinv", "lgamma", "digamma", "sigmoid", "hypot", "logaddexp", "maximum",
        "minimum", "floor_divide", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "where",
    )
    return {name: getattr(torch, name) for name in same} | {
        "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)), "log_sigmoid": functional.logsigmoid,
        "erfcx": special.erfcx, "sech_squared": lambda x: 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x),
        "cathetus": lambda a, b: torch.sqrt(a * a - b * b),
        "sinc": lambda x: torch.sinc(x / math.pi), "polygamma": lambda x: special.polygamma(2, x), "stop_gradient": lambda x: x.detach(),
        **{name: getattr(special, name) for name in ("i0", "i0e", "i1", "i1e", "ndtri")},
    }


# What torch has no function for, or not of floats.
NOT_IN_TORCH = {"product_error", "sum_error", "cbrt", "exprel", "and_", "or_", "xor", "not_", "shift_left", "shift_right", "cast", "scan",
                "cond", "checkpoint", "custom", "while", "while_states", "lu", "lu_solve", "lu_inverse",
                *special_ops.NAMES} - {"i0", "i0e", "i1", "i1e", "ndtri"}
# Where torch's own formula is not what chainrule should give: the point, and the reason.
EXCEPT: dict[str, tuple[Callable[..., Any], str]] = {
    "abs": (np.isnan, "torch's sign(nan) is 0"),
    "sign": (np.isnan, "torch's sign(nan) is 0"),
    "digamma": (lambda x: (x <= 0) & (x == np.floor(x)), "poles: torch has finite numbers there"),
    "rsqrt": (lambda x: (x == 0) & np.signbit(x), "the sign of an infinite slope at -0"),
    "lgamma": (lambda x: (x <= 0) & (x == np.floor(x)), "poles"),
    "polygamma": (lambda x: (x <= 0) | np.isinf(x), "poles, and torch's zeta function of infinity is nan"),
    "arccosh": (lambda x: x < 1, "torch's formula is real outside the domain"),
    "hypot": (lambda a, b: (a == 0) & (b == 0), "a norm has the subgradient 0"),
    "fmod": (lambda a, b: (b == 0) | np.isinf(a), "torch has infinite slopes there, of an undefined value"),
    "remainder": (lambda a, b: b == 0, "torch has infinite slopes there"),
    "logaddexp": (lambda a, b: np.isinf(a) & np.isinf(b), "torch tells the infinities of one sign apart"),
    **dict.fromkeys(("i1", "i1e"), (lambda x: ~np.isfinite(x), "torch's slope of nan is a number, and infinities are subtracted")),
    "erfcx": (lambda x: np.isposinf(x), "torch's slope is infinity times zero there"),
}


def compare(build: Builder, function: Callable[..., Any], arrays: list[Any], what: str, *, order: int = 2,
            usable: Any = True) -> None:
    """Value, vjp, jvp and Hessian-vector product of one program; elementwise results only where `usable`."""
    import torch

    tensors = [torch.from_numpy(np.ascontiguousarray(a)).clone() if np.ndim(a) else torch.tensor(a) for a in arrays]
    real = [k for k, a in enumerate(arrays) if is_real(a)]

    def of_real(*xs: Any) -> Any:
        full = list(tensors)
        for k, x in zip(real, xs, strict=True):
            full[k] = x
        return function(*full)

    def same(got: Any, expected: Any, order_of: str, tolerance: float) -> None:
        got, expected = np.asarray(got), expected.detach().numpy()
        keep = np.broadcast_to(usable, got.shape)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(got[keep], expected[keep], tolerance, tolerance, err_msg=f"{what}: {order_of}")

    y = of_real(*(tensors[k] for k in real))
    same(value(build, *arrays), y, "value", 1e-12)
    if not real or not y.dtype.is_floating_point or order == 0:
        return
    xs = tuple(tensors[k] for k in real)
    vs = tuple(torch.from_numpy(RANDOM.uniform(0.5, 1.5, x.shape)) for x in xs)
    ct = torch.from_numpy(np.asarray(RANDOM.uniform(0.5, 1.5, y.shape)))
    numbers = [np.asarray(v.numpy()) for v in vs]

    def pull(*args: Any) -> Any:
        return torch.func.vjp(of_real, *args)[1](ct)

    pulled = zeros_for_none(reverse(build, arrays, ct.numpy()), numbers)
    for k, (got, expected) in enumerate(zip(pulled, pull(*xs), strict=True)):
        same(got, expected, f"vjp {k}", 1e-9)
    if order == 1:
        return
    got = forward(build, arrays, numbers)
    same(np.zeros(y.shape) if got is None else got, torch.func.jvp(of_real, xs, vs)[1], "jvp", 1e-9)
    _, moved = torch.func.jvp(pull, xs, vs)
    for mode in (forward_over_reverse, reverse_over_reverse):
        products = zeros_for_none(mode(build, arrays, ct.numpy(), numbers), numbers)
        for k, (got, expected) in enumerate(zip(products, moved, strict=True)):
            same(got, expected, f"second order {k}", 1e-8)


def apply(name: str) -> Builder:
    params = {"order": 2} if name == "polygamma" else {}
    return lambda *nodes: make(name, nodes, **params)


def order_of(name: str, order: int) -> int:
    return 0 if name == "floor_divide" else order  # torch refuses to differentiate it


def operands(name: str, grid: Any) -> list[Any]:
    arity = 2 if name == "where" else next(op.arity for op in all_ops() if op.name == name)
    columns = [g.ravel() for g in np.meshgrid(*[grid] * (arity or 1))]
    return [RANDOM.random(columns[0].shape) < 0.5, *columns] if name == "where" else columns


ELEMENTWISE = [op.name for op in all_ops() if op.kind == "elementwise" and op.name not in NOT_IN_TORCH]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_at_kinks_poles_and_infinities(name: str) -> None:
    """The vjp at every pair of special numbers (chainrule's jvp is its adjoint, torch's is not always)."""
    function, arrays = torch_functions()[name], operands(name, GRID)
    usable = ~EXCEPT[name][0](*arrays) if name in EXCEPT else True
    compare(apply(name), function, arrays, name, order=order_of(name, 1), usable=usable)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_to_second_order(name: str) -> None:
    domain = {"arccosh": SMOOTH_GRID[-2:], "polygamma": SMOOTH_GRID[-4:]}
    arrays = operands(name, domain.get(name, SMOOTH_GRID))
    if name == "pow":
        arrays[0] = abs(arrays[0])
    ties = arrays[-1] != arrays[-2] if name in ("maximum", "minimum", "remainder", "fmod", "floor_divide") else True
    if name == "cathetus":  # an end of the domain, where both partials are infinite
        ties = abs(arrays[0]) != abs(arrays[1])
    compare(apply(name), torch_functions()[name], arrays, name, order=order_of(name, 2), usable=ties)


@pytest.mark.parametrize("case", [c for c in SPECIAL if c.op != "floor_divide"], ids=lambda c: f"{c.op}{c.at}")
def test_the_recorded_conventions_are_torch_s(case: Special) -> None:
    import torch

    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in case.at]
    result = torch_functions()[case.op](*tensors)
    slopes = torch.autograd.grad(result, tensors, allow_unused=True) if result.requires_grad else [None] * len(tensors)
    for slope, expected in zip(slopes, case.partials, strict=True):
        np.testing.assert_allclose(0.0 if slope is None else slope.item(), expected or 0.0, rtol=1e-12)


@pytest.mark.parametrize("case", DEPARTURES, ids=lambda c: f"{c.op}{c.at}")
def test_the_departures_still_are_departures(case: Special) -> None:
    import torch

    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in case.at]
    slopes = torch.autograd.grad(torch_functions()[case.op](*tensors), tensors)
    assert [s.item() for s in slopes] != list(case.partials)


def real(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


def structural() -> dict[str, tuple[Builder, Callable[..., Any], list[Any]]]:
    import torch

    x, matrices = real(3, 4, 2), real(2, 3, 3) + 3 * np.eye(3)
    tied = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]])
    zeros = np.array([[0.0, 2, 3], [0, 0, 5], [1, 2, 3], [0, 0, 0]])
    index = np.array([[0, 2, 1], [2, 2, 0]])
    rows = np.array([1, 0, 2, 0])
    definite = matrices @ matrices.transpose(0, 2, 1)
    tall = real(2, 4, 3)

    def even(x: Any) -> Any:  # what torch makes of matrices that are not symmetric differs between modes
        return (x + f.permute(x, order=(0, 2, 1))) * 0.5 if isinstance(x, Node) else (x + x.mT) * 0.5

    def cofactors(x: Any) -> Any:  # of three rows: quadratic, so that a difference is a derivative
        return torch.linalg.det(x)[:, None, None] * torch.linalg.inv(x).mT

    return {
        "sum": (lambda n: f.sum(n, axes=(0, 2)), lambda t: t.sum((0, 2)), [x]),
        "prod": (lambda n: f.prod(n, axes=(1,)), lambda t: t.prod(1), [zeros]),
        "max": (lambda n: f.max(n, axes=(1,)), lambda t: t.amax(1), [tied]),
        "min": (lambda n: f.min(n, axes=(0, 1)), lambda t: t.amin((0, 1)), [tied]),
        "any": (lambda n: f.any(n, axes=(0,)), lambda t: t.any(0), [tied > 1]),
        "all": (lambda n: f.all(n, axes=(0,)), lambda t: t.all(0), [tied > 1]),
        "argmax": (lambda n: f.argmax(n, axes=(1,)), lambda t: t.argmax(1), [x[:, :, 0]]),
        "argmin": (lambda n: f.argmin(n, axes=(1,)), lambda t: t.argmin(1), [x[:, :, 0]]),
        "argsort": (lambda n: f.argsort(n, axis=1), lambda t: t.argsort(dim=1, stable=True), [tied]),
        "cumsum": (lambda n: f.cumsum(n, axis=1), lambda t: t.cumsum(1), [x]),
        "reshape": (lambda n: f.reshape(n, shape=(2, 12)), lambda t: t.reshape(2, 12), [x]),
        "permute": (lambda n: f.permute(n, order=(2, 0, 1)), lambda t: t.permute(2, 0, 1), [x]),
        "expand": (lambda n: f.expand(n, shape=(3, 5, 4), axes=(0, 2)), lambda t: t[:, None].expand(3, 5, 4),
                   [x[:, :, 0]]),
        "slice": (lambda n: f.slice(n, start=(1, 0, 0), step=(1, 2, 1), shape=(2, 2, 2)), lambda t: t[1:, ::2], [x]),
        "place": (lambda n: f.place(n, start=(1, 2), step=(1, 1), shape=(6, 7)),
                  lambda t: torch.nn.functional.pad(t, (2, 1, 1, 2)), [x[:, :, 0]]),
        "diagonal": (lambda n: f.diagonal(n, roles=(0, 1, 1)), lambda t: t.diagonal(dim1=1, dim2=2), [matrices]),
        "embed": (lambda n: f.embed(n, roles=(0, 1, 1)), torch.diag_embed, [x[:, :, 0]]),
        "flip": (lambda n: f.flip(n, axes=(0, 2)), lambda t: t.flip(0, 2), [x]),
        "concatenate": (lambda a, b: f.concatenate(a, b, axis=1), lambda a, b: torch.cat([a, b], 1), [x, x[:, :1] * 2]),
        "gather": (lambda n, i: f.gather(n, i, axes=(0,)), lambda t, i: t[i], [x, index]),
        "scatter_add": (lambda v, i: f.scatter_add(v, i, axes=(0,), shape=(3, 2)),
                        lambda v, i: torch.zeros(3, 2, dtype=v.dtype).index_add(0, i, v), [real(4, 2), rows]),
        "scatter": (lambda n, v, i: f.scatter(n, v, i, axes=(0,)), lambda t, v, i: t.index_copy(0, i, v),
                    [real(3, 2), real(2, 2), rows[:2]]),
        "contract": (lambda a, b: f.contract(a, b, left="bnk", right="bkm", out="bnm"), torch.matmul,
                     [matrices, real(2, 3, 2)]),
        "inverse": (f.inverse, torch.linalg.inv, [matrices]),
        "solve": (f.solve, torch.linalg.solve, [matrices, real(2, 3, 2)]),
        "det": (f.det, torch.linalg.det, [matrices]),
        "cofactor": (f.cofactor, cofactors, [matrices]),
        "cofactor_change": (f.cofactor_change, lambda a, e: (cofactors(a + e) - cofactors(a - e)) / 2, [matrices, real(2, 3, 3)]),
        "logabsdet": (f.logabsdet, lambda t: torch.linalg.slogdet(t)[1], [matrices]),
        "detsign": (f.detsign, lambda t: torch.linalg.slogdet(t)[0].detach(), [matrices]),
        "cholesky": (lambda n: f.cholesky(even(n)), lambda t: torch.linalg.cholesky(even(t)), [definite]),
        "triangular_solve": (lambda a, b: f.triangular_solve(a, b, triangle="upper", diagonal="given"),
                             lambda a, b: torch.linalg.solve_triangular(a, b, upper=True), [matrices, real(2, 3, 2)]),
        "eigenvalues": (lambda n: f.eigenvalues(even(n)), lambda t: torch.linalg.eigvalsh(even(t)), [definite]),
        "eigenvectors": (lambda n: f.square(f.eigenvectors(even(n))), lambda t: torch.linalg.eigh(even(t))[1] ** 2, [definite]),
        "singular_values": (f.singular_values, torch.linalg.svdvals, [tall]),
        "left_singular_vectors": (lambda n: f.square(f.left_singular_vectors(n)),
                                  lambda t: torch.linalg.svd(t, full_matrices=False)[0] ** 2, [tall]),
        "right_singular_vectors": (lambda n: f.square(f.right_singular_vectors(n)),
                                   lambda t: torch.linalg.svd(t, full_matrices=False)[2] ** 2, [tall]),
        "qr_q": (f.qr_q, lambda t: torch.linalg.qr(t)[0], [tall]), "qr_r": (f.qr_r, lambda t: torch.linalg.qr(t)[1], [tall]),
        "pseudo_inverse": (f.pseudo_inverse, torch.linalg.pinv, [tall]),
        "matrix_exp": (f.matrix_exp, torch.linalg.matrix_exp, [matrices / 4]),
        "matrix_exp_change": (f.matrix_exp_change, lambda a, e: torch.func.jvp(torch.linalg.matrix_exp, (a,), (e,))[1],
                              [matrices / 4, real(2, 3, 3)]),
        "nonzero": (lambda m: f.nonzero(m, count=symbol("u0")), lambda t: t.nonzero()[:, 0], [rows > 0]),
    }


LEAVES = {"input", "const", "iota", "size"}


def test_every_op_that_torch_has_is_compared() -> None:
    covered = {*torch_functions(), *structural(), *NOT_IN_TORCH, *LEAVES}
    assert covered == {op.name for op in all_ops()}


@pytest.mark.parametrize("name", [op.name for op in all_ops() if op.kind not in ("elementwise", "leaf") and op.name not in NOT_IN_TORCH])
def test_structural(name: str) -> None:
    build, function, arrays = structural()[name]
    compare(build, function, arrays, name)
