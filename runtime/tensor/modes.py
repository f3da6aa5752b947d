"""Whether operations are recorded for gradients: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`."""
from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


RECORDING, PLAIN, INFERENCE, UNUSUAL = range(4)  # what results are: in the graph if an input is; never; inference tensors


class _State(threading.local):
    grad: bool = True
    inference: bool = False
    kind: int = RECORDING  # what follows from the two; `UNUSUAL`: where operations do not leave records
    anomaly: bool = False
    check_nan: bool = True

    def __init__(self) -> None:
        self.saved_hooks: list[tuple[Any, Any]] = []  # pairs of pack and unpack


    def refresh(self) -> None:
        """Say what kind of results there are, after any of the others has changed."""
        if self.saved_hooks or (self.grad and self.inference):
            self.kind = UNUSUAL
        else:
            self.kind = RECORDING if self.grad else INFERENCE if self.inference else PLAIN


state = _State()


def is_grad_enabled() -> bool:
    """Whether gradients are being recorded in this thread."""
    return state.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in inference mode."""
    return state.inference


class _Mode:
    """A context manager that decorates functions and generators, too; entered anew for each call."""

    _before: list[Any]

    def clone(self) -> _Mode:
        return type(self)()

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(self, *_error: object) -> None:
        raise NotImplementedError

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            return cast(F, self._generator(function))

        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return cast(F, within)

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The mode holds while the generator runs, and not while its user does."""

        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            try:
                with self.clone():
                    item = next(generator)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as error:
                        with self.clone():
                            item = generator.throw(error)
                    else:
                        with self.clone():
                            item = generator.send(sent)
            except StopIteration as stop:
                return stop.value

        return within


class _GradMode(_Mode):
    """Sets grad mode inside, and restores what it was."""

    _inside: bool

    if not TYPE_CHECKING:  # which takes whatever this gives for Any

        def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
            made = super().__new__(cls)
            return made if function is None else made(function)  # @no_grad without parentheses

    def __enter__(self) -> Self:
        self._before = state.grad  # type: ignore[assignment]
        state.grad = self._inside
        state.refresh()
        return self

    def __exit__(self, *_error: object) -> None:
        state.grad = self._before  # type: ignore[assignment]
        state.refresh()


class no_grad(_GradMode):
    """Operations inside are not recorded: their results do not require grad."""

    _inside = False


class enable_grad(_GradMode):
    """Operations inside are recorded, also within `no_grad`."""

    _inside = True


class set_grad_enabled(_Mode):
    """Sets grad mode at once; as a context manager or decorator, for the time of the block or call."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}")
        self._mode = mode
        self._outside = state.grad
        state.grad = mode
        state.refresh()

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self._mode)

    def __call__(self, function: F) -> F:
        state.grad = self._outside
        state.refresh()
        return super().__call__(function)

    def __enter__(self) -> Self:
        state.grad = self._mode
        state.refresh()
        return self

    def __exit__(self, *_error: object) -> None:
        state.grad = self._outside
        state.refresh()

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self._mode})"


class inference_mode(_Mode):
    """`no_grad`, and tensors made inside can never take part in a graph."""

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if isinstance(mode, bool):
            return made
        made._mode = True
        return made(mode)

    def __init__(self, mode: bool = True) -> None:
        self._mode = mode

    def clone(self) -> inference_mode:
        return inference_mode(self._mode)

    def __enter__(self) -> Self:
        self._outside = state.grad, state.inference
        state.inference = self._mode
        state.grad = not self._mode
        state.refresh()
        return self

    def __exit__(self, *_error: object) -> None:
        state.grad, state.inference = self._outside
        state.refresh()
