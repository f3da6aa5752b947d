"""Modules without parameters of their own: a function of `nn.functional` with its options, one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..tensor.functional import FUNCTIONAL
from ..tensor.row import CALLS
from ..tensor.tensor import Tensor
from .module import Module


class FunctionModule(Module):
    """A module that calls a function with the options it was made with.

    Attributes:
        _function: called with the module's inputs and the options by name.
        _options: names and defaults of the constructor's parameters, in order.
        _shown: which of them the text shows: names, `name?` only if true; `*name` without the name; `-` nothing.
        _in_training: the function also takes `training`.
    """

    _function: Callable[..., Any]
    _options: ClassVar[dict[str, Any]] = {}
    _shown: tuple[str, ...] = ()
    _in_training = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        names = list(self._options)
        if len(args) > len(names):
            raise TypeError(
                f"{type(self).__name__}.__init__() takes from 1 to {len(names) + 1} positional arguments but {len(args) + 1} were given"
            )
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in self._options:
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'")
            given[name] = value
        for name, value in {**self._options, **given}.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            elif value is None and name in ("weight", "pos_weight"):
                self.register_buffer(name, None)
            else:
                setattr(self, name, value)
        self._check()

    def _check(self) -> None:
        """Refuse options that do not fit."""

    def _call_options(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self._options}
        return options | {"training": self.training} if self._in_training else options

    def forward(self, *inputs: Any) -> Any:
        """The function of the inputs."""
        return type(self)._function(*inputs, **self._call_options())

    def extra_repr(self) -> str:
        parts = []
        for item in self._shown:
            name = item.strip("*?")
            value = getattr(self, name)
            if item.endswith("?") and not value:
                continue
            parts.append(str(value) if item.startswith("*") else f"{name}={value!r}")
        return ", ".join(parts)


MODULES: dict[str, type[Module]] = {}


def _module(
    name: str,
    function: Callable[..., Any],
    shown: str = "",
    *,
    base: type[FunctionModule] = FunctionModule,
    training: bool = False,
    **options: Any,
) -> None:
    MODULES[name] = type(
        name,
        (base,),
        {
            "__module__": "torch.nn.modules",
            "__doc__": f"`nn.functional.{getattr(function, '__name__', name)}` as a module.",
            "_function": staticmethod(function),
            "_options": options,
            "_shown": tuple(shown.split()),
            "_in_training": training,
        },
    )


F = FUNCTIONAL
for _name, _function in (
    ("ReLU", "relu"),
    ("ReLU6", "relu6"),
    ("SELU", "selu"),
    ("SiLU", "silu"),
    ("Mish", "mish"),
    ("Hardsigmoid", "hardsigmoid"),
    ("Hardswish", "hardswish"),
):
    _module(_name, F[_function], "inplace?", inplace=False)
_module("LeakyReLU", F["leaky_relu"], "negative_slope inplace?", negative_slope=0.01, inplace=False)
_module("ELU", F["elu"], "alpha inplace?", alpha=1.0, inplace=False)
_module("CELU", F["celu"], "alpha inplace?", alpha=1.0, inplace=False)
_module("GELU", F["gelu"], "approximate", approximate="none")
_module("Hardtanh", F["hardtanh"], "min_val max_val inplace?", min_val=-1.0, max_val=1.0, inplace=False)
_module("Softplus", F["softplus"], "beta threshold", beta=1.0, threshold=20.0)
_module("Hardshrink", F["hardshrink"], "*lambd", lambd=0.5)
_module("Softshrink", F["softshrink"], "*lambd", lambd=0.5)
_module("Threshold", F["threshold"], "threshold value inplace?", threshold=0.0, value=0.0, inplace=False)
_module("RReLU", F["rrelu"], "lower upper inplace?", training=True, lower=1.0 / 8, upper=1.0 / 3, inplace=False)
for _name, _function in (
    ("Sigmoid", "sigmoid"),
    ("Tanh", "tanh"),
    ("Softsign", "softsign"),
    ("Tanhshrink", "tanhshrink"),
    ("LogSigmoid", "logsigmoid"),
):
    _module(_name, F[_function])
_module("GLU", F["glu"], "dim", dim=-1)
for _name, _function in (("Softmin", "softmin"), ("Softmax", "softmax"), ("LogSoftmax", "log_softmax")):
    _module(_name, F[_function], "dim", dim=None)
_module("Softmax2d", lambda input: F["softmax"](input, -3))


class _Dropout(FunctionModule):
    """Checks the probability when it is made."""

    p: float

    def _check(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {self.p}")


for _name, _function in (
    ("Dropout", "dropout"),
    ("Dropout1d", "dropout1d"),
    ("Dropout2d", "dropout2d"),
    ("Dropout3d", "dropout3d"),
    ("AlphaDropout", "alpha_dropout"),
    ("FeatureAlphaDropout", "feature_alpha_dropout"),
):
    _module(_name, F[_function], "p inplace", base=_Dropout, training=True, p=0.5, inplace=False)

# ---------------------------------------------------------------- losses and distances
_OLD = {"size_average": None, "reduce": None, "reduction": "mean"}


class _Loss(FunctionModule):
    """Reductions of old are brought to the new names when the loss is made."""

    def _check(self) -> None:
        from ..tensor.table.losses import reduction_of

        if "size_average" in self._options:
            size_average, reduce = self.__dict__.get("size_average"), self.__dict__.get("reduce")
            if size_average is not None or reduce is not None:
                self.reduction = reduction_of("mean", size_average, reduce)
                self.size_average = self.reduce = None


def _loss(name: str, function: str, **options: Any) -> None:
    _module(name, F[function], base=_Loss, **options)


_loss("MSELoss", "mse_loss", **_OLD)
_loss("L1Loss", "l1_loss", **_OLD)
_loss("SmoothL1Loss", "smooth_l1_loss", **_OLD, beta=1.0)
_loss("HuberLoss", "huber_loss", reduction="mean", delta=1.0)
_loss("SoftMarginLoss", "soft_margin_loss", **_OLD)
_loss("NLLLoss", "nll_loss", weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean")
_loss(
    "CrossEntropyLoss",
    "cross_entropy",
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
)
_loss("BCELoss", "binary_cross_entropy", weight=None, **_OLD)
_loss("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", weight=None, **_OLD, pos_weight=None)
_loss("KLDivLoss", "kl_div", **_OLD, log_target=False)
_loss("PoissonNLLLoss", "poisson_nll_loss", log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean")
_loss("GaussianNLLLoss", "gaussian_nll_loss", full=False, eps=1e-6, reduction="mean")
_loss("HingeEmbeddingLoss", "hinge_embedding_loss", margin=1.0, **_OLD)
_loss("MarginRankingLoss", "margin_ranking_loss", margin=0.0, **_OLD)
_loss("CosineEmbeddingLoss", "cosine_embedding_loss", margin=0.0, **_OLD)
_loss("TripletMarginLoss", "triplet_margin_loss", margin=1.0, p=2.0, eps=1e-6, swap=False, **_OLD)
_loss("MultiMarginLoss", "multi_margin_loss", p=1, margin=1.0, weight=None, **_OLD)
_loss("MultiLabelMarginLoss", "multilabel_margin_loss", **_OLD)
_loss("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss", weight=None, **_OLD)
_module(
    "TripletMarginWithDistanceLoss",
    F["triplet_margin_with_distance_loss"],
    distance_function=None,
    margin=1.0,
    swap=False,
    reduction="mean",
)
_module("CosineSimilarity", F["cosine_similarity"], dim=1, eps=1e-8)
_module("PairwiseDistance", F["pairwise_distance"], p=2.0, eps=1e-6, keepdim=False)


# ---------------------------------------------------------------- windows and shapes
class _Pool(FunctionModule):
    """Windows stand side by side unless a stride is given."""

    kernel_size: Any
    stride: Any

    def _check(self) -> None:
        if self.stride is None:
            self.stride = self.kernel_size


class _AveragePool(_Pool):
    """Of one dimension, torch keeps the options as tuples."""

    def _check(self) -> None:
        super()._check()
        if type(self).__name__ == "AvgPool1d":
            for name in ("kernel_size", "stride", "padding"):
                value = getattr(self, name)
                setattr(self, name, value if isinstance(value, tuple) else (value,))


class _Pad(FunctionModule):
    """A number of elements for every side, or one number for each."""

    _mode = "constant"
    padding: Any

    def _check(self) -> None:
        dimensions = int(type(self).__name__[-2]) if type(self).__name__[-2].isdigit() else 1
        padding = self.padding
        self.padding = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * dimensions)

    def forward(self, input: Any) -> Any:
        """The padded input."""
        return F["pad"](input, self.padding, self._mode, getattr(self, "value", None))


_module("Flatten", CALLS["flatten"], "start_dim end_dim", start_dim=1, end_dim=-1)
_module("LocalResponseNorm", F["local_response_norm"], "*size alpha beta k", size=1, alpha=1e-4, beta=0.75, k=1.0)

_module("Unfold", F["unfold"], "kernel_size dilation padding stride", kernel_size=None, dilation=1, padding=0, stride=1)
_module("Fold", F["fold"], "output_size kernel_size dilation padding stride", output_size=None, kernel_size=None, dilation=1, padding=0,
        stride=1)
_module("PixelShuffle", F["pixel_shuffle"], "upscale_factor", upscale_factor=None)
_module("PixelUnshuffle", F["pixel_unshuffle"], "downscale_factor", downscale_factor=None)


class _Upsample(FunctionModule):
    """Shows the scale or the size, whichever was given."""

    scale_factor: Any
    size: Any
    mode: str

    def _check(self) -> None:
        if isinstance(self.scale_factor, (tuple, list)):
            self.scale_factor = tuple(float(v) for v in self.scale_factor)
        elif self.scale_factor is not None:
            self.scale_factor = float(self.scale_factor)

    def extra_repr(self) -> str:
        shown = f"scale_factor={self.scale_factor!r}" if self.scale_factor is not None else f"size={self.size!r}"
        return f"{shown}, mode={self.mode!r}"


_module("Upsample", F["interpolate"], base=_Upsample, size=None, scale_factor=None, mode="nearest", align_corners=None,
        recompute_scale_factor=None)

for _dimensions in (1, 2, 3):
    _module(
        f"MaxPool{_dimensions}d",
        F[f"max_pool{_dimensions}d"],
        "kernel_size stride padding dilation ceil_mode",
        base=_Pool,
        kernel_size=None,
        stride=None,
        padding=0,
        dilation=1,
        return_indices=False,
        ceil_mode=False,
    )
    _options: dict[str, Any] = {"divisor_override": None} if _dimensions > 1 else {}
    _module(
        f"AvgPool{_dimensions}d",
        F[f"avg_pool{_dimensions}d"],
        "kernel_size stride padding",
        base=_AveragePool,
        kernel_size=None,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        **_options,
    )
    for _name, _function in (("AdaptiveAvgPool", "adaptive_avg_pool"), ("AdaptiveMaxPool", "adaptive_max_pool")):
        _module(f"{_name}{_dimensions}d", F[f"{_function}{_dimensions}d"], "output_size", output_size=None)
    for _name, _mode in (("Zero", "constant"), ("Reflection", "reflect"), ("Replication", "replicate"), ("Circular", "circular")):
        _module(f"{_name}Pad{_dimensions}d", F["pad"], "*padding", base=_Pad, padding=0)
        MODULES[f"{_name}Pad{_dimensions}d"]._mode = _mode  # type: ignore[attr-defined]
    _module(f"ConstantPad{_dimensions}d", F["pad"], "padding value", base=_Pad, padding=0, value=0.0)


class Identity(Module):
    """The input, whatever the arguments of the constructor were."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Unflatten(Module):
    """One axis split into several."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Any) -> Any:
        """The input with the axis split."""
        return CALLS["unflatten"](input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


MODULES |= {"Identity": Identity, "Unflatten": Unflatten}
