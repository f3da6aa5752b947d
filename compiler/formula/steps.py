"""The derivation of a formula, step by step: what the passes logged, as text.

Nothing is derived for the purpose: the passes are those of the compiler, run on the traced graph (stabilise, differentiate,
simplify), and each step is an entry of their logs. A step's text is made when somebody looks at it.
"""
from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from html import escape
from itertools import count
from typing import Literal as Choice, NamedTuple, overload

from .. import sizes
from ..differentiate import Passed, recording
from ..ir import Graph, Node, toposort
from ..provenance import Site
from ..rewrite import Level, Step, finish, prepare
from .literal import SHIFT, Literal
from .mathml import Mark, elements
from .prepare import derive
from .text import Writer

__all__ = ["DerivationStep", "Passes", "Steps"]

Phase = Choice["stabilise", "differentiate", "simplify"]

_MOST_SHOWN = 300  # steps of one printout
_MOST_DRAWN = 100  # of these, as mathematics rather than text
_SHORT = 16  # characters: a longer operand that both sides of a step have is named
_NEAR = 200  # nodes of each side that are searched for common operands
_LETTERS = "uvwzpqr"
_ALIKE, _MOVED, _POLYNOMIAL = "whose sides are written alike", "that only move elements", "inside the polynomial of a series"


class Passes(NamedTuple):
    """What the passes are run on: a graph's output, and the inputs it is differentiated by, one after the other."""

    graph: Graph
    output: int
    names: tuple[str, ...]
    stabilise: bool
    fastmath: bool
    lines: Set[Site] | None  # where the graph comes from; None: from all that its nodes know of

    def run(self) -> list[tuple[Phase, Step | Passed]]:
        """The log of the passes, in order."""
        before, first = prepare(self.graph.outputs, stabilise=self.stabilise, fastmath=self.fastmath)
        stable = self.graph.with_outputs(before)
        passed: list[Passed] = []
        node = before[self.output]
        if self.names:
            with recording(passed):
                node = derive(stable, self.output, self.names).node
        _, second = finish([node], stabilise=self.stabilise, fastmath=self.fastmath)
        return [*(("stabilise", s) for s in first), *(("differentiate", p) for p in passed), *(("simplify", s) for s in second)]


@dataclass(frozen=True)
class DerivationStep:
    """One rewrite, or one use of an op's derivative rule.

    Attributes:
        phase: the pass.
        rule: of a rewrite, its name; else "derivative of <op>".
        before, after: the expression that the rule found, and what it made. Deep parts are cut off (`...`).
            Of a derivative: `d[u]` is the derivative of u, `D[u]` that of the result by u; `+=` adds to what other uses of u give.
        where: names for operands, with what they stand for.
        condition: what was proved of the rule's pattern before it was applied; of a derivative, what it is at points where there is none.
        level: how far both sides agree; None for a derivative.
        why: why the rule is sound.
        sites: the user's lines that made the expression.
        aside: why there is nothing to see for a reader, if so: both sides are written in the same way (a square and a product with
            itself; then they are under their ops' names), elements only move, or it is about the coefficients of a series.
        note: more about what was made.
        drawn: gives the same step with its expressions as text for `mathml.elements`.
    """

    phase: Phase
    rule: str
    before: str
    after: str
    where: tuple[tuple[str, str], ...]
    condition: str
    level: Level | None
    why: str
    sites: tuple[Site, ...]
    aside: str = ""
    note: str = ""
    drawn: Callable[[Mark], DerivationStep] | None = field(default=None, repr=False, compare=False)

    @property
    def source(self) -> str:
        """The user's first line, as `file:line: text`; empty where it is unknown."""
        if not self.sites:
            return ""
        text = linecache.getline(self.sites[0].file, self.sites[0].line).strip()
        return f"{self.sites[0]}: {text}" if text else str(self.sites[0])

    def details(self) -> list[tuple[str, str]]:
        """What there is to say beside the expressions: (heading, text)."""
        head = "where" if self.level is None else "if"
        found = [*(("with", f"{name} = {text}") for name, text in self.where), ("as", self.note), (head, self.condition),
                 ("why", self.why), ("line", self.source)]
        return [(heading, text) for heading, text in found if text]

    def _repr_html_(self) -> str:
        return self.html(lambda sites: "")

    def __str__(self) -> str:
        return self.text(())

    def text(self, known: Collection[tuple[str, str]]) -> str:
        """For terminals, without the details that are known."""
        level = f" [{self.level.value}]" if self.level is not None else ""
        details = (f"    {heading} {text}" for heading, text in self.details() if (heading, text) not in known)
        return "\n".join([f"{self.rule}{level}: {self.before} -> {self.after}", *details])

    def html(self, mark: Mark, draw: bool = True) -> str:
        """To be opened. `mark` gives further attributes of elements, from the lines; `draw`: as mathematics, rather than as text."""
        drawn = self.drawn(mark) if draw and self.drawn is not None else None
        level = f" · {self.level.value}" if self.level is not None else ""
        before, after = (_shown(getattr(self, side), None if drawn is None else getattr(drawn, side)) for side in ("before", "after"))
        where = [(name, text, None if drawn is None else drawn.where[k][1]) for k, (name, text) in enumerate(self.where)]
        rows = [*(("with", f"{_shown(name, name if drawn else None)} = {_shown(text, picture)}") for name, text, picture in where),
                *((heading, escape(text)) for heading, text in self.details() if heading != "with")]
        cells = "".join(f"<tr><th style='text-align:left'>{h}</th><td style='text-align:left'>{t}</td></tr>" for h, t in rows)
        return (f"<details{mark(self.sites)}><summary>{before} → {after} "
                f"<small>{escape(self.rule)}{escape(level)}</small></summary><table>{cells}</table></details>")


