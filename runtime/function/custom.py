"""`cr.custom_vjp` and `cr.custom_jvp`: functions with derivatives that the user wrote, as JAX's decorators.

Inside a trace the value is marked with the rule, which is traced at once (`compiler/custom_rules.py`). Of Tensors the rule is the
backward pass of an `autograd.Function`. Of plain arrays and numbers the function is called.
"""
from __future__ import annotations

import functools
import inspect
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from ...compiler import build, sizes
from ...compiler.bodies import body_of
from ...compiler.errors import ArgumentError, DTypeError, ShapeError
from ...compiler.ir import Node, constant, make, rebuild
from ...compiler.provenance import at, user_site
from ...compiler.trace import Session, Traced, active_session, lift, located, wrap
from .bodies import Bodies, aval, bodies, leaves as traced_leaves, outside, packed, packed_dtype, unpacked, vector
from .structure import Tree, flatten, is_tensor, unflatten

__all__ = ["custom_jvp", "custom_vjp"]

Function = Callable[..., Any]
MOST_NESTED = 4  # a rule may call the function itself; it is traced once more for each order of derivatives that is to be had


class _Call(NamedTuple):
    """A call's arguments: those that are never differentiated, and what is in the others."""

    static: tuple[Any, ...]
    tree: Tree
    leaves: list[Any]
    positions: tuple[int, ...]  # of the others among all arguments
    result: list[Tree]  # of a call with Tensors: the structure of what is returned

    def arguments(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """All arguments, with these leaves."""
        others = dict(zip(self.positions, unflatten(self.tree, iter(leaves)), strict=True))
        static = iter(self.static)
        return tuple(others[k] if k in others else next(static) for k in range(len(self.static) + len(others)))


class _Custom:
    """What both decorators have in common."""

    kind = ""
    forward = False

    def __init__(self, fun: Function, nondiff_argnums: Sequence[int] | int = ()) -> None:
        if not callable(fun):
            raise ArgumentError(f"cr.{self.kind} takes a function, not {type(fun).__name__}{at(user_site())}")
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self.name = getattr(fun, "__name__", type(fun).__name__)
        self._local = threading.local()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value.

        Raises:
            ArgumentError, ShapeError, DTypeError: the rule does not fit the function.
        """
        self._check_defined()
        call = self._call(args, kwargs)
        session = active_session()
        if session is not None:
            with located():
                return self._traced(session, call)
        if any(map(is_tensor, call.leaves)):
            return _of_tensors(self, call)
        return self.fun(*call.arguments(call.leaves))

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        try:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        except ValueError:  # a builtin without a signature
            pass
        if kwargs:
            raise ArgumentError(f"{self.name} is a cr.{self.kind} function, and {', '.join(kwargs)} "
                                f"cannot be given by position{at(user_site())}")
        fixed = {k % len(args) for k in self.nondiff_argnums if -len(args) <= k < len(args)}
        positions = tuple(k for k in range(len(args)) if k not in fixed)
        leaves: list[Any] = []
        tree = flatten(tuple(args[k] for k in positions), leaves)
        return _Call(tuple(args[k] for k in sorted(fixed)), tree, leaves, positions, [])

    def _check_defined(self) -> None:
        raise NotImplementedError

    def _rule(self, session: Session, call: _Call, given: list[Traced], moving: list[int], result: _Result) -> Bodies:
        """The rule as a body."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ inside a trace
    @property
    def _depth(self) -> int:
        return getattr(self._local, "depth", 0)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._local.depth = self._depth + 1
        try:
            yield
        finally:
            self._local.depth -= 1

    def _traced(self, session: Session, call: _Call) -> Any:
        operands = [lift(leaf) for leaf in call.leaves]
        nodes = [operand.node for operand in operands]
        stand_ins = [session.placeholder(node) for node in nodes]
        inner = [wrap(node, operand.weak) for node, operand in zip(stand_ins, operands, strict=True)]
        tree, outputs = _output_leaves(session.prepare(self.fun)(*call.arguments(inner)))
        closed = [n for n in outside(outputs, set(stand_ins)) if n.dtype.kind == "f"]
        values = rebuild(outputs, dict(zip(stand_ins, nodes, strict=True)))
        moving = [k for k, node in enumerate(nodes) if node.dtype.kind == "f"]
        result = _Result(tree, values, [k for k, node in enumerate(values) if node.dtype.kind == "f"])
        if moving and result.smooth:
            made = Bodies((body_of(()),), [], (), ())
            if self._depth < MOST_NESTED:
                with self._deeper():
                    given = [wrap(operand.node, operand.weak) for operand in operands]
                    made = self._rule(session, call, given, moving, result)
            (rule,) = made.graphs
            marked = make("custom", [result.whole, *(nodes[k] for k in moving), *closed, *made.read], name=self.name, rule=rule,
                          forward=self.forward, arguments=len(moving), closed=len(closed), names=made.names, values=made.values)
            for k, node in zip(result.smooth, result.apart(marked), strict=True):
                values[k] = node
        return unflatten(tree, iter(map(wrap, values)))

    def _agree(self, tree: Tree, nodes: Sequence[Node], result: _Result, what: str) -> None:
        if tree != result.tree:
            raise ArgumentError(f"{what} of {self.name} returned another structure than the function{at(user_site())}")
        for k, (node, value) in enumerate(zip(nodes, result.values, strict=True)):
            if value.dtype.kind == "f":
                self._fits(node, value, f"{what} of {self.name}: output {k}")

    def _fits(self, node: Node, like: Node, what: str) -> None:
        if node.ndim != like.ndim or not all(map(sizes.equal, node.shape, like.shape)):
            raise ShapeError(f"{what} is {aval(node)}, and must have the shape of {aval(like)}{at(user_site())}")
        if node.dtype != like.dtype:
            raise DTypeError(f"{what} is {aval(node)}, and must have the dtype of {aval(like)}{at(user_site())}")


class _Result(NamedTuple):
    """What the function returned, of which the `smooth` parts (by number) have derivatives: as one value where they are several."""

    tree: Tree
    values: list[Node]
    smooth: list[int]

    @property
    def _likes(self) -> list[Node]:
        return [self.values[k] for k in self.smooth]

    @property
    def whole(self) -> Node:
        return self.together(self._likes)

    def together(self, nodes: Sequence[Node]) -> Node:
        """Values, or tangents, of the smooth parts as one."""
        if len(nodes) == 1:
            return nodes[0]
        dtype = packed_dtype(nodes)
        return vector([packed(node, 0, dtype) for node in nodes], dtype)

    def apart(self, whole: Node) -> list[Node]:
        """The opposite."""
        return [whole] if len(self.smooth) == 1 else unpacked(whole, self._likes, 0, ())


def _output_leaves(value: Any) -> tuple[Tree, list[Node]]:
    tree, found = traced_leaves(value)
    return tree, [leaf.node for leaf in found]


class custom_vjp(_Custom):
    """A function with a reverse-mode derivative of its own, as `jax.custom_vjp`.

        @cr.custom_vjp
        def clip(x): return x

        clip.defvjp(lambda x: (x, None), lambda residuals, ct: (np.clip(ct, -1, 1),))

    Attributes:
        nondiff_argnums: the positions of arguments that are handed on to `fwd` and, first of all, to `bwd` as they are.
    """

    kind = "custom_vjp"
    fwd: Function | None = None
    bwd: Function | None = None

    def defvjp(self, fwd: Function, bwd: Function, symbolic_zeros: bool = False, optimize_remat: bool = False) -> None:
        """Set the rule.

        Args:
            fwd: takes the function's arguments; returns (value, residuals).
            bwd: takes (residuals, cotangent of the value); returns a tuple of cotangents, one for each argument that is differentiated.
                None stands for zeros.
            symbolic_zeros, optimize_remat: accepted for programs of JAX's; zeros are structural here anyway.
        """
        self.fwd, self.bwd = fwd, bwd

    def _check_defined(self) -> None:
        if self.fwd is None or self.bwd is None:
            raise AttributeError(f"No VJP defined for custom_vjp function {self.name} using defvjp.")

    def _forward(self, arguments: tuple[Any, ...], prepare: Function = lambda function: function) -> tuple[Any, Any]:
        returned = prepare(self.fwd)(*arguments)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ArgumentError(f"the fwd rule of {self.name} returned {type(returned).__name__}, not (value, residuals){at(user_site())}")
        return returned

    def _backward(self, call: _Call, residuals: Any, cotangent: Any, prepare: Function = lambda function: function) -> tuple[Any, ...]:
        returned = prepare(self.bwd)(*call.static, residuals, cotangent)
        returned = tuple(returned) if isinstance(returned, list) else returned
        if not isinstance(returned, tuple) or len(returned) != len(call.positions):
            shown = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else type(returned).__name__
            raise ArgumentError(f"the bwd rule of {self.name} must return a tuple with one cotangent for each of its {len(call.positions)} "
                                f"arguments, not {shown}{at(user_site())}")
        return returned

    def _rule(self, session: Session, call: _Call, given: list[Traced], moving: list[int], result: _Result) -> Bodies:
        value, residuals = self._forward(call.arguments(given), session.prepare)
        self._agree(*_output_leaves(value), result, "the fwd rule")
        cotangent = session.placeholder(result.whole, "cotangent")
        parts = dict(zip(result.smooth, map(wrap, result.apart(cotangent)), strict=True))
        returned = self._backward(call, residuals, unflatten(result.tree, iter([parts.get(k) for k in range(len(result.values))])),
                                  session.prepare)
        made = self._cotangents(call, returned, [g.node for g in given])
        outputs = [made[k] for k in moving]
        return bodies(session, [outputs], [cotangent], outside(outputs, {cotangent}), rewrite=False)

    def _cotangents(self, call: _Call, returned: tuple[Any, ...], likes: list[Node]) -> list[Node]:
        """The cotangent of each leaf of the arguments."""
        found: list[Node] = []
        for number, (tree, ct) in enumerate(zip(call.tree.children, returned, strict=True)):
            mine = likes[len(found):len(found) + _count(tree)]
            leaves = [None] * len(mine) if ct is None else _matching(ct, tree)
            if leaves is None or len(leaves) != len(mine):
                raise ArgumentError(f"the bwd rule of {self.name}: the cotangent of argument {number} has another structure than "
                                    f"the argument{at(user_site())}")
            for leaf, like in zip(leaves, mine, strict=True):
                if leaf is None or like.dtype.kind != "f":
                    found.append(constant(0, like.dtype, like.shape))
                    continue
                operand = lift(leaf)
                node = operand.node if operand.weak is None else build.cast(operand.node, like.dtype)
                self._fits(node, like, f"the bwd rule of {self.name}: the cotangent of argument {number}")
                found.append(node)
        return found

    def of_tensors(self, call: _Call, leaves: Sequence[Any], cotangent: Any, kept: Any, again: bool) -> list[Any]:
        """The cotangents of the leaves of the arguments, from Tensors; `again` where these are differentiated in their turn."""
        residuals = self._forward(call.arguments(leaves))[1] if again else kept
        found: list[Any] = []
        for tree, ct in zip(call.tree.children, self._backward(call, residuals, cotangent), strict=True):
            found += [None] * _count(tree) if ct is None else _matching(ct, tree) or [None] * _count(tree)
        return found


class custom_jvp(_Custom):
    """A function with a forward-mode derivative of its own, as `jax.custom_jvp`; reverse mode is its transpose.

        @cr.custom_jvp
        def log1pexp(x): return np.log(1 + np.exp(x))

        @log1pexp.defjvp
        def rule(primals, tangents):
            (x,), (t,) = primals, tangents
            return log1pexp(x), t / (1 + np.exp(-x))

    Attributes:
        nondiff_argnums: the positions of arguments that are handed to the rule first, as they are.
    """

    kind = "custom_jvp"
    forward = True
    jvp: Function | None = None

    def defjvp(self, jvp: Function, symbolic_zeros: bool = False) -> Function:
        """Set the rule, which takes (primals, tangents), two tuples, and returns (value, its tangent); linear in the tangents."""
        self.jvp = jvp
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Set a rule for each argument: it takes (tangent, value, *primals) and returns the value's tangent; None: zero."""
        if self.nondiff_argnums:
            raise TypeError("Can't use ``defjvps`` with ``nondiff_argnums``.")

        def jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            value = self(*primals)
            terms = [rule(t, value, *primals) for t, rule in zip(tangents, jvps, strict=True) if rule is not None and t is not None]
            leaves = [_leaves_of(term) for term in terms]
            form: list[Any] = []
            tree = flatten(value, form)
            sums = [functools.reduce(operator.add, column) for column in zip(*leaves, strict=True)]
            return value, unflatten(tree, iter(sums if leaves else [v * 0 for v in form]))

        self.jvp = jvp

    def _check_defined(self) -> None:
        if self.jvp is None:
            raise AttributeError(f"No JVP defined for custom_jvp function {self.name} using defjvp.")

    def _pushed(self, call: _Call, primals: tuple[Any, ...], tangents: tuple[Any, ...], prepare: Function = lambda function: function,
                ) -> tuple[Any, Any]:
        returned = prepare(self.jvp)(*call.static, primals, tangents)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise ArgumentError(f"the jvp rule of {self.name} returned {type(returned).__name__}, not (value, tangent){at(user_site())}")
        value, tangent = returned
        return value, tangent

    def _rule(self, session: Session, call: _Call, given: list[Traced], moving: list[int], result: _Result) -> Bodies:
        stand_ins = {k: session.placeholder(given[k].node, "tangent") for k in moving}
        tangents = [wrap(stand_ins[k]) if k in stand_ins else None for k in range(len(given))]
        value, pushed = self._pushed(call, unflatten(call.tree, iter(given)), unflatten(call.tree, iter(tangents), lambda _: None),
                                     session.prepare)
        self._agree(*_output_leaves(value), result, "the jvp rule")
        tree, found = _output_leaves(pushed)
        found = [build.cast(node, like.dtype) if not node.ndim and node.op.name == "const" else node
                 for node, like in zip(found, result.values, strict=False)]
        self._agree(tree, found, result, "the tangent by the jvp rule")
        output = result.together([found[k] for k in result.smooth])
        return bodies(session, [[output]], list(stand_ins.values()), outside([output], set(stand_ins.values())), rewrite=False)

    def of_tensors(self, call: _Call, leaves: Sequence[Any], cotangent: Any, kept: Any, again: bool) -> list[Any]:
        """The cotangents of the leaves of the arguments, from Tensors; `again` where these are differentiated in their turn."""
        from ..tensor import api
        from ..tensor.engine import grad
        from ..tensor.modes import enable_grad

        moving = [k for k, leaf in enumerate(leaves) if is_tensor(leaf) and leaf.is_floating_point()]
        tangents = {k: api.zeros_like(leaves[k]).requires_grad_() for k in moving}
        with enable_grad():
            pushed = self._pushed(call, unflatten(call.tree, iter(leaves)),
                                  unflatten(call.tree, iter([tangents.get(k) for k in range(len(leaves))]), lambda _: None))[1]
            pairs = [(y, ct) for y, ct in zip(_leaves_of(pushed), _leaves_of(cotangent), strict=True) if y.requires_grad]
        if not pairs:
            return [None] * len(leaves)
        outputs, cts = zip(*pairs, strict=True)
        made = grad(outputs, list(tangents.values()), cts, create_graph=again, allow_unused=True)
        found = dict(zip(moving, made, strict=True))
        return [found.get(k) for k in range(len(leaves))]


def _leaves_of(value: Any) -> list[Any]:
    found: list[Any] = []
    flatten(value, found)
    return found


def _count(tree: Tree) -> int:
    return 1 if tree.kind in ("weak", "weakint", "array", "traced") else sum(map(_count, tree.children))


def _matching(value: Any, tree: Tree) -> list[Any] | None:
    """What stands in a structure in the places of the leaves of a tree, None for zeros; None where it has another structure."""
    if tree.kind in ("weak", "weakint", "array", "traced"):
        return [value]
    if tree.kind == "static":
        return []
    if value is None:
        return [None] * _count(tree)
    items = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (tuple, list)) else None
    if items is None or len(items) != len(tree.children):
        return None
    found: list[Any] = []
    for item, child in zip(items, tree.children, strict=True):
        inner = _matching(item, child)
        if inner is None:
            return None
        found += inner
    return found


