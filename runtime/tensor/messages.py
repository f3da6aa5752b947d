"""Errors that several operations raise in torch's words."""
from __future__ import annotations

from ..torch_types import dtype as Dtype, scalar_type_name


def not_implemented(kernel: str, dtype: Dtype) -> NotImplementedError:
    """An operation that has no kernel for a dtype."""
    return NotImplementedError(f'"{kernel}" not implemented for \'{scalar_type_name(dtype)}\'')
