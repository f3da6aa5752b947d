"""Recurrent layers: Elman's, gated recurrent units and long short-term memory, and single steps of them."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from ..tensor.functional import FUNCTIONAL as F
from ..tensor.row import CALLS, call
from ..tensor.table.recurrent import CELLS
from ..tensor.tensor import Tensor
from . import init
from .layers import _parameter
from .module import Module


def _draw(module: Module, width: int) -> None:
    bound = 1 / math.sqrt(width) if width > 0 else 0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def _zeros(like: Any, *shape: int) -> Any:
    return CALLS["zeros_like"](like).new_zeros(shape)


class RNNBase(Module):
    """Layers of one kind, one above the other, over sequences.

    Parameters are torch's, by name and in order: `weight_ih_l0` (gates * hidden, input), `weight_hh_l0` (gates * hidden, hidden),
    `bias_ih_l0`, `bias_hh_l0`, `weight_hr_l0` with projections, `..._reverse` for the other direction; all drawn uniformly within
    1 / sqrt(hidden_size).
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_options(dropout, bias, batch_first, input_size, hidden_size, num_layers, proj_size)
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        self._names: list[list[str]] = []
        rows, directions = CELLS[mode].gates * hidden_size, 1 + bidirectional
        out = proj_size or hidden_size
        for layer in range(num_layers):
            entering = out * directions if layer else input_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, entering), "weight_hh": (rows, out)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                names = {f"{name}_l{layer}{suffix}": shape for name, shape in shapes.items()}
                for name, shape in names.items():
                    self.register_parameter(name, _parameter(shape, dtype))
                self._names.append(list(names))
        self.reset_parameters()

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        _draw(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing: parameters need not lie together here."""

    def extra_repr(self) -> str:
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        shown = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *shown])

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Outputs of the last layer after each step, (steps, batch, width), and every layer's last state, (layers, batch, width).

        Args:
            input: (steps, batch, features), (batch, steps, features) with `batch_first`, or (steps, features).
            hx: the states before the first step, of every layer; zeros if None. Of an LSTM, a pair.
        """
        lone = self._check_ranks(input, hx)
        if lone:
            input = input.unsqueeze(0 if self.batch_first else 1)
        batch = input.shape[0 if self.batch_first else 1]
        wide: tuple[int, ...] = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        shapes = [(*wide[:2], self.proj_size or self.hidden_size), wide][: CELLS[self.mode].carried]
        if hx is None:
            states = [_zeros(input, *shape) for shape in shapes]
        else:
            states = list(hx) if len(shapes) > 1 else [hx]
            states = [state.unsqueeze(1) for state in states] if lone else states
        self._check_shapes(input, states, shapes)
        x, lasts = self._layers(input.transpose(0, 1) if self.batch_first else input, [state.unbind(0) for state in states])
        x = x.transpose(0, 1) if self.batch_first else x
        ends = [CALLS["stack"](list(parts), 0) for parts in zip(*lasts, strict=True)]
        if lone:
            x, ends = x.squeeze(0 if self.batch_first else 1), [end.squeeze(1) for end in ends]
        return x, tuple(ends) if len(ends) > 1 else ends[0]

    def _layers(self, x: Any, states: list[Any]) -> tuple[Any, list[list[Any]]]:
        lasts = []
        directions = 1 + self.bidirectional
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = F["dropout"](x, self.dropout, True)
            outs = []
            for direction in range(directions):
                k = layer * directions + direction
                weights = [getattr(self, name) for name in self._names[k]]
                first = [state[k] for state in states]
                out, *last = call("rnn_layer", x, (*first, *weights), self.mode, bool(direction), bool(self.proj_size))
                outs.append(out)
                lasts.append(last)
            x = CALLS["cat"](outs, -1) if self.bidirectional else outs[0]
        return x, lasts

    def _check_ranks(self, input: Any, hx: Any) -> bool:
        """Whether the input is a single sequence."""
        rank = input.dim()
        pair = CELLS[self.mode].carried > 1
        if rank not in (2, 3):
            what = f"{rank}D tensor" if self.mode.startswith("RNN") else f"{rank}D"
            raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {what} instead")
        if hx is not None:
            kind = "batched 3-D" if rank == 3 else "unbatched 2-D"
            if pair and any(state.dim() != rank for state in hx):
                raise RuntimeError(
                    f"For {kind} input, hx and cx should also be {rank}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
                )
            if not pair and hx.dim() != rank:
                raise RuntimeError(f"For {kind} input, hx should also be {rank}-D but got {hx.dim()}-D tensor")
        return bool(rank == 2)

    def _check_shapes(self, input: Any, states: list[Any], shapes: list[tuple[int, ...]]) -> None:
        dtype = getattr(self, self._names[0][0]).dtype
        if input.dtype != dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert input: input.to({dtype}), or convert "
                f"model: model.to({input.dtype})"
            )
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}")
        for k, (state, shape) in enumerate(zip(states, shapes, strict=True)):
            if tuple(state.shape) != shape:
                place = f"[{k}]" if len(shapes) > 1 else ""
                raise RuntimeError(f"Expected hidden{place} size {shape}, got {list(state.shape)}")


