"""Rewriting: rules as data, facts that they rely on, and the engine that applies them.

`simplify` is the pass, of which `prepare` and `finish` are made. Rules live in `rules/`, by family; each says at which level it
is sound, on which conditions, and why. Before differentiation it stabilises (the derivative of a softplus is a sigmoid; that of
log(1 + exp(x)) is inf/inf at 1000), and after it once more.
"""
from __future__ import annotations

from .compensation import compensate
from .engine import DEFAULT_LEVELS, SAME_TERMS, RewriteCycleError, Rewriter, RuleSet, Step, compress, simplify
from .expansion import expand
from .factors import factors_out
from .facts import Fact, Facts
from .passes import finish, prepare
from .quotients import share_divisions
from .rule import Condition, Level, Rule, rule
from .symmetry import sum_along_inner

__all__ = ["DEFAULT_LEVELS", "SAME_TERMS", "Condition", "Fact", "Facts", "Level", "RewriteCycleError", "Rewriter", "Rule", "RuleSet",
           "Step", "compensate", "compress", "expand", "factors_out", "finish", "prepare", "rule", "share_divisions", "simplify",
           "sum_along_inner"]
