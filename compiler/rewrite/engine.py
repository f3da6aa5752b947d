"""The rewriting engine: one bottom-up pass to a fixpoint, each node visited once.

A node is rewritten when its inputs are in their final form. Whatever a rule makes is brought to its final form in turn,
and what became of every node met on the way is remembered. Rules are found by the op at the root and the ops of its
inputs, so that a node that no rule fits costs one look into a dictionary.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import NamedTuple

from ..errors import InternalError
from ..ir import Graph, Node, _intern, current, toposort
from ..op import Op
from ..provenance import Site
from .facts import Facts
from .pattern import Apply, Match, Variant
from .rule import Level, Rule

__all__ = ["DEFAULT_LEVELS", "SAME_TERMS", "RewriteCycleError", "Rewriter", "RuleSet", "Step", "compress", "simplify"]

DEFAULT_LEVELS = (Level.EXACT, Level.ORDER, Level.ROUNDING)
SAME_TERMS = (Level.EXACT, Level.ORDER)  # nothing changes a bit but the order of sums
LAST_STEPS = 8
STEPS_PER_NODE = 100  # far more than any rule set needs; only a term that grows without end gets there


class Step(NamedTuple):
    """One application of a rule, for people to read: `rule` turned `before` into `after`; `sites` made `before`.

    `note`: more about what was made, in which `{}` stands for a node.
    """

    rule: Rule
    before: Node
    after: Node
    sites: frozenset[Site]
    note: tuple[str, Node] | None = None

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.before!r} -> {self.after!r}"


class RewriteCycleError(InternalError):
    """Rules undo each other, or grow a term without end. The message shows the last steps."""


class RuleSet:
    """Rules in order of priority, found by the ops at the top of their patterns."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._found: dict[tuple[str, ...], tuple[tuple[Rule, Variant | None], ...]] = {}

    def candidates(self, node: Node) -> tuple[tuple[Rule, Variant | None], ...]:
        """The rules, each with a variant of its pattern, that the ops of a node and its inputs allow."""
        key = (node.op.name, *[i.op.name for i in node.inputs])
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(self._select(node))
        return found

    def _select(self, node: Node) -> Iterable[tuple[Rule, Variant | None]]:
        for rule in self.rules:
            if not isinstance(rule.before, Apply):
                if rule.before.may_match(node):
                    yield rule, None
                continue
            for variant in rule.variants:
                if variant.may_match(node):
                    yield rule, variant


