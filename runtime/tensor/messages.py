"""Errors that several operations raise in torch's words."""
from __future__ import annotations

from ..torch_types import dtype as Dtype, scalar_type_name


def not_implemented(kernel: str, dtype: Dtype) -> NotImplementedError:
    """An operation that has no kernel for a dtype."""
    return NotImplementedError(f'"{kernel}" not implemented for \'{scalar_type_name(dtype)}\'')


_C_NAMES = {"Float": "float", "Double": "double", "Long": "long int", "Int": "int", "Byte": "unsigned char", "Bool": "bool",
            "Half": "c10::Half", "Short": "short int", "Char": "signed char"}


def c_name(dtype: Dtype) -> str:
    """A dtype as C++ prints it, which some of torch's messages do."""
    return _C_NAMES[scalar_type_name(dtype)]
