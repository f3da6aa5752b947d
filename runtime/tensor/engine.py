"""The backward pass: torch's order, torch's checks, torch's hooks."""
from __future__ import annotations

import heapq
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..torch_types import Size, tensor_type_name
from .evaluate import evaluate
from .hooks import retain_grad
from .modes import set_grad_enabled, state
from .node import AccumulateGrad, Edge, Node, accumulated
from .records import Record
from .row import call
from .tensor import Tensor, gradient_edge
from .value import Value

CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
    "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you "
    "have to use this function, make sure to reset the .grad fields of your parameters to None after use to break the "
    "cycle and avoid the leak."
)


class Task(NamedTuple):
    """One backward pass.

    Attributes:
        capture: edges whose gradients are wanted; None: those of the leaves are accumulated.
        needed: the nodes that lead to a wanted gradient; None: all.
        stops: nodes below which the pass does not go.
    """

    keep_graph: bool
    capture: dict[Edge, list[int]] | None
    needed: set[Node] | None
    found: dict[int, Tensor]
    accumulate: bool
    reached: list[Tensor]
    stops: frozenset[Node] = frozenset()


def run(roots: Sequence[Edge], grads: Sequence[Tensor], *, keep_graph: bool, create_graph: bool,
        capture: Sequence[Edge] | None = None, accumulate: bool = True, through: bool = True) -> dict[int, Tensor]:
    """Walk the graph from `roots`; the gradients at the edges of `capture`, by position, those that were reached.

    Without `through` the pass ends at these edges, also where another one lies below.

    Raises:
        RuntimeError: torch's errors of the backward pass.
    """
    reachable = _reachable(root for root, _ in roots)
    wanted: dict[Edge, list[int]] | None = None
    needed = None
    if capture is not None:
        wanted = {}
        for position, edge in enumerate(capture):
            wanted.setdefault(edge, []).append(position)
        needed = _leading_to({node for node, _ in capture}, reachable)
    stops = frozenset() if through or capture is None else frozenset(node for node, _ in capture)
    task = Task(keep_graph, wanted, needed, {}, accumulate, [], stops)
    with set_grad_enabled(create_graph):
        _walk(roots, grads, reachable, task)
    evaluate([_value(tensor) for tensor in (*task.reached, *task.found.values())])
    return task.found


def gradients_at(root: Edge, grad: Tensor, edges: Sequence[Edge]) -> dict[int, Tensor]:
    """The recorded gradients that arrive at some edges, those that are reached, by position; nothing is accumulated or freed."""
    reachable = _reachable([root[0]])
    wanted: dict[Edge, list[int]] = {}
    for position, edge in enumerate(edges):
        wanted.setdefault(edge, []).append(position)
    task = Task(True, wanted, _leading_to({node for node, _ in edges}, reachable), {}, False, [])
    with set_grad_enabled(False):
        _walk([root], [grad], reachable, task)
    return task.found


def _value(tensor: Tensor) -> Value:
    return tensor._value


def _reachable(roots: Any) -> dict[Node, int]:
    """Every node below the roots, with how many edges lead to it."""
    uses: dict[Node, int] = {}
    stack = []
    for root in roots:
        if root not in uses:
            uses[root] = 0
            stack.append(root)
    while stack:
        for edge in stack.pop().edges:
            if edge is None:
                continue
            node = edge[0]
            if node in uses:
                uses[node] += 1
            else:
                uses[node] = 1
                stack.append(node)
    return uses


def _leading_to(targets: set[Node], reachable: dict[Node, int]) -> set[Node]:
    """The nodes from which a target can be reached, targets included."""
    users: dict[Node, list[Node]] = {}
    for node in reachable:
        for edge in node.edges:
            if edge is not None:
                users.setdefault(edge[0], []).append(node)
    leading = set(targets)
    stack = list(targets)
    while stack:
        for user in users.get(stack.pop(), ()):
            if user not in leading:
                leading.add(user)
                stack.append(user)
    return leading


def _walk(roots: Sequence[Edge], grads: Sequence[Tensor], uses: dict[Node, int], task: Task) -> None:
    buffers: dict[Node, list[Tensor | None]] = {}
    for (node, nr), grad in zip(roots, grads, strict=True):
        _add(buffers, node, nr, grad)
    order = 0  # of nodes with equal sequence numbers, the one that became ready first runs first
    ready: list[tuple[int, int, Node]] = []
    for node in dict.fromkeys(node for node, _ in roots):
        if uses[node] == 0:
            heapq.heappush(ready, (-node.sequence, order, node))
            order += 1
    while ready:
        _, _, node = heapq.heappop(ready)
        found = _run_node(node, buffers.pop(node, [None] * len(node.outputs)), task)
        for edge, arrived in zip(node.edges, found, strict=True):
            if edge is None:
                continue
            below, nr = edge
            if arrived is not None:
                _add(buffers, below, nr, arrived)
            uses[below] -= 1
            if uses[below] == 0:
                heapq.heappush(ready, (-below.sequence, order, below))
                order += 1


