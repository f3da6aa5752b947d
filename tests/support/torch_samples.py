"""Sample calls of torch's operations: each takes a module (torch, or chainrule) and gives a result and the inputs that require grad."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

Sample = Callable[[Any], tuple[Any, list[Any]]]

REAL = [[0.3, -1.2, 2.1], [0.7, 0.4, -0.9]]
POSITIVE = [[0.3, 1.2, 2.1], [0.7, 0.4, 0.9]]
UNIT = [[0.3, -0.2, 0.1], [0.7, 0.4, -0.9]]
OTHER = [[1.5, 0.45, -0.4], [-2.0, 0.85, 1.1]]
SQUARE = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]]
INDEX = [[0, 2], [1, 1]]
SMALL = [[1.0, 2.0], [3.0, 4.0]]

SAMPLES: dict[str, Sample] = {}


def leaf(module: Any, data: Any) -> Any:
    return module.tensor(data, dtype=module.float64, requires_grad=True)


def first(result: Any) -> Any:
    return result[0] if isinstance(result, (tuple, list)) else result


def sample(name: str, call: Callable[..., Any], *data: Any) -> None:
    """`call(module, *leaves made of data)`."""

    def run(module: Any) -> tuple[Any, list[Any]]:
        leaves = [leaf(module, d) for d in data]
        return first(call(module, *leaves)), leaves

    assert name not in SAMPLES
    SAMPLES[name] = run


def functions(names: str, *data: Any, args: tuple[Any, ...] = (), suffix: str = "", **kwargs: Any) -> None:
    for name in names.split():
        sample(name + suffix, lambda m, *leaves, name=name: getattr(m, name)(*leaves, *args, **kwargs), *data)


functions("exp exp2 expm1 sin cos tan sinh cosh tanh asinh atan sigmoid erf erfc abs neg sign floor ceil trunc round frac relu square "
          "deg2rad rad2deg sinc clone nan_to_num", REAL)
functions("log log2 log10 log1p sqrt rsqrt reciprocal lgamma digamma", POSITIVE)
functions("asin acos atanh erfinv", UNIT)
functions("acosh", [1.5, 2.5])
functions("i0", REAL)
for name in ("i0e", "i1", "i1e", "ndtri"):
    sample(f"special_{name}", lambda m, a, name=name: getattr(m.special, name)(a), [0.2, 0.7])
functions("logit", [0.2, 0.7])
functions("add sub mul div maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 fmod remainder copysign dist", REAL, OTHER)
functions("pow", POSITIVE, OTHER)
functions("xlogy", POSITIVE, POSITIVE)
for exponent in (2, 3, 0.5, -1, 0, 1, -2, 2.5):
    sample(f"pow_{exponent}", lambda m, a, e=exponent: a ** e, POSITIVE)
sample("number_pow", lambda m, a: 2.0 ** a, REAL)
sample("number_div", lambda m, a: 2.0 / a, REAL)
sample("number_sub", lambda m, a: 2.0 - a, REAL)
sample("mul_broadcast", lambda m, a, b: a * b, REAL, [1.0, 2.0, 3.0])
sample("mul_zero_dim", lambda m, a, b: a * b, REAL, 2.0)
sample("polygamma", lambda m, a: m.polygamma(1, a), POSITIVE)
sample("cast", lambda m, a: a.float() * 1.5, REAL)

functions("sum mean prod amax amin std var norm max min median nansum", REAL)
functions("sum mean prod amax amin std var logsumexp max min median norm", REAL, suffix="_dim", dim=1, keepdim=True)
functions("logcumsumexp cumsum cumprod cummax softmax log_softmax sort nanmean", REAL, args=(1,), suffix="_1")
functions("topk kthvalue", REAL, args=(2, 1), suffix="_1")
functions("quantile", REAL, args=(0.3, 1), suffix="_1")
functions("cov", REAL)

for name, args in {
    "reshape": ((3, 2),), "transpose": (0, 1), "permute": ((1, 0),), "squeeze": (), "unsqueeze": (1,), "flatten": (), "flip": ((1,),),
    "roll": (1, 1), "narrow": (1, 1, 2), "select": (1, 1), "diagonal": (), "tril": (), "triu": (), "diag": (), "tile": ((2,),), "rot90": (),
    "repeat_interleave": (2,), "diff": (), "movedim": (0, 1), "unflatten": (1, (3, 1)), "chunk": (2,), "split": (2,), "unbind": (),
    "swapaxes": (0, 1), "t": (), "ravel": (), "fliplr": (), "flipud": (), "tensor_split": (2,), "hsplit": (3,), "diag_embed": (),
}.items():  # fmt: skip
    functions(name, REAL, args=args)
sample("repeat", lambda m, a: a.repeat(2, 1), REAL)
sample("unfold", lambda m, a: a.unfold(1, 2, 1), REAL)
sample("expand", lambda m, a: a.expand(3, 2), [1.0, 2.0])
sample("as_strided", lambda m, a: m.as_strided(a, (2, 2), (1, 1)), [1.0, 2.0, 3.0, 4.0])
sample("cat", lambda m, a, b: m.cat([a, b], 1), REAL, OTHER)
sample("stack", lambda m, a, b: m.stack([a, b], 1), REAL, OTHER)
sample("columns", lambda m, a, b: a.t() * b.t(), REAL, OTHER)
sample("columns_clone", lambda m, a: a.t().exp().clone(), REAL)

sample("gather", lambda m, a: m.gather(a, 1, m.tensor(INDEX)), REAL)
sample("take", lambda m, a: m.take(a, m.tensor(INDEX)), REAL)
sample("index_list", lambda m, a: a[:, [0, 0, 2]], REAL)
sample("index_pairs", lambda m, a: a[[0, 1], [2, 1]], REAL)
sample("index_mask", lambda m, a: a[a > 0], REAL)
sample("index_select", lambda m, a: m.index_select(a, 1, m.tensor([0, 0, 2])), REAL)
sample("scatter", lambda m, a, b: a.scatter(1, m.tensor([[0, 2], [1, 0]]), b), REAL, SMALL)
sample("scatter_add", lambda m, a, b: a.scatter_add(1, m.tensor(INDEX), b), REAL, SMALL)
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    sample(f"scatter_reduce_{reduce}", lambda m, a, b, r=reduce: a.scatter_reduce(1, m.tensor(INDEX), b, r), REAL, SMALL)
sample("index_add", lambda m, a, b: a.index_add(1, m.tensor([0, 0]), b), REAL, SMALL)
sample("index_copy", lambda m, a, b: a.index_copy(1, m.tensor([0, 1]), b), REAL, SMALL)
sample("index_fill", lambda m, a: a.index_fill(1, m.tensor([0, 1]), 3.0), REAL)
sample("index_put", lambda m, a, b: a.index_put((m.tensor([0, 1]),), b), REAL, [1.0, 2.0, 3.0])
sample("masked_fill", lambda m, a: a.masked_fill(a.detach() > 0, 2.0), REAL)
sample("masked_select", lambda m, a: a.masked_select(a.detach() > 0), REAL)
sample("masked_scatter", lambda m, a, b: a.masked_scatter(a.detach() > 0, b), REAL, OTHER)
sample("where", lambda m, a, b: m.where(a.detach() > 0, a, b), REAL, OTHER)
sample("clamp", lambda m, a: a.clamp(-1.0, 0.5), REAL)
sample("clamp_tensors", lambda m, a, b, c: a.clamp(b, c), REAL, [-1.0, 0.0, 0.0], [0.0, 0.5, 0.9])
sample("clamp_min", lambda m, a: a.clamp_min(0.0), REAL)
sample("lerp", lambda m, a, b: m.lerp(a, b, 0.3), REAL, OTHER)
sample("addcmul", lambda m, a, b, c: m.addcmul(a, b, c, value=0.5), REAL, OTHER, POSITIVE)
sample("addcdiv", lambda m, a, b, c: m.addcdiv(a, b, c, value=0.5), REAL, OTHER, POSITIVE)

functions("mm", REAL, SQUARE)
functions("mv", REAL, [1.0, 2.0, 3.0])
functions("dot outer", [1.0, 2.0], [3.0, 4.0])
functions("kron", REAL, SQUARE)
functions("inverse trace", SQUARE)
sample("addmm", lambda m, a, b, c: m.addmm(a, b, c, beta=2, alpha=3), [1.0, 2.0, 3.0], REAL, SQUARE)
sample("baddbmm", lambda m, a, b, c: m.baddbmm(a, b, c), [REAL], [REAL], [SQUARE])
sample("matmul_stack", lambda m, a, b: a @ b, [REAL, OTHER], SQUARE)
sample("matmul_by_stack", lambda m, a, b: a @ b, REAL, [SQUARE, SQUARE])
sample("einsum", lambda m, a, b: m.einsum("ij,kj->ik", a, b), REAL, OTHER)
sample("tensordot", lambda m, a, b: m.tensordot(a, b, ([0, 1], [0, 1])), REAL, OTHER)