class Steps(Sequence[DerivationStep]):
    """The steps of a derivation, in order. `str()` is for terminals; a notebook shows them to be opened one by one.

    They are the log of the compiler's passes on the traced graph: the rewrites that stabilise it, the derivative rules of its ops,
    the rewrites that simplify. For the gradient of a scalar by one argument they are the steps of the compiled program; further
    derivatives and Jacobians are derived here in the way the formula is, with the same rules. The formula itself is read off the
    traced graph and its derivative by collecting equal terms; that is algebra over the reals and is not a part of this log.
    """

    def __init__(self, passes: Passes, literal: Literal, drawn: Callable[[Mark], Literal], title: str) -> None:
        """`literal` writes expressions as text, `drawn` makes one that writes them for `mathml.elements`."""
        self._log = passes.run()
        self._taken = frozenset(str(n.param("name")) for n in passes.graph.inputs)
        self._cotangent = next(name for name in _letters("g") if name not in self._taken)
        self._literal, self._drawn, self._title, self._lines = literal, drawn, title, passes.lines
        self._still = Literal(Writer(str, str, str), moves=False)
        series = (step for _, step in self._log if isinstance(step, Step) and step.note and step.after.op.name == "where")
        self._polynomials = frozenset(
            node for step in series for node in set(toposort([step.after.inputs[1]])) - set(toposort([step.before])))

    def __len__(self) -> int:
        return len(self._log)

    @overload
    def __getitem__(self, index: int) -> DerivationStep: ...
    @overload
    def __getitem__(self, index: slice) -> list[DerivationStep]: ...
    def __getitem__(self, index: int | slice) -> DerivationStep | list[DerivationStep]:
        if isinstance(index, slice):
            return [self._made(*entry) for entry in self._log[index]]
        return self._made(*self._log[index])

    # ------------------------------------------------------------------------------------------ steps
    def _made(self, phase: Phase, entry: Step | Passed) -> DerivationStep:
        def write(literal: Literal) -> DerivationStep:
            return self._rewrite(phase, entry, literal) if isinstance(entry, Step) else self._derivative(phase, entry, literal)

        return replace(write(self._literal), drawn=lambda mark: write(self._drawn(mark)))

    def _rewrite(self, phase: Phase, step: Step, literal: Literal) -> DerivationStep:
        rule = step.rule
        names = self._named(_common(step.before, step.after))
        alike, still = (written.best(step.before, names) == written.best(step.after, names) for written in (self._literal, self._still))
        moves = step.before.op.kind == "movement"
        before, after = ((literal.called if alike else literal.best)(side, names) for side in (step.before, step.after))
        condition = f"{' and '.join(map(str, rule.when))}, of {rule.before}" if rule.when else ""
        note = step.note[0].replace("{}", self._literal.best(step.note[1], {})) if step.note else ""
        return DerivationStep(phase, rule.name, before, after, self._where(names, literal), condition, rule.level, rule.why,
                              self._sites(step.sites), _MOVED if still and moves else _ALIKE if alike else _MOVED if still else "", note)

    def _derivative(self, phase: Phase, step: Passed, literal: Literal) -> DerivationStep:
        node = step.node
        again = any(node in _near(more, {dx for _, dx in step.known}) for _, more in step.made)  # a partial in terms of the output
        names = self._named([*node.inputs, node] if again else node.inputs)
        operands = {x: name for x, name in names.items() if x is not node}
        sign = "d" if step.forward else "D"

        def of(value: Node) -> str:
            return f"{sign}[{literal.best(value, operands)}]"

        if step.forward:
            known = {dx: of(x) for x, dx in step.known if dx.inputs}
            before, after = of(node), literal.best(step.made[0][1], {**names, **known})
        else:
            (_, cotangent), = step.known
            known = {cotangent: self._cotangent} if cotangent.inputs else {}
            before = f"{of(node)} = {literal.best(cotangent, known)}"
            after = ", ".join(f"{of(x)} += {literal.best(more, {**names, **known})}" for x, more in step.made)
        moved = node.op.kind == "movement" and sizes.equal(*(sizes.product(n.shape) for n in (node, node.inputs[0])))
        return DerivationStep(phase, f"derivative of {node.op.name.rstrip('_')}", before, after, self._where(names, literal),
                              node.op.kinks, None, "", self._sites(node.sites),
                              _POLYNOMIAL if node in self._polynomials else _MOVED if moved else "")

    def _sites(self, sites: frozenset[Site]) -> tuple[Site, ...]:
        return tuple(sorted(sites if self._lines is None else sites & self._lines))

    def _named(self, operands: Sequence[Node]) -> dict[Node, str]:
        """Letters for operands that are too long to be written twice."""
        free = (name for name in _letters(_LETTERS) if name not in self._taken)
        return {x: next(free) for x in dict.fromkeys(operands) if x.inputs and len(self._literal.best(x, {})) > _SHORT}

    def _where(self, names: Mapping[Node, str], literal: Literal) -> tuple[tuple[str, str], ...]:
        return tuple((name, literal.best(x, {k: v for k, v in names.items() if k is not x})) for x, name in names.items())

    # ------------------------------------------------------------------------------------------ showing
    def _phases(self, most: int) -> Iterator[tuple[Phase, list[tuple[int, DerivationStep]]]]:
        number = count(1)  # of what is written out
        shown = [(0 if step.aside else next(number), step) for step in self[:most]]
        for phase in dict.fromkeys(step.phase for _, step in shown):
            yield phase, [(k, step) for k, step in shown if step.phase == phase]

    def _left_out(self, most: int) -> str:
        return f"and {len(self) - most} more steps" if len(self) > most else ""

    def _shared(self, other: Steps | None) -> str:
        """A phase that is the same in another derivation."""
        if other is None or other is self:
            return ""
        first, same = ([entry for phase, entry in steps._log if phase == "stabilise"] for steps in (self, other))
        return "stabilise" if first and first == same else ""

    def __str__(self) -> str:
        return f"{self._title or 'derivation'}: {len(self)} step{'s' * (len(self) != 1)}\n{self.text()}".rstrip()

    __repr__ = __str__

    def text(self, after: tuple[str, Steps] | None = None) -> str:
        """The steps for a terminal. What the details of one step say is not repeated in those of the next.

        Args:
            after: another derivation, by its title, that was shown before: a phase that is the same is not repeated.
        """
        lines: list[str] = []
        known: set[tuple[str, str]] = set()
        same = self._shared(after[1]) if after else ""
        for phase, steps in self._phases(_MOST_SHOWN):
            if after and phase == same:
                lines.append(f"{phase}: as for {after[0]}")
                continue
            lines.append(_heading(phase, steps))
            known = {(h, text) for h, text in known if h == "why"}
            for k, step in steps:
                if not step.aside:
                    lines.append(f"  {k}. {step.text(known)}".replace("\n", "\n   "))
                    whys = {detail for detail in known if detail[0] == "why"}
                    known = whys | {detail for detail in step.details() if detail[0] in ("why", "line")}
            lines += [f"  {aside}" for aside, _ in _asides(steps)]
        return "\n".join([*lines, self._left_out(_MOST_SHOWN)]).rstrip()

    def html(self, mark: Mark, most: int = _MOST_SHOWN, drawn: int = _MOST_DRAWN, after: tuple[str, Steps] | None = None) -> str:
        """Steps to be opened, `most` of them, the first as mathematics; see `DerivationStep.html` and `text`."""
        parts: list[str] = []
        same = self._shared(after[1]) if after else ""
        for phase, steps in self._phases(most):
            if after and phase == same:
                parts.append(f"<div><i>{escape(f'{phase}: as for {after[0]}')}</i></div>")
                continue
            parts.append(f"<div><i>{escape(_heading(phase, steps))}</i></div>")
            parts += [step.html(mark, k <= drawn) for k, step in steps if not step.aside]
            for aside, hidden in _asides(steps):
                inside = "".join(step.html(mark, draw=False) for step in hidden)
                parts.append(f"<details><summary><small>{escape(aside)}</small></summary>{inside}</details>")
        return "".join([*parts, escape(self._left_out(most))])

    def _repr_html_(self) -> str:
        head = f"<b>{escape(self._title or 'derivation')}</b>: {len(self)} step{'s' * (len(self) != 1)}"
        return f"<div>{head}{self.html(lambda sites: '')}</div>"