def _check_options(dropout: Any, bias: Any, batch_first: Any, input_size: Any, hidden_size: Any, num_layers: int, proj_size: int) -> None:
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being zeroed")
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers greater than 1, "
            f"but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value, kind in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
        ("input_size", input_size, int),
        ("hidden_size", hidden_size, int),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


_MODES = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}


def _without_projection(options: dict[str, Any]) -> None:
    if "proj_size" in options:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """`h = tanh(W_ih x + b_ih + W_hh h + b_hh)` (Elman 1990), or relu instead of tanh."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _without_projection(kwargs)
        nonlinearity = args[3] if len(args) > 3 else kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in _MODES:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(_MODES[nonlinearity], *args[:3], *args[4:], **kwargs)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """`h = (1 - z) n + z h` with `z`, `r` sigmoids and `n = tanh(W_in x + b_in + r (W_hn h + b_hn))` (Cho et al. 2014)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _without_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """`c = f c + i g`, `h = o tanh(c)` with gates `i`, `f`, `o` and `g = tanh(...)` (Hochreiter and Schmidhuber 1997)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class RNNCellBase(Module):
    """One step of a recurrent layer: (batch, features) and the state before it -> the state after it."""

    _mode: ClassVar[str]

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = CELLS[self._mode].gates * hidden_size
        self.weight_ih, self.weight_hh = (_parameter((rows, size), dtype) for size in (input_size, hidden_size))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, _parameter((rows,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        _draw(self, self.hidden_size)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias is True else f", bias={self.bias}")
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The state after this step; of an LSTM, a pair."""
        name, count = type(self).__name__, CELLS[self._mode].carried
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if count > 1 and isinstance(hx, Tensor):
            raise TypeError("lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, not Tensor")
        states = [] if hx is None else list(hx) if count > 1 else [hx]
        for k, state in enumerate(states):
            if state.dim() not in (1, 2):
                what = f"hx[{k}]" if count > 1 else "hidden"
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {state.dim()}D instead")
        lone = input.dim() == 1
        if lone:
            input, states = input.unsqueeze(0), [state.unsqueeze(0) for state in states]
        if not states:
            states = [_zeros(input, input.shape[0], self.hidden_size)] * count
        self._check_sizes(input, states)
        after = self._step(F["linear"](input, self.weight_ih, self.bias_ih), F["linear"](states[0], self.weight_hh, self.bias_hh), states)
        after = [state.squeeze(0) for state in after] if lone else after
        return tuple(after) if count > 1 else after[0]

    def _check_sizes(self, input: Any, states: list[Any]) -> None:
        if input.shape[1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {input.shape[1]} expected {self.input_size}")
        for k, state in enumerate(states):
            if state.shape[0] != input.shape[0]:
                raise RuntimeError(f"Input batch size {input.shape[0]} doesn't match hidden{k} batch size {state.shape[0]}")
            if state.shape[1] != self.hidden_size:
                raise RuntimeError(f"hidden{k} has inconsistent hidden_size: got {state.shape[1]}, expected {self.hidden_size}")

    def _step(self, x: Any, h: Any, states: list[Any]) -> list[Any]:
        raise NotImplementedError


class RNNCell(RNNCellBase):
    """A step of `RNN`."""

    _mode = "RNN_TANH"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _step(self, x: Any, h: Any, states: list[Any]) -> list[Any]:
        if self.nonlinearity not in _MODES:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return [CALLS[self.nonlinearity](x + h)]


class GRUCell(RNNCellBase):
    """A step of `GRU`."""

    _mode = "GRU"

    def _step(self, x: Any, h: Any, states: list[Any]) -> list[Any]:
        (reset, update, new), (reset_h, update_h, new_h) = x.chunk(3, 1), h.chunk(3, 1)
        candidate = (new + (reset + reset_h).sigmoid() * new_h).tanh()
        return [(states[0] - candidate) * (update + update_h).sigmoid() + candidate]


class LSTMCell(RNNCellBase):
    """A step of `LSTM`."""

    _mode = "LSTM"

    def _step(self, x: Any, h: Any, states: list[Any]) -> list[Any]:
        enter, forget, candidate, leave = (x + h).chunk(4, 1)
        cell = forget.sigmoid() * states[1] + enter.sigmoid() * candidate.tanh()
        return [leave.sigmoid() * cell.tanh(), cell]


RECURRENT: dict[str, type[Module]] = {made.__name__: made for made in (RNNBase, RNN, GRU, LSTM, RNNCellBase, RNNCell, GRUCell, LSTMCell)}