def _add(buffers: dict[Node, list[Tensor | None]], node: Node, nr: int, grad: Tensor) -> None:
    buffer = buffers.get(node)
    if buffer is None:
        buffer = buffers[node] = [None] * len(node.outputs)
    known = buffer[nr]
    buffer[nr] = grad if known is None else accumulated(known, grad)


def _run_node(node: Node, grads: list[Tensor | None], task: Task) -> Sequence[Tensor | None]:
    """Hooks, capture, the node itself, its checks."""
    nothing: Sequence[Tensor | None] = [None] * len(node.edges)
    if task.needed is not None and node not in task.needed:
        return nothing
    extras = node.extras
    arrived = list(grads)
    if extras is not None or isinstance(node, AccumulateGrad):
        _tensor_hooks(node, grads)
    if task.capture is not None:
        continues = _continues(node, task)
        for nr, grad in enumerate(arrived if continues else grads):  # torch's order
            for position in task.capture.get((node, nr), ()):
                if grad is not None and not task.accumulate:
                    task.found[position] = grad
        if not continues:
            return nothing
    if extras is not None and extras.pre_hooks:
        for hook in list(extras.pre_hooks.values()):
            returned = hook(tuple(grads))
            if returned is not None:
                grads = list(returned) if isinstance(returned, tuple) else [returned]
    if all(grad is None for grad in grads) and not getattr(node, "materializes", False):
        return nothing
    found = list(node.apply(grads))
    if isinstance(node, AccumulateGrad):
        if node.variable._grad is not None:
            task.reached.append(node.variable._grad)
    elif not task.keep_graph:
        node.release()
    found = _checked(node, found)
    if state.anomaly:
        _check_nan(node, found)
    if extras is not None and extras.post_hooks:
        for hook in list(extras.post_hooks.values()):
            returned = hook(tuple(found), tuple(grads))
            if returned is not None:
                found = list(returned) if isinstance(returned, tuple) else [returned]
    return found


def _check_nan(node: Node, grads: Sequence[Tensor | None]) -> None:
    """In anomaly mode: refuse gradients that are nan."""
    import numpy as np

    for k, grad in enumerate(grads):
        if state.check_nan and grad is not None and np.isnan(grad._array()).any():
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {k}th output.")


def _continues(node: Node, task: Task) -> bool:
    """Whether anything wanted lies below the node, or the node is a wanted leaf that accumulates."""
    assert task.needed is not None
    if isinstance(node, AccumulateGrad):
        return task.accumulate
    return node not in task.stops and any(edge is not None and edge[0] in task.needed for edge in node.edges)


def _tensor_hooks(node: Node, grads: list[Tensor | None]) -> None:
    for nr, grad in enumerate(grads):
        if grad is None:
            continue
        for hook in list(node.tensor_hooks_of(nr).values()):
            returned = hook(grad)
            if returned is not None:
                _check_hook_result(returned, grad, hook)
                grad = grads[nr] = returned
    if node.extras is not None:
        for nr, reference in node.extras.retains.items():
            tensor, grad = reference(), grads[nr]
            if tensor is None or grad is None:
                continue
            tensor._grad = call("clone", grad) if tensor._grad is None else accumulated(tensor._grad, grad)


def _check_hook_result(returned: Any, grad: Tensor, hook: Any) -> None:
    name = getattr(hook, "__name__", str(hook))
    if not isinstance(returned, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{_type_name(returned)}'")
    if returned._dtype is not grad._dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {tensor_type_name(grad._dtype)} got "
                           f"{tensor_type_name(returned._dtype)})")
    if returned._shape != grad._shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")


def _type_name(value: object) -> str:
    return type(value).__name__


def _checked(node: Node, grads: list[Any]) -> list[Tensor | None]:
    """Gradients of the shape and dtype that the receiving nodes expect; summed or cast where that is meant."""
    for k, (edge, grad) in enumerate(zip(node.edges, grads, strict=True)):
        if edge is None or grad is None:
            continue
        shape, dtype = edge[0].outputs[edge[1]]
        if grad._shape != shape:
            if not _expands(shape, grad._shape):
                raise RuntimeError(f"Function {node.name()} returned an invalid gradient at index {k} - got "
                                   f"{list(grad._shape)} but expected shape compatible with {list(shape)}")
            grads[k] = call("sum_to_size", grad, shape)
        if grad._dtype is not dtype:
            grads[k] = call("to", grads[k], dtype)
    return grads


