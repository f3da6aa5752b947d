"""`functional_call`: a module's result with other parameters and buffers than its own."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["functional_call", "stack_module_state"]


def functional_call(module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *,
                    tie_weights: bool = True, strict: bool = False) -> Any:
    """`module(*args, **kwargs)` with the tensors of a dict (or of several) in place of those of these names.

    Raises:
        RuntimeError: with `strict`, names are missing or unknown.
    """
    dicts = parameter_and_buffer_dicts
    if isinstance(dicts, dict):
        tensors = dict(dicts)
    elif isinstance(dicts, Sequence):
        if not all(isinstance(one, dict) for one in dicts):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        names = [name for one in dicts for name in one]
        repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries, behavior of functional call is ambiguous")
        tensors = {name: tensor for one in dicts for name, tensor in one.items()}
    else:
        raise ValueError("Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
                         f"{type(dicts)}")
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, tensors, tie_weights, strict):
        return module(*given, **(kwargs or {}))


def _places(module: Any) -> dict[str, tuple[dict[str, Any], str]]:
    """For each qualified name the table that holds the tensor, and its name there; tied tensors under every name."""
    found = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        for table in (owner._parameters, owner._buffers):
            for name in table:
                found[f"{prefix}.{name}" if prefix else name] = (table, name)
    return found


@contextmanager
def _replaced(module: Any, tensors: dict[str, Any], tie_weights: bool, strict: bool) -> Iterator[None]:
    places = _places(module)
    unknown = [name for name in tensors if name not in places]
    missing = [name for name, (table, key) in places.items() if name not in tensors and table[key] is not None]
    if strict and (unknown or missing):
        parts = [f"{what} key(s): {', '.join(map(repr, sorted(names)))}."
                 for what, names in (("Unexpected", unknown), ("Missing", missing)) if names]
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(parts))
    wanted = {name: tensor for name, tensor in tensors.items() if name in places}
    if tie_weights:
        of_tensor = {id(places[name][0][places[name][1]]): tensor for name, tensor in wanted.items()}
        for name, (table, key) in places.items():
            if name not in wanted and table[key] is not None and id(table[key]) in of_tensor:
                wanted[name] = of_tensor[id(table[key])]
    before = [(*places[name], places[name][0][places[name][1]]) for name in wanted]
    try:
        for name, tensor in wanted.items():
            table, key = places[name]
            table[key] = tensor
        yield
    finally:
        for table, key, tensor in before:
            table[key] = tensor


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of modules of one kind, each stacked along a new first axis: `(parameters, buffers)`."""
    from ..tensor.row import call

    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    stacked: list[dict[str, Any]] = []
    for method in ("named_parameters", "named_buffers"):
        tables = [dict(getattr(model, method)()) for model in models]
        made = {name: call("stack", [table[name].detach() for table in tables]) for name in tables[0]}
        for name, tensor in made.items():
            if tables[0][name].requires_grad:
                tensor.requires_grad_()
        stacked.append(made)
    return stacked[0], stacked[1]
