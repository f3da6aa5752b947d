"""Schedules that let the learning rate rise and fall, and the momentum fall and rise with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from .optimizer import Optimizer
from .schedules import LRScheduler


def _for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, param_groups has {count}."
        )
    return list(value)


class _Cycle(LRScheduler):
    """Moves the momentum, or the first of two betas, too."""

    cycle_momentum: bool
    use_beta1: bool

    def _start_momentum(self, optimizer: Optimizer, lowest: Any, highest: Any, resumed: bool) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if not self.cycle_momentum:
            return
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        self.use_beta1 = "betas" in optimizer.defaults
        self.base_momentums = _for_each_group("base_momentum", optimizer, lowest)
        self.max_momentums = _for_each_group("max_momentum", optimizer, highest)
        if resumed:
            return
        for low, high, group in zip(self.base_momentums, self.max_momentums, optimizer.param_groups, strict=True):
            self._set_momentum(group, high)
            group["max_momentum"], group["base_momentum"] = high, low

    def _set_momentum(self, group: dict[str, Any], value: Any) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class OneCycleLR(_Cycle):
    """Up to `max_lr`, down again, and on to a rate far below the initial one. Source: Smith & Topin 2017.

    Raises:
        ValueError: options that do not fit, in torch's words; a step after the last.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch} if total_steps is None else {"total_steps": total_steps}
        for name, count in counts.items():
            if not isinstance(count, int) or count <= 0:
                raise ValueError(f"Expected positive integer {name}, but got {count}")
        self.total_steps = math.prod(count for count in counts.values() if count is not None)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        rise = pct_start * self.total_steps
        last = self.total_steps - 1
        low, high = "base_momentum", "max_momentum"
        self._phases = [(rise - 1, "initial_lr", "max_lr", high, low)]  # the last step, rates and momenta at its ends
        if three_phase:
            self._phases += [(2 * rise - 2, "max_lr", "initial_lr", low, high), (last, "initial_lr", "min_lr", high, high)]
        else:
            self._phases += [(last, "max_lr", "min_lr", low, high)]
        peaks = _for_each_group("max_lr", optimizer, max_lr)
        self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch != -1)
        for peak, group in zip(peaks, optimizer.param_groups, strict=True) if last_epoch == -1 else ():
            group["initial_lr"], group["max_lr"] = peak / div_factor, peak
            group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}")
        count = len(self._phases)
        k = next((k for k, phase in enumerate(self._phases) if self.last_epoch <= phase[0]), count - 1)
        end, first, last, first_momentum, last_momentum = self._phases[k]
        start = self._phases[k - 1][0] if k else 0.0
        done = (self.last_epoch - start) / (end - start)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                self._set_momentum(group, self._between(group[first_momentum], group[last_momentum], done))
        return [self._between(group[first], group[last], done) for group in self.optimizer.param_groups]

    def _between(self, start: Any, end: Any, done: float) -> Any:
        if self.anneal_strategy == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)


class CyclicLR(_Cycle):
    """Between two rates, up and down again, with heights that may shrink. Source: Smith 2017.

    Raises:
        ValueError: options that do not fit, in torch's words.
    """

    _SCALES: ClassVar[dict[str, tuple[str, Callable[[float, float], float]]]] = {  # what counts, and the height of gamma and the count
        "triangular": ("cycle", lambda gamma, x: 1.0),
        "triangular2": ("cycle", lambda gamma, x: 1 / (2.0 ** (x - 1))),
        "exp_range": ("iterations", lambda gamma, x: gamma**x),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.cycle_momentum = cycle_momentum
        lowest = _for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(lowest, optimizer.param_groups, strict=True):
                group["lr"] = lr
        self.max_lrs = _for_each_group("max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        if mode not in self._SCALES and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode, self.gamma, self._scale = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else self._SCALES[mode][0]
        self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch != -1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, by its number or the number of the step."""
        return self._SCALES[self.mode][1](self.gamma, x) if self._scale is None else self._scale(x)

    def get_lr(self) -> list[Any]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for low, high, group in zip(self.base_momentums, self.max_momentums, self.optimizer.param_groups, strict=True):
                self._set_momentum(group, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]