# ------------------------------------------------------------------------------------------------ Tensors
@cache
def _node_class(name: str) -> Any:
    """The autograd Function that shows as `<nameBackward>`."""
    from ..tensor.function import Function

    return type(name, (Function,), {"forward": staticmethod(_forward), "backward": staticmethod(_backward)})


def _forward(ctx: Any, custom: _Custom, call: _Call, *leaves: Any) -> Any:
    ctx.custom, ctx.call, ctx.kept = custom, call, None
    ctx.save_for_backward(*(x if is_tensor(x) else None for x in leaves))
    ctx.others = [None if is_tensor(x) else x for x in leaves]
    if isinstance(custom, custom_vjp):
        value, ctx.kept = custom._forward(call.arguments(leaves))
    else:
        value = custom.fun(*call.arguments(leaves))
    found: list[Any] = []
    ctx.tree = flatten(value, found)
    call.result.append(ctx.tree)
    return tuple(found)


def _backward(ctx: Any, *cotangents: Any) -> tuple[Any, ...]:
    from ..tensor.modes import state

    leaves = [saved if other is None else other for saved, other in zip(ctx.saved_tensors, ctx.others, strict=True)]
    found = ctx.custom.of_tensors(ctx.call, leaves, unflatten(ctx.tree, iter(cotangents)), ctx.kept, state.grad)
    return (None, None, *found)


def _of_tensors(custom: Any, call: _Call) -> Any:
    from ..tensor.modes import state

    if not state.grad or not any(is_tensor(leaf) and leaf.requires_grad for leaf in call.leaves):
        return custom.fun(*call.arguments(call.leaves))
    made = _node_class(custom.name).apply(custom, call, *call.leaves)
    return unflatten(call.result[0], iter(made))
