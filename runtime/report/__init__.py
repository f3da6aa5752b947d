"""Reports: every stage that a decorated function went through, for terminals, notebooks, and as one HTML file."""
from __future__ import annotations

from .content import gather
from .report import Report

__all__ = ["Report", "gather"]
