"""Leaf types of the torch-shaped face: dtypes and their promotion, sizes, devices, and printing.

Nothing here knows about tensors or gradients; everything works on NumPy arrays and plain values.
"""

from .dtypes import (
    NAMES,
    as_dtype,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    scalar_type_name,
    set_default_dtype,
    supported_dtypes,
    tensor_type_name,
    to_numpy_dtype,
)
from .limits import finfo, iinfo
from .printing import (
    PrintOptions,
    format_parameter,
    format_spec,
    format_tensor,
    get_printoptions,
    printoptions,
    set_printoptions,
)
from .promotion import Category, can_cast, promote_types, result_dtype, result_type, scalar_dtype
from .size import (
    CPU,
    Size,
    as_device,
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    layout,
    memory_format,
    preserve_format,
    strided,
)

__all__ = [
    "CPU",
    "NAMES",
    "Category",
    "PrintOptions",
    "Size",
    "as_device",
    "as_dtype",
    "can_cast",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "device",
    "dtype",
    "finfo",
    "format_parameter",
    "format_spec",
    "format_tensor",
    "from_numpy_dtype",
    "get_default_dtype",
    "get_printoptions",
    "iinfo",
    "layout",
    "memory_format",
    "preserve_format",
    "printoptions",
    "promote_types",
    "result_dtype",
    "result_type",
    "scalar_dtype",
    "scalar_type_name",
    "set_default_dtype",
    "set_printoptions",
    "strided",
    "supported_dtypes",
    "tensor_type_name",
    "to_numpy_dtype",
]
