"""The base of all optimisers: parameter groups, state, and updates as recorded programs."""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from ...compiler.build import broadcast_to, cast
from ...compiler.ir import Node
from ..modules.module import clear_grad, type_of
from ..tensor.hooks import RemovableHandle
from ..tensor.modes import enable_grad, no_grad
from ..tensor.tensor import Tensor
from ..tensor.value import Recipe
from .steps import Asked, take


class Update(Recipe):
    """One optimiser's formula: from parameter, gradient and state to the new parameter and state.

    Attributes:
        formula: `(p, g, state, numbers, flags) -> {"param": node, state name: node, ...}`; `state` and `numbers` give nodes of
            the parameter's shape by name, `flags` is a frozenset of names.

    The inputs are the parameter, its gradient, the state, the numbers; the parameters are the names of the state, those of the
    numbers, the flags, and the name of each output.
    """

    __slots__ = ("formula",)

    def __init__(self, formula: Callable[..., dict[str, Node]]) -> None:
        self.formula = formula

    def emit(self, nodes: Any, masks: Any, params: tuple[Any, ...], index: int) -> tuple[Node, None]:
        state_names, number_names, flags, outputs = params
        p, g, *rest = nodes
        dtypes = dict(zip(outputs, (node.dtype for node in (p, *rest)), strict=False))  # a state keeps its own, as in torch
        state = {name: cast(node, p.dtype) for name, node in zip(state_names, rest, strict=False)}
        numbers = {name: broadcast_to(node, p.shape) for name, node in zip(number_names, rest[len(state_names) :], strict=True)}
        return cast(self.formula(p, g, state, numbers, flags)[outputs[index]], dtypes[outputs[index]]), None


def as_float(value: Any) -> float:
    """A hyperparameter as a number; it may be a tensor of one element."""
    return float(value.item()) if isinstance(value, Tensor) else float(value)


class Optimizer:
    """Parameters in groups with options of their own, and what is remembered of each parameter.

    Subclasses give `defaults` and define `step`.

    Attributes:
        param_groups: dictionaries with "params" and the options.
        state: for each parameter, a dictionary.
        defaults: the options of groups that do not give their own.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got {type_of(params)}")
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._post_hooks: OrderedDict[int, Any] = OrderedDict()
        given = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own.

        Raises:
            TypeError, ValueError: torch's, for what cannot be optimised.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets will change "
                "between runs. Please use a list instead."
            )
        found, names = [], []
        for item in params:
            if isinstance(item, tuple):
                names.append(item[0])
                item = item[1]
            if not isinstance(item, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type_of(item)}")
            if not (item.is_leaf or (item._meta is not None and item._meta.retains_grad)):
                raise ValueError("can't optimize a non-leaf Tensor")
            found.append(item)
        group["params"] = found
        if names:
            if len(names) != len(found):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            group["param_names"] = names
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        ids = [id(p) for p in found]
        if len(ids) != len(set(ids)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; see "
                "github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        if set(ids) & {id(p) for g in self.param_groups for p in g["params"]}:
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero in place."""
        for group in self.param_groups:
            for parameter in group["params"]:
                clear_grad(parameter, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; `closure` computes the loss anew and is called first, if given."""
        raise NotImplementedError

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """The state by number of the parameter, and the groups with numbers in place of parameters."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            groups.append(
                {**{key: value for key, value in group.items() if key != "params"}, "params": [numbers[id(p)] for p in group["params"]]}
            )
        state = {(numbers[id(key)] if isinstance(key, Tensor) else key): value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    @no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options from another optimiser of as many parameters.

        Raises:
            ValueError: the groups do not fit.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(self.param_groups, saved, strict=True)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
        own = chain.from_iterable(group["params"] for group in self.param_groups)
        keys = chain.from_iterable(group["params"] for group in saved)
        parameters = dict(zip(keys, own, strict=True))
        self.state = defaultdict(dict)
        for key, value in state_dict["state"].items():
            parameter = parameters.get(key)
            if parameter is None:
                self.state[key] = value
            else:
                self.state[parameter] = {name: _adopted(name, item, parameter) for name, item in value.items()}
        self.param_groups = [
            {**deepcopy({k: v for k, v in new.items() if k != "params"}), "params": group["params"]}
            for group, new in zip(self.param_groups, saved, strict=True)
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pre_hooks, self._post_hooks = OrderedDict(), OrderedDict()

    # ------------------------------------------------------------------ hooks
    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return RemovableHandle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return RemovableHandle(self._post_hooks, hook)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for k, group in enumerate(self.param_groups):
            text += f"\nParameter Group {k}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"

    __module__ = "torch.optim.optimizer"


def _adopted(name: str, item: Any, parameter: Tensor) -> Any:
    """A copy of a state's tensor, in the dtype of the parameter unless it counts steps."""
    if not isinstance(item, Tensor):
        return deepcopy(item)
    copied: Any = item.detach().clone()
    return copied if name == "step" or not parameter._dtype.is_floating_point else copied.to(parameter._dtype)


class FormulaOptimizer(Optimizer):
    """An optimiser whose step is a formula for each parameter by itself.

    Attributes:
        update: the formula.
    """

    update: Update

    def begin(self, parameter: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Make the state of a parameter that is updated for the first time."""

    def arguments(
        self, parameter: Tensor, group: dict[str, Any], state: dict[str, Any]
    ) -> tuple[Iterable[str], dict[str, float], set[str]]:
        """The names of the state that the formula changes, its numbers, its flags; counts the step."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; the loss that `closure` returns, if given."""
        for hook in list(self._pre_hooks.values()):
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            take(self.update, [one for group in self.param_groups for one in self.asked(group)])
        for hook in list(self._post_hooks.values()):
            hook(self, (closure,), {})
        return loss

    def asked(self, group: dict[str, Any]) -> list[Asked]:
        """The updates of a group's parameters."""
        return [self._one(p, group) for p in group["params"] if p._grad is not None]

    def _one(self, parameter: Tensor, group: dict[str, Any]) -> Asked:
        state = self.state[parameter]
        if not state:
            self.begin(parameter, group, state)
        names, numbers, flags = self.arguments(parameter, group, state)
        common(group, numbers, flags)
        assert parameter._grad is not None
        return Asked(parameter, parameter._grad, {name: state[name] for name in names}, numbers, frozenset(flags))


def common(group: dict[str, Any], numbers: dict[str, float], flags: set[str]) -> None:
    """Add what a group's options say to all formulas."""
    if group.get("maximize"):
        flags.add("maximize")
    if group.get("weight_decay"):
        numbers["weight_decay"] = as_float(group["weight_decay"])
        flags.add("decay")