class Rewriter:
    """Brings nodes to the form that no rule changes.

    Attributes:
        log: every application of a rule, in order.
        visits: how many nodes were looked at.
    """

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.log: list[Step] = []
        self.visits = 0
        self._facts = Facts()
        self._final: dict[Node, Node] = {}
        self._becomes: dict[Node, Node] = {}
        self._ordered: dict[tuple[Op, Node, Node], Node] = {}
        self._limit = 0

    def run(self, outputs: Sequence[Node]) -> list[Node]:
        """The outputs in their final form.

        Raises:
            RewriteCycleError: the rules do not come to an end.
        """
        self._limit = len(self.log) + STEPS_PER_NODE * len(toposort(outputs))
        for output in outputs:
            self._finish(output)
        return [self._final[node] for node in outputs]

    def _finish(self, output: Node) -> None:
        final, becomes = self._final, self._becomes
        stack = [output]
        started: set[Node] = set()
        while stack:
            node = stack[-1]
            if node in final:
                stack.pop()
                continue
            target = becomes.get(node)
            if target is None:
                if node not in started:
                    started.add(node)
                    self.visits += 1
                waiting = [i for i in node.inputs if i not in final]
                if waiting:
                    self._check(waiting, started)
                    waiting.reverse()
                    stack += waiting
                    continue
                inputs = tuple([final[i] for i in node.inputs])
                target = _with_inputs(node, inputs) if inputs != node.inputs else self._twin(node) or self._apply(node)
                if target is node:
                    final[node] = node
                    stack.pop()
                    continue
                becomes[node] = target
                self._check((target,), started)
            if target in final:
                final[node] = final[target]
                stack.pop()
            else:
                stack.append(target)

    def _twin(self, node: Node) -> Node | None:
        """The finished node that differs from this one only in the order of the operands of a commutative op."""
        if not node.op.commutative:
            return None
        left, right = node.inputs
        if left.serial > right.serial:
            left, right = right, left
        first = self._ordered.setdefault((node.op, left, right), node)
        return first if first is not node and first in self._final else None

    def _check(self, nodes: Iterable[Node], started: set[Node]) -> None:
        """A node that is begun and not finished is above in the stack: to need it here is to go round."""
        for node in nodes:
            if node in started and node not in self._final:
                raise RewriteCycleError(self._story(f"rewriting comes back to {node!r}"))

    def _apply(self, node: Node) -> Node:
        """The node that the first rule that fits makes of this one, else the node itself."""
        for rule, variant in self.rules.candidates(node):
            match = Match(WHOLE=node) if variant is None else variant.match(node)
            if match is None:
                continue
            before, current.sites = current.sites, node.sites
            try:
                made = rule.rewrite(match, self._facts)
            finally:
                current.sites = before
            if made is not None and made is not node:
                self.log.append(Step(rule, node, made, node.sites))
                if len(self.log) > self._limit:
                    raise RewriteCycleError(self._story("rewriting does not come to an end"))
                return made
        return node

    def _story(self, what: str) -> str:
        last = "\n".join(f"  {step}" for step in self.log[-LAST_STEPS:])
        return f"{what}; the last steps were\n{last}"


def _with_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The node with other inputs of the same shapes and dtypes, so that nothing has to be inferred."""
    return _intern(node.op, inputs, node.params, node.shape, node.dtype, node.sites)


@cache
def _rule_set(levels: frozenset[Level], last: bool) -> RuleSet:
    from .rules import ORDINARY  # the rules read this package

    return RuleSet(rule for rule in ORDINARY if rule.level in levels and not (rule.first if last else rule.last))


@cache
def _compression() -> RuleSet:
    from .rules import COMPRESSION

    return RuleSet(COMPRESSION)


def compress(outputs: Sequence[Node]) -> tuple[list[Node], list[Step]]:
    """Derivatives that start from a delta, with the delta contracted away; and the steps. Its zeros are structural."""
    rewriter = Rewriter(_compression())
    return rewriter.run(outputs), rewriter.log


def simplify(program: Graph | Sequence[Node], levels: Collection[Level] = DEFAULT_LEVELS, *, stabilise: bool = True,
             fastmath: bool = False, last: bool = True) -> tuple[list[Node], list[Step]]:
    """The outputs of a program in a simpler form, and the steps that led there.

    Rules that are sound for floats are applied first, to a fixpoint, and then, where they are asked for, those over the
    reals, which would hide from the stabilising ones what they look for.

    Args:
        program: a graph, or its outputs.
        levels: which rules are allowed; see `Level`.
        stabilise: allow STABLE rules as well.
        fastmath: allow REAL rules as well.
        last: allow rules that are kept for after differentiation, and not those that come before it only.

    Returns:
        The new outputs, of the same shapes and dtypes, and the log.

    Raises:
        RewriteCycleError: the rules do not come to an end.
    """
    outputs = list(program.outputs if isinstance(program, Graph) else program)
    allowed = {*levels, *([Level.STABLE] if stabilise else []), *([Level.REAL] if fastmath else [])}
    log: list[Step] = []
    for phase in ({*allowed} - {Level.REAL}, allowed) if Level.REAL in allowed else (allowed,):
        rewriter = Rewriter(_rule_set(frozenset(phase), last))
        outputs = rewriter.run(outputs)
        log += rewriter.log
    return outputs, log