def _expands(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    lead = len(wanted) - len(shape)
    return lead >= 0 and all(s in (1, w) for s, w in zip(shape, wanted[lead:], strict=True))


# ------------------------------------------------------------------------------------------------ what users call
def _roots(outputs: Sequence[Tensor]) -> list[Edge]:
    edges = []
    for k, output in enumerate(outputs):
        edge = gradient_edge(output)
        if edge is None:
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a grad_fn")
        edges.append(edge)
    return edges


def _make_grads(outputs: Sequence[Tensor], grads: Sequence[Tensor | None]) -> list[Tensor]:
    """The cotangents to start from: as given, or 1 for a scalar."""
    made: list[Any] = []
    if len(grads) < len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    for k, (out, grad) in enumerate(zip(outputs, grads, strict=False)):  # torch ignores gradients beyond the outputs
        if grad is None:
            if not out.requires_grad:
                made.append(None)
                continue
            if out.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not out._dtype.is_floating_point:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {out._dtype}")
            made.append(call("ones_like", out))
        elif isinstance(grad, Tensor):
            if grad._shape != out._shape:
                raise RuntimeError(f"Mismatch in shape: grad_output[{k}] has a shape of {Size(grad._shape)} and "
                                   f"output[{k}] has a shape of {Size(out._shape)}.")
            made.append(grad if grad._dtype is out._dtype else call("to", grad, out._dtype))
        else:
            raise TypeError(f"gradients can be either Tensors or None, but got {_type_name(grad)}")
    return made


def _tensors(given: Any) -> tuple[Any, ...]:
    return (given,) if isinstance(given, Tensor) else tuple(given)


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
             grad_variables: Any = None, inputs: Any = None) -> None:
    """Add the gradients of `tensors` with respect to the leaves of their graph to the leaves' `.grad`.

    Args:
        grad_tensors: for each tensor the cotangent, of its shape; None for scalars.
        retain_graph: keep what the graph saved, so that it can be walked again (default: `create_graph`).
        create_graph: record the computation of the gradients, so that they can be differentiated.
        inputs: accumulate into these tensors only.

    Raises:
        RuntimeError: as torch, in its words.
    """
    if inputs is not None:
        inputs = _tensors(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    outputs = _tensors(tensors)
    given = grad_variables if grad_tensors is None else grad_tensors
    grads = [None] * len(outputs) if given is None else list(_tensors(given))
    cotangents = _make_grads(outputs, grads)
    keep = create_graph if retain_graph is None else retain_graph
    if create_graph:
        warnings.warn(CYCLE, UserWarning, stacklevel=3)
    if inputs is None:
        run(_roots(outputs), cotangents, keep_graph=keep, create_graph=create_graph)
        return
    for tensor in inputs:
        retain_grad(tensor)
    run(_roots(outputs), cotangents, keep_graph=keep, create_graph=create_graph, capture=_input_edges(inputs))


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
         only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False,
         materialize_grads: bool = False) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` (weighted by `grad_outputs`) with respect to `inputs`; nothing is accumulated.

    Raises:
        RuntimeError: as torch, in its words.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                         "allow_unused=False.")
    allow = materialize_grads if allow_unused is None else allow_unused
    outs = _tensors(outputs)
    targets = _tensors(inputs)
    if not targets:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    grads = [None] * len(outs) if grad_outputs is None else list(_tensors(grad_outputs))
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outs, targets, grads, keep, create_graph, allow)
    record = getattr(outs[0], "_record", None) if len(outs) == 1 and grads == [None] and not create_graph else None
    if type(record) is Record and record.aval.needs:
        from .plan import gradients

        quick = gradients(outs[0], targets, keep)
        if quick is not None:
            return _results(targets, quick, allow, materialize_grads)
    cotangents = _make_grads(outs, grads)
    roots = _roots(outs)
    found = run(roots, cotangents, keep_graph=keep, create_graph=create_graph, capture=_input_edges(targets),
                accumulate=False)
    return _results(targets, found, allow, materialize_grads)


def _input_edges(targets: Sequence[Tensor]) -> list[Edge]:
    edges = []
    for target in targets:
        if not isinstance(target, Tensor):
            raise TypeError(f"all inputs have to be Tensors, but got {_type_name(target)}")
        edge = gradient_edge(target)
        if edge is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        edges.append(edge)
    return edges


def _results(targets: Sequence[Tensor], found: dict[int, Tensor], allow: bool, materialize: bool) -> tuple[Tensor | None, ...]:
    results: list[Tensor | None] = []
    for k, target in enumerate(targets):
        grad = found.get(k)
        if grad is None:
            if not allow:
                raise RuntimeError(f"The differentiated Tensor at index {k} appears to not have been used in the "
                                   "graph. Set allow_unused=True if this is the desired behavior.")
            if materialize:
                with set_grad_enabled(state.grad):
                    grad = call("zeros_like", target)
        results.append(grad)
    return tuple(results)


def _batched(outs: Sequence[Tensor], targets: Sequence[Tensor], grads: Sequence[Any], keep: bool, create_graph: bool, allow: bool
             ) -> tuple[Tensor | None, ...]:
    """A pass for each leading index of the cotangents, the results stacked."""
    if not all(g is None or g._shape for g in grads) or all(g is None for g in grads):
        raise ValueError("vmap(vjp, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input is a Tensor of dimensionality 0 "
                         "so expected in_dim to satisfy 0 <= in_dim < 0.")
    count = next(g._shape[0] for g in grads if g is not None)
    rows = []
    for k in range(count):
        parts = [None if g is None else call("select", g, 0, k) for g in grads]
        rows.append(grad(outs, targets, parts, retain_graph=keep or k < count - 1, create_graph=create_graph, allow_unused=allow))
    return tuple(None if column[0] is None else call("stack", list(column)) for column in zip(*rows, strict=True))
