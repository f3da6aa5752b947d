"""Random programs of operations, views, in-place operations and backward passes, run with torch or with chainrule in its place."""
from __future__ import annotations

import random
from typing import Any

Step = tuple[str, float, float, float, float]

UNARY = ("exp", "sin", "tanh", "abs", "neg", "relu", "sigmoid", "square", "floor", "clone")
BINARY = ("add", "sub", "mul", "maximum")
KINDS = ("unary", "binary", "view", "write view", "write unary", "write binary", "reduce", "assign", "retain", "detach", "no grad", "index",
         "look")


def program(seed: int) -> list[Step]:
    chance = random.Random(seed)
    steps = range(chance.randint(3, 9))
    return [(chance.choice(KINDS), chance.random(), chance.random(), chance.random(), chance.random()) for _ in steps]


def data(seed: int) -> list[list[float]]:
    chance = random.Random(seed + 1_000_003)
    return [[round(chance.uniform(-2, 2), 2) for _ in range(count)] for count in (6, 6, 3)]


def pick(items: Any, fraction: float) -> Any:
    return items[int(fraction * len(items))]


def apply(torch: Any, step: Step, tensors: list[Any], look: bool) -> None:
    kind, a, b, c, d = step
    t, u = pick(tensors, a), pick(tensors, b)
    if kind == "unary":
        tensors.append(getattr(torch, pick(UNARY, c))(t))
    elif kind == "binary":
        tensors.append(getattr(torch, pick(BINARY, c))(t, u))
    elif kind == "view":
        tensors.append(pick((lambda: t[0], lambda: t.t() if t.dim() <= 2 else t, lambda: t[..., 1:], lambda: t.view(-1),
                             lambda: t.unsqueeze(0), lambda: t.reshape(-1)[::2], lambda: t.expand(2, *t.shape)), c)())
    elif kind == "write view":
        v = pick((lambda: t[0], lambda: t[..., :1], lambda: t.view(-1)[1:], lambda: t.diagonal() if t.dim() > 1 else t[:2]), c)()
        pick((lambda: v.mul_(2.0), lambda: v.add_(u if u.shape == v.shape else 1.0), lambda: v.zero_(), lambda: v.exp_()), d)()
        if b < 0.5:
            tensors.append(v)
    elif kind == "write unary":
        getattr(t, pick(("exp_", "sin_", "neg_", "zero_", "relu_", "sigmoid_"), c))()
    elif kind == "write binary":
        getattr(t, pick(("add_", "mul_", "sub_", "copy_"), c))(u)
    elif kind == "reduce":
        tensors.append(pick((lambda: t.sum(), lambda: t.sum(-1), lambda: t.mean(0), lambda: t.max(), lambda: t.amax(-1, keepdim=True),
                             lambda: t.cumsum(-1), lambda: t.softmax(-1)), c)())
    elif kind == "assign":
        assign(t, u, d)
    elif kind == "retain":
        t.retain_grad()
    elif kind == "detach":
        tensors.append(t.detach())
    elif kind == "no grad":
        with torch.no_grad():
            t.mul_(0.5)
    elif kind == "index":
        tensors.append(t[[0, -1]] if c < 0.5 else t[t > 0])
    elif look:
        repr(t)


def assign(t: Any, u: Any, choice: float) -> None:
    if choice < 0.3:
        t[0] = u if u.dim() == t.dim() - 1 else 2.0
    elif choice < 0.6:
        t[..., -1] = 3.0
    else:
        t[t > 0.5] = 0.25


def listed(tensor: Any) -> list[Any]:
    """Rounded elements, flat; nan as text, so that lists compare."""
    return [round(x, 2) if x == x else "nan" for x in tensor.detach().reshape(-1).tolist()]


def run(torch: Any, seed: int, look: bool = False) -> list[Any]:
    """What can be seen of every tensor after the program, of its errors, and of the gradients of the sum of everything."""
    first, second, third = data(seed)
    x, y = torch.tensor(first).reshape(2, 3).requires_grad_(), torch.tensor(second).reshape(2, 3).requires_grad_()
    tensors = [x * 1.0, y * 1.0, torch.tensor(third)]
    seen: list[Any] = []
    for step in program(seed):
        try:
            apply(torch, step, tensors, look)
        except Exception as error:
            seen.append(f"{type(error).__name__}: {error}".splitlines()[0])
    for t in tensors:
        seen.append((tuple(t.shape), t.stride(), t.storage_offset(), t.is_contiguous(), t._version, t.requires_grad, t.is_leaf,
                     t._is_view(), t.grad_fn and t.grad_fn.name(), listed(t)))
    try:
        sum((t.sum() for t in tensors), torch.tensor(0.0)).backward()
    except Exception as error:
        seen.append(f"{type(error).__name__}: {error}".splitlines()[0])
    return seen + [None if t.grad is None else listed(t.grad) for t in (x, y, *tensors)]
