"""`Module`: parameters, buffers and sub-modules, as torch keeps, names and shows them."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from ..tensor.hooks import RemovableHandle
from ..tensor.modes import no_grad
from ..tensor.parameter import Parameter
from ..tensor.tensor import Tensor
from ..torch_types import Size, dtype as Dtype, tensor_type_name
from .hooks import BackwardHooks


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find, and what it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def type_of(value: object) -> str:
    """A value's type as torch's messages have it: a tensor's by its elements."""
    if isinstance(value, Tensor):
        return tensor_type_name(value._dtype)
    cls = type(value)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class Module:
    """The base of all layers and models: define `__init__` and `forward`.

    Attributes that are parameters, modules or registered buffers are found by `parameters()`, `state_dict()` and the like.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if args:
            raise TypeError(f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given")
        for name in ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks",
                     "_backward_pre_hooks"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_non_persistent", set())
        object.__setattr__(self, "training", True)

    def forward(self, *_inputs: Any) -> Any:
        """What the module computes; to be defined by each subclass."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        hooks = self.__dict__
        for hook in list(hooks["_forward_pre_hooks"].values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        watch = None
        if hooks["_backward_hooks"] or hooks["_backward_pre_hooks"]:
            watch = BackwardHooks(self, list(hooks["_backward_hooks"].values()), list(hooks["_backward_pre_hooks"].values()))
            args = watch.entered(args)
        result = self.forward(*args, **kwargs)
        for hook in list(hooks["_forward_hooks"].values()):
            changed = hook(self, args, result)
            if changed is not None:
                result = changed
        return result if watch is None else watch.left(result)

    # ------------------------------------------------------------------ registration
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None for a place that may get one.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: torch's, for names and values that do not fit.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name(name, "parameter", self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{type_of(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)")
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To express '{name}' "
                "as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but is not trained."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name(name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type_of(tensor)}' object to buffer '{name}' (torch Tensor or None required)")
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type_of(module)} is not a Module subclass")
        self._check_name(name, "module", self._modules)
        self._modules[name] = module

    add_module = register_module

    def _check_name(self, name: Any, what: str, there: Mapping[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {type(name).__name__}")
        if hasattr(self, name) and name not in there:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain "."' + (f", got: {name}" if what == "module" else ""))
        if not name:
            raise KeyError(f'{what} name can\'t be empty string ""')

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(table)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name)
            self.register_parameter(name, value)
        elif name in own.get("_parameters", ()):
            if value is not None:
                raise TypeError(f"cannot assign '{type_of(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name)
            self._modules[name] = value
        elif name in own.get("_modules", ()):
            if value is not None:
                raise TypeError(f"cannot assign '{type_of(value)}' as child module '{name}' (torch.nn.Module or None expected)")
            self._modules[name] = value
        elif name in own.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"cannot assign '{type_of(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)")
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str) -> None:
        for table in (self.__dict__, self._parameters, self._buffers, self._modules):
            table.pop(name, None)
        self._non_persistent.discard(name)

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    # ------------------------------------------------------------------ walking
    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their names; each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, prefix + ("." if prefix else "") + name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        return (module for _, module in self.named_children())

    def _named(self, table: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else iter([(prefix, self)])
        for path, module in modules:
            for name, item in getattr(module, table).items():
                if item is None or id(item) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(item))
                yield path + ("." if path else "") + name, item

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their names."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of that dotted name."""
        found: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(found, name):
                raise AttributeError(f"{type(found).__name__} has no attribute `{name}`")
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found  # type: ignore[no-any-return]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that dotted name."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
        found = getattr(owner, name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that dotted name."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return owner._buffers[name]  # type: ignore[return-value]

    # ------------------------------------------------------------------ state
    def state_dict(self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """All parameters and persistent buffers by name; they share memory with the module."""
        found: Any = OrderedDict() if destination is None else destination
        for table in (self._parameters, self._buffers):
            for name, item in table.items():
                if item is not None and name not in self._non_persistent:
                    found[prefix + name] = item if keep_vars else item.detach()
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return found  # type: ignore[no-any-return]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copy the tensors of `state_dict` to the parameters and buffers of those names.

        Raises:
            RuntimeError: names are missing or not expected (`strict`), or a shape differs.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = self.state_dict(keep_vars=True)
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems = []
        if strict and unexpected:
            problems.append("Unexpected key(s) in state_dict: {}. ".format(", ".join(f'"{name}"' for name in unexpected)))
        if strict and missing:
            problems.append("Missing key(s) in state_dict: {}. ".format(", ".join(f'"{name}"' for name in missing)))
        for name, target in own.items():
            if name in state_dict:
                problem = self._load_one(name, target, state_dict[name], assign)
                if problem:
                    problems.append(problem)
        if problems:
            raise RuntimeError("Error(s) in loading state_dict for {}:\n\t{}".format(type(self).__name__, "\n\t".join(problems)))
        return IncompatibleKeys(missing, unexpected)

    def _load_one(self, name: str, target: Any, given: Any, assign: bool) -> str:
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{name}", expected torch.Tensor or Tensor-like object from checkpoint but received '
                f"{type(given)}"
            )
        if given._shape != target._shape:
            return (
                f"size mismatch for {name}: copying a param with shape {Size(given._shape)} from checkpoint, the shape in current model is "
                f"{Size(target._shape)}."
            )
        if assign:
            path, _, last = name.rpartition(".")
            owner = self.get_submodule(path)
            replaced: Any = given
            if isinstance(target, Parameter) and not isinstance(given, Parameter):
                replaced = Parameter(given, target.requires_grad)
            setattr(owner, last, replaced)
            return ""
        with no_grad():
            target.copy_(given)
        return ""

    # ------------------------------------------------------------------ changing everything
    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, this one last."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, change: Callable[[Tensor], Tensor]) -> Self:
        for module in self.children():
            module._apply(change)
        for parameter in self._parameters.values():
            if parameter is not None:
                parameter.data = change(parameter.data)  # type: ignore[attr-defined]
                if parameter._grad is not None:
                    parameter._grad = change(parameter._grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = change(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Cast floating parameters and buffers to a dtype; devices other than the CPU are refused."""
        from ..tensor.create import tensor as make_tensor
        from ..torch_types import NAMES

        probe = make_tensor(0.0, dtype=NAMES["float32"]).to(*args, **kwargs)
        wanted = next((a for a in (*args, *kwargs.values()) if isinstance(a, (Dtype, Tensor))), None)
        if wanted is None:
            return self
        if not probe._dtype.is_floating_point:
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={probe._dtype}")
        return self._cast(probe._dtype)

    def _cast(self, dtype: Dtype) -> Self:
        return self._apply(lambda t: t.to(dtype) if t._dtype.is_floating_point else t)

    def _named_cast(self, name: str) -> Self:
        from ..torch_types import NAMES

        return self._cast(NAMES[name])

    def float(self) -> Self:
        """Floating parameters and buffers as float32."""
        return self._named_cast("float32")

    def double(self) -> Self:
        """Floating parameters and buffers as float64."""
        return self._named_cast("float64")

    def half(self) -> Self:
        """Floating parameters and buffers as float16."""
        return self._named_cast("float16")

    def type(self, dst_type: Any) -> Self:
        """All parameters and buffers as that type."""
        return self._apply(lambda t: t.type(dst_type))

    def cpu(self) -> Self:
        """The module: everything is on the CPU."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode, here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode, here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set the flag of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    # ------------------------------------------------------------------ hooks
    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after each `forward`; it may return another output."""
        return RemovableHandle(self.__dict__["_forward_hooks"], hook, prepend)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before each `forward`; it may return other arguments."""
        return RemovableHandle(self.__dict__["_forward_pre_hooks"], hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the inputs' gradients are known; it may return others for the inputs."""
        return RemovableHandle(self.__dict__["_backward_hooks"], hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's gradients are computed; it may return other gradients."""
        return RemovableHandle(self.__dict__["_backward_pre_hooks"], hook, prepend)

    # ------------------------------------------------------------------ text
    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What the module's text says between its parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        children = [f"({name}): " + _indented(repr(module)) for name, module in self._modules.items()]
        lines = extra_lines + children
        if not lines:
            return self._get_name() + "()"
        if len(extra_lines) == 1 and not children:
            return f"{self._get_name()}({extra_lines[0]})"
        return self._get_name() + "(\n  " + "\n  ".join(lines) + "\n)"

    __module__ = "torch.nn.modules.module"


def _indented(text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join(itertools.chain([first], ("  " + line for line in rest)))


def clear_grad(parameter: Tensor, set_to_none: bool) -> None:
    """Forget a leaf's gradient, or set it to zero in place (a copy, if the gradient has a graph)."""
    grad = parameter._grad
    if grad is None:
        return
    if set_to_none:
        parameter._grad = None
        return
    if grad.grad_fn is not None:
        grad.detach_()
    else:
        grad.requires_grad_(False)
    grad.zero_()
