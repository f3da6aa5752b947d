"""Decorated functions: `@grad`, their derivatives, and the transforms as functions."""
from __future__ import annotations

from .decorated import GradFunction, grad

__all__ = ["GradFunction", "grad"]
