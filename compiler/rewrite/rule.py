"""What a rewrite rule is: a row of data that the engine, the tests and the documentation read."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..errors import InternalError
from ..ir import Node
from .facts import Fact, Facts
from .pattern import AnyOf, Apply, Literal, Match, Parameter, Pattern, Variant, build, compile_pattern

__all__ = ["Condition", "Level", "Rule", "fact", "property_of", "rule"]


class Level(Enum):
    """How far the two sides of a rule agree, given its conditions.

    EXACT: the same bits (one nan is as good as another).
    ORDER: the same terms of sums, added in another order.
    ROUNDING: equal but for intermediate rounding, overflow or underflow; the new side is no less accurate, or within
        the bound that the rule states. A sum that cancels to zero may change the sign of that zero, which says
        nothing about the value.
    STABLE: different where the old side overflows, cancels or is undefined: the new one gives the value or the limit,
        and a derivative, or a chosen subgradient, that is right there too. Elsewhere the error is of the same order, or
        within the bound that the rule states; a result below the normal range may be lost.
    REAL: equal over the reals, on the stated domain.
    """

    EXACT = "exact"
    ORDER = "order"
    ROUNDING = "rounding"
    STABLE = "stable"
    REAL = "real"

    @property
    def meaning(self) -> str:
        """The above in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    Level.EXACT: "the same bits",
    Level.ORDER: "the same but for the order in which sums are added up",
    Level.ROUNDING: "the same up to the rounding of intermediate values",
    Level.STABLE: "right also where what was written overflows, cancels or is undefined",
    Level.REAL: "the same over the reals only",
}


@dataclass(frozen=True, eq=False)
class Condition:
    """A named question about a match; the rule fires only where the answer is proved to be yes.

    Most conditions make a rule sound, or keep it from going on for ever. A condition for `gain` only keeps it from
    making things worse that it cannot make better.
    """

    text: str
    holds: Callable[[Match, Facts], Fact | bool]
    gain: bool = False

    def __str__(self) -> str:
        return self.text


def fact(name: str) -> Callable[[Pattern], Condition]:
    """Conditions made of a fact about values, by its name.

    With `finite = fact("finite")`, `finite(X)` asks for a proof that X is finite.
    """
    question = getattr(Facts, name)

    def of(pattern: Pattern) -> Condition:
        variable = str(getattr(pattern, "name", pattern))
        return Condition(f"{name}({variable})", lambda m, facts: question(facts, m[variable]))

    return of


def property_of(text: str, test: Callable[..., bool], *variables: Pattern | Parameter,
                gain: bool = False) -> Condition:
    """A condition on the form of what some variables stand for; `test` gets their nodes and values."""
    names = [str(getattr(p, "name", p)) for p in variables]
    return Condition(f"{text}({', '.join(names)})", lambda m, _: test(*(m[n] for n in names)), gain)


@dataclass(frozen=True, eq=False)
class Rule:
    """`before -> after`, at a level, on conditions.

    Attributes:
        after: a pattern, or a function of the match that gives a node, or None where the rule does not apply after all.
        why: why it is sound at its level, and for which values it would not be without its conditions.
        source: where the identity comes from, where it is not elementary.
        order: the named canonical order that it leads towards, for a rule that lowers neither the cost of a graph nor
            the number of its nodes. That of every STABLE rule is `stable`: its form is gone for good.
        ulps: the error of the new side, in units in the last place, that a ROUNDING or STABLE rule may reach.
        scale: no unit in the last place is taken to be smaller than that of this number: 1 where the error is absolute.
        exceptions: inputs for which the level does not hold, in words; `excepted` says it of numbers.
        last: not before differentiation, because the old side has the simpler derivative.
        first: only before differentiation, because the new side has the simpler derivative, and the old one the simpler form.
        inside: it looks into what its variables stand for, and is right for values that were not rounded on the way.
    """

    name: str
    before: Apply | AnyOf
    after: Pattern | Callable[[Match], Node | None]
    level: Level
    when: tuple[Condition, ...] = ()
    why: str = ""
    source: str = ""
    order: str = ""
    ulps: float = 2.0
    scale: float = 0.0
    exceptions: str = ""
    excepted: Callable[..., Any] | None = None
    last: bool = False
    first: bool = False
    inside: bool = False
    variants: tuple[Variant, ...] = ()

    def __str__(self) -> str:
        after = "..." if not isinstance(self.after, Pattern) else str(self.after)
        conditions = f" if {' and '.join(map(str, self.when))}" if self.when else ""
        return f"{self.name}: {self.before} -> {after}{conditions} [{self.level.value}]"

    def rewrite(self, match: Match, facts: Facts) -> Node | None:
        """The new node, None where a condition is not proved."""
        for condition in self.when:
            answer = condition.holds(match, facts)
            if not (answer is Fact.TRUE if isinstance(answer, Fact) else answer):
                return None
        made = build(self.after, match) if isinstance(self.after, Pattern) else self.after(match)
        whole = match.WHOLE
        if made is not None and (made.shape != whole.shape or made.dtype != whole.dtype):
            raise InternalError(f"rule {self.name} changed {whole!r} into {made!r}")
        return made


def rule(name: str, before: Apply | AnyOf, after: Pattern | float | Callable[[Match], Node | None], level: Level, *,
         when: tuple[Condition, ...] = (), why: str = "", source: str = "", order: str = "", ulps: float = 2.0,
         scale: float = 0.0, exceptions: str = "", excepted: Callable[..., Any] | None = None,
         last: bool = False, first: bool = False, inside: bool = False) -> Rule:
    """A rule, its pattern compiled. A number as `after` is a constant of the matched node's shape and dtype."""
    variants = compile_pattern(before) if isinstance(before, Apply) else ()
    result = Literal(after) if isinstance(after, float | int) else after
    order = order or ("stable" if level is Level.STABLE else "")
    return Rule(name, before, result, level, when, why, source, order, ulps, scale, exceptions, excepted, last, first, inside, variants)
