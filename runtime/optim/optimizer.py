"""What all optimisers share: parameter groups, state, `zero_grad`, `state_dict`."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from ..runtime.tensor.modes import enable_grad, no_grad
from ..runtime.tensor.tensor import Tensor

__all__ = ["Optimizer", "checked"]

Group = dict[str, Any]


def checked(name: str, value: float, allowed: bool) -> None:
    """Torch's complaint about a hyperparameter.

    Raises:
        ValueError: the value is not allowed.
    """
    if not allowed:
        raise ValueError(f"Invalid {name}: {value}")


class Optimizer:
    """Base of the optimisers. A subclass says how one parameter moves, in `update`.

    Attributes:
        param_groups: each a dict of its parameters and options.
        state: for each parameter, what the optimiser remembers of it.
        defaults: the options of a group that does not give its own.
    """

    def __init__(self, params: Any, defaults: Group) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                            f"{params.type()}")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own.

        Raises:
            TypeError, ValueError: not leaf tensors, or some are in another group.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                            "will change between runs. Please use a list instead.")
        params = [params] if isinstance(params, Tensor) else [p[1] if isinstance(p, tuple) else p for p in params]
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
            if not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if any(id(p) in known for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:
                    if param.grad.grad_fn is not None:
                        param.grad.detach_()
                    else:
                        param.grad.requires_grad_(False)
                    param.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient. `closure` computes the loss anew, and is what the call returns."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        if param.grad.is_sparse:
                            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
                        self.update(param, param.grad, group, self.state[param] if self.remembers(group) else {})
        return loss

    def remembers(self, group: Group) -> bool:
        """Whether parameters of a group have state."""
        return True

    def update(self, param: Any, grad: Any, group: Group, state: dict[str, Any]) -> None:
        """Move one parameter in place."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ saving
    def state_dict(self) -> dict[str, Any]:
        """State and options, with parameters as numbers in the order of the groups."""
        numbers: dict[int, int] = {}
        for param in chain.from_iterable(group["params"] for group in self.param_groups):
            numbers.setdefault(id(param), len(numbers))
        groups = [{**{k: v for k, v in group.items() if k != "params"}, "params": [numbers[id(p)] for p in group["params"]]}
                  for group in self.param_groups]
        return {"state": {numbers[id(p)]: state for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            ValueError: the groups, or their numbers of parameters, differ.
        """
        groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(new["params"]) != len(old["params"]) for new, old in zip(groups, self.param_groups, strict=True)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
        params: Iterable[Any] = chain.from_iterable(group["params"] for group in self.param_groups)
        by_number = dict(zip(chain.from_iterable(group["params"] for group in groups), params, strict=True))
        self.state = defaultdict(dict)
        for number, state in state_dict["state"].items():
            self.state[by_number[number]] = {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
        self.param_groups = [{**new, "params": old["params"]} for new, old in zip(groups, self.param_groups, strict=True)]