def _shown(text: str, drawn: str | None) -> str:
    """An expression: as mathematics where it is given as text for `elements`."""
    if drawn is None:
        return f"<code>{escape(text)}</code>"
    return f"<math displaystyle='true' alttext='{escape(text)}'>{elements(drawn)}</math>"


def _heading(phase: Phase, steps: list[tuple[int, DerivationStep]]) -> str:
    told = []
    if phase == "differentiate":
        meaning = {"d": "d[u] is the derivative of u", "D": "D[u] is the derivative of the result by u"}
        told = [meaning[sign] for sign in sorted({step.before[0] for _, step in steps})]
    if any(f"{SHIFT}(" in text for _, step in steps for text in (step.before, step.after, *(text for _, text in step.where))):
        told.append(f"{SHIFT}(u) is u where it is finite, else 0, and is held fixed")
    return f"{phase}: {'; '.join(told)}" if told else phase


def _asides(steps: list[tuple[int, DerivationStep]]) -> Iterator[tuple[str, list[DerivationStep]]]:
    """The steps that a reader sees nothing in, by the reason, with what is said of them."""
    for reason in (_ALIKE, _MOVED, _POLYNOMIAL):
        found = [step for _, step in steps if step.aside == reason]
        if found:
            rules = Counter(step.rule for step in found)
            named = ", ".join(f"{rule} ({n} times)" if n > 1 else rule for rule, n in rules.items())
            yield f"and {len(found)} {reason}: {named}", found


def _letters(letters: str) -> Iterator[str]:
    yield from letters
    for k in count(1):
        yield from (f"{letter}{k}" for letter in letters)


def _near(root: Node, stop: Collection[Node] = ()) -> dict[Node, None]:
    """The node and what it is made of, nearest first; so far as a person would look, and not below `stop`."""
    found: dict[Node, None] = {root: None}
    for node in (queue := [root]):
        if len(found) > _NEAR or node in stop:
            continue
        new = [i for i in node.inputs if i not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return found


def _common(before: Node, after: Node) -> list[Node]:
    """The largest operands that both have."""
    near, inside = _near(after), {before}
    found: dict[Node, None] = {}
    for node in (queue := [before]):
        for x in node.inputs:
            if x in near:
                found[x] = None
            elif x not in inside and len(inside) < _NEAR:
                inside.add(x)
                queue.append(x)
    return list(found)
